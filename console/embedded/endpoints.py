"""`endpoints.json`: how scripts, tests and client commands find a running stack."""

from pathlib import Path

import msgspec

from console.embedded import lock
from console.embedded.failure import StackFailed
from console.embedded.files import write_private


class Endpoints(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses and credentials of a running stack; the file is mode 0600.

    What leads to a part that was left out is empty, and in maps absent. Tenant, tokens and
    `configuration` belong to the data directory, and are always there.

    Attributes:
        receiver: Base URL where senders post.
        receiver_listen: `ADDRESS:PORT` on which it listens.
        receiver_certificate: Path of its PEM certificate chain; empty without TLS.
        hook: Capability URL of the demo tenant's Wazuh source.
        api: Base URL of the operators' interface.
        tenant: The demo tenant.
        token: Its ingest token.
        operator_token: The operators' token.
        postgres: URL of the database.
        nats: URL with user and password.
        nats_ingest: Tenant to URL of its user that may only publish its alerts.
        temporal: `HOST:PORT` of the frontend.
        temporal_ui: Base URL of the web interface.
        vault: Base URL of OpenBao.
        vault_token: A token that may do everything there.
        inbox_http: Base URL where the demo tenant's webhooks go.
        configuration: Path of `tocsin.yaml`.
        metrics: Process to URL of its Prometheus metrics.
        pid: Process id of the command.
        pids: Child to process id.
    """

    receiver: str
    receiver_listen: str
    receiver_certificate: str
    hook: str
    api: str
    tenant: str
    token: str
    operator_token: str
    postgres: str
    nats: str
    nats_ingest: dict[str, str]
    temporal: str
    temporal_ui: str
    vault: str
    vault_token: str
    inbox_http: str
    configuration: str
    metrics: dict[str, str]
    pid: int
    pids: dict[str, int]

    def require(self, *names: str) -> None:
        """Make sure that these fields, or metrics, lead somewhere.

        Raises:
            StackFailed: A part was left out.
        """
        there = self.metrics | msgspec.structs.asdict(self)
        absent = [name.partition("_")[0] for name in names if not there.get(name)]
        if absent:
            raise StackFailed(f"the running stack was started without {', '.join(absent)}")


def path_in(directory: Path) -> Path:
    """Where a data directory's endpoints stand."""
    return directory / "endpoints.json"


def write(directory: Path, endpoints: Endpoints) -> None:
    """Publish the endpoints in one step."""
    write_private(path_in(directory), msgspec.json.format(msgspec.json.encode(endpoints)).decode())


def read(directory: Path) -> Endpoints | None:
    """Read the endpoints of a running stack; None when none is running there.

    A command that was killed leaves its file behind, but not its hold of the directory.

    Raises:
        msgspec.ValidationError: The file is not what was written.
    """
    if not lock.is_held(directory):
        return None
    try:
        content = path_in(directory).read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(content, type=Endpoints)
