"""What is chosen once, at the first start, and kept in `state.json`."""

import hashlib
import secrets
import shutil
import socket
from collections.abc import Iterable
from pathlib import Path

import msgspec

from console.embedded.files import write_private

# Below what the kernel gives to outgoing connections, so that none of those has the port when its
# server starts.
_CHOICE = range(10_000, 32_768)
PORTS = (
    "receiver",
    "api",
    "worker",
    "postgres",
    "nats",
    "nats_http",
    "temporal",
    "temporal_http",
    "temporal_metrics",
    "temporal_ui",
    "vault",
    "vault_cluster",
    "inbox_http",
    "inbox_smtp",
)
SECRETS = (
    "postgres",
    "nats",
    "token",
    "capability",
    "operator_token",
    "role_id",
    "secret_id",
    "smtp",
)
DISK_SHARE = 0.6
MOST_BYTES = 32 * 1024**3


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the data directory remembers of its first start.

    Attributes:
        ports: Part to port on loopback.
        secrets: Passwords, tokens and the capability, in the clear; the file is mode 0600.
        tenants: Tenant to the password of its NATS user `ingest-<tenant>`.
        store_bytes: JetStream's share of the disk. Kept, because JetStream refuses to load
            streams that were promised more than it has.
    """

    ports: dict[str, int] = msgspec.field(default_factory=dict)
    secrets: dict[str, str] = msgspec.field(default_factory=dict)
    tenants: dict[str, str] = msgspec.field(default_factory=dict)
    store_bytes: int = 0


def load(directory: Path, tenants: Iterable[str]) -> State:
    """Read the state, choose what it does not have yet, and keep it.

    Raises:
        msgspec.ValidationError: The file is not what was written.
    """
    path = directory / "state.json"
    kept = msgspec.json.decode(path.read_bytes(), type=State) if path.exists() else State()
    state = State(
        ports=choose_ports(name for name in PORTS if name not in kept.ports) | kept.ports,
        secrets={name: secrets.token_hex(24) for name in SECRETS} | kept.secrets,
        tenants={name: secrets.token_hex(24) for name in tenants} | kept.tenants,
        store_bytes=kept.store_bytes or _share_of_disk(directory),
    )
    if state != kept:
        write_private(path, msgspec.json.format(msgspec.json.encode(state)).decode())
    return state


def choose_ports(names: Iterable[str]) -> dict[str, int]:
    """Choose a port for each name that is free on loopback now, side by side where they are."""
    start = secrets.randbelow(len(_CHOICE))
    places = (_CHOICE[(start + step) % len(_CHOICE)] for step in range(len(_CHOICE)))
    free = filter(_is_free, places)
    return {name: next(free) for name in names}


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def fingerprint(secret: str) -> str:
    """SHA-256 of a token or capability in hexadecimal, as tenant files hold it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _share_of_disk(directory: Path) -> int:
    return min(int(shutil.disk_usage(directory).free * DISK_SHARE), MOST_BYTES)
