"""A real OpenBao in development mode, for tests that take it away, seal it or end its tokens."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

ROOT_TOKEN = "root"
DEADLINE_SECONDS = 20
POLICY = """
path "secret/data/*" { capabilities = ["read"] }
path "secret/data/hidden" { capabilities = ["deny"] }
"""


@dataclass
class Bao:
    """One running server, with root's view of it.

    Attributes:
        address: Base URL.
        process: The server.
        log: What it says.
    """

    address: str
    process: subprocess.Popen[bytes]
    log: Path
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        headers = {"X-Vault-Token": ROOT_TOKEN}
        self.client = httpx.Client(base_url=f"{self.address}/v1/", headers=headers, trust_env=False)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Call the API as root; the fields of its answer."""
        answer = self.client.request(method, path, json=body)
        answer.raise_for_status()
        fields: dict[str, Any] = answer.json() if answer.content else {}
        return fields

    def put(self, path: str, **values: str) -> None:
        """Write a new version of a secret."""
        self.call("POST", f"secret/data/{path}", {"data": values})

    def role(self, name: str, **options: str) -> tuple[str, str]:
        """Make an AppRole that may read; its role id and secret id."""
        role = f"auth/approle/role/{name}"
        self.call("POST", role, {"token_policies": ["reader"], **options})
        role_id = self.call("GET", f"{role}/role-id")["data"]["role_id"]
        return role_id, self.call("POST", f"{role}/secret-id")["data"]["secret_id"]

    def seal(self) -> None:
        """Seal it: it answers, and refuses everything."""
        self.call("PUT", "sys/seal")

    def unseal(self) -> None:
        """Open it again with the key it printed at its start."""
        key = re.search(rb"Unseal Key: (\S+)", self.log.read_bytes())
        assert key is not None
        self.call("PUT", "sys/unseal", {"key": key[1].decode()})

    def kill(self) -> None:
        """Let it die at once."""
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)


@contextlib.contextmanager
def running_bao(folder: Path) -> Iterator[Bao]:
    """Start a server with an AppRole engine and a policy that reads all secrets but one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "bao.log"
    program = Path(sys.executable).with_name("bao")
    argv = [
        *(
            str(program),
            "server",
            "-dev",
            f"-dev-root-token-id={ROOT_TOKEN}",
            "-dev-no-store-token",
        ),
        f"-dev-listen-address=127.0.0.1:{port}",
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, stdout=out, stderr=out, env={**os.environ, "HOME": str(folder)}
        )
    bao = Bao(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_for(lambda: _answers(bao))
        bao.call("POST", "sys/auth/approle", {"type": "approle"})
        bao.call("PUT", "sys/policies/acl/reader", {"policy": POLICY})
        yield bao
    finally:
        bao.client.close()
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def wait_for(promise: Callable[[], bool]) -> None:
    """Block until something is true.

    Raises:
        TimeoutError: It is not within 20 seconds.
    """
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not promise():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


def _answers(bao: Bao) -> bool:
    assert bao.process.poll() is None, bao.log.read_text()
    try:
        return bao.client.get("secret/config").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
