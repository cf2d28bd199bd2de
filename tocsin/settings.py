"""The frozen tree of settings, and the only place where variables become settings.

Order of precedence: flags, then `TOCSIN_*` variables, then `tocsin.yaml`, then the defaults here.
`TOCSIN_NATS_URL` sets `nats.url`: the first underscore after a section's name opens it. Values
that hold secrets are references (`vault:path#key`, `env:NAME`, `file:path`), resolved where they
are used.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, PositiveInt, SecretStr, model_validator

from tocsin.documents import check
from tocsin.fields import Duration, Listen, LocalSecret, NatsUrl, Secret, Text, Url, wrong
from tocsin.layers import from_file, from_flags, from_variables, overlaid

PREFIX = "TOCSIN_"
CONFIG_VARIABLE = "TOCSIN_CONFIG"
DEFAULT_FILE = Path("tocsin.yaml")


class Section(BaseModel):
    """A frozen group of settings that refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tls(Section):
    """What speaks TLS when it is given a certificate and its key.

    Attributes:
        tls_cert: PEM certificate chain; reloaded, like the key, when it changes.
        tls_key: PEM private key.
    """

    tls_cert: Path | None = None
    tls_key: Path | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise wrong("has one of tls_cert and tls_key", "give both, or none for plain HTTP")
        return self


class ReceiverSettings(Tls):
    """`tocsin receive`: the edge where senders post.

    Attributes:
        listen: `ADDRESS:PORT` for senders and probes.
        insecure: Allows plain HTTP on an address that is not loopback.
        max_events: Most events one body may carry.
        publish_timeout: Longest wait for JetStream's acknowledgement before answering 503.
    """

    listen: Listen = "127.0.0.1:8080"
    insecure: bool = False
    max_events: PositiveInt = 5000
    publish_timeout: Duration = timedelta(seconds=1.5)


class WorkerSettings(Section):
    """`tocsin work`: dispatcher and workflow worker.

    Attributes:
        metrics_listen: `ADDRESS:PORT` of `/metrics`.
        batch: Most messages fetched at once.
        in_flight: Most alerts this process works on at once; others wait for a free place.
        max_attempts: Faults of one message before it becomes a dead letter.
        ack_wait: How long JetStream waits before it delivers a message again.
        sweep_interval: Pause between two looks at workflows that ended without saying so.
        sandbox: Runs workflows in Temporal's sandbox (slower; tests use it).
    """

    metrics_listen: Listen = "127.0.0.1:9081"
    batch: PositiveInt = 50
    in_flight: PositiveInt = 200
    max_attempts: PositiveInt = 5
    ack_wait: Duration = timedelta(seconds=10)
    sweep_interval: Duration = timedelta(seconds=5)
    sandbox: bool = False


class ApiSettings(Tls):
    """`tocsin serve`: the operators' HTTP interface.

    Attributes:
        listen: `ADDRESS:PORT`.
        operator_token: Reference to the operators' token.
    """

    listen: Listen = "127.0.0.1:8081"
    operator_token: Secret = "env:TOCSIN_OPERATOR_TOKEN"  # noqa: S105 - a reference


class NatsSettings(Section):
    """NATS JetStream.

    Attributes:
        url: Server addresses, comma separated.
        user: User name, when the server asks for one.
        password: Reference to its password.
        credentials: Path of a `.creds` file, instead of user and password.
        replicas: Copies of each stream in a cluster.
        max_bytes: Bound of the ALERTS stream on disk; keep it below the disk.
        max_messages_per_tenant: Bound of unprocessed and kept messages per tenant.
        keep: How long processed messages stay for replay.
        bin: Another `nats-server` for the embedded stack.
    """

    url: NatsUrl = "nats://127.0.0.1:4222"
    user: str = ""
    password: Secret = ""
    credentials: Path | None = None
    replicas: PositiveInt = 1
    max_bytes: PositiveInt = 8 * 1024**3
    max_messages_per_tenant: PositiveInt = 100_000
    keep: Duration = timedelta(days=7)
    bin: Path | None = None


class TemporalSettings(Section):
    """Temporal.

    Attributes:
        address: `HOST:PORT` of the frontend.
        namespace: Namespace that holds the workflows.
        retention: How long finished workflows stay readable.
        ui: Base URL of the web interface, for links.
        bin: Another `temporal` for the embedded stack.
    """

    address: Listen = "127.0.0.1:7233"
    namespace: str = "default"
    retention: Duration = timedelta(days=30)
    ui: Url = ""
    bin: Path | None = None


class PostgresSettings(Section):
    """PostgreSQL.

    Attributes:
        dsn: Reference to, or itself, a `postgresql://` URL.
        pool: Most connections per process.
        bin: Folder with another PostgreSQL's programs for the embedded stack.
    """

    dsn: Text = "env:TOCSIN_POSTGRES_URL"
    pool: PositiveInt = 8
    bin: Path | None = None


class VaultSettings(Section):
    """Vault or OpenBao; nothing is asked of it when `address` is empty.

    Attributes:
        address: Base URL.
        token: Reference to a token, `env:` or `file:`; or use AppRole.
        role_id: AppRole role id.
        secret_id: Reference to the AppRole secret id, `env:` or `file:`.
        mount: Path of the KV version 2 engine.
        ca_cert: PEM certificates to trust, instead of the system's.
        timeout: Longest wait for one answer.
        refresh: How long a value is used before it is read again.
        keep: How long the last value serves while the backend is away.
        bin: Another `bao` or `vault` for the embedded stack.
    """

    address: Url = ""
    token: LocalSecret = ""
    role_id: str = ""
    secret_id: LocalSecret = ""
    mount: str = "secret"
    ca_cert: Path | None = None
    timeout: Duration = timedelta(seconds=5)
    refresh: Duration = timedelta(minutes=5)
    keep: Duration = timedelta(hours=1)
    bin: Path | None = None


class OutboundSettings(Section):
    """What notifications may reach.

    Attributes:
        allow_private: Allows loopback, link-local and private targets for every tenant.
        timeout: Longest wait for one answer.
    """

    allow_private: bool = False
    timeout: Duration = timedelta(seconds=10)


class Settings(Section):
    """Everything a process of tocsin needs to know.

    Attributes:
        tenants: Folder with one `*.yaml` per tenant.
        data_dir: Folder of the embedded stack.
        url: Base URL of the operator API, for the command.
        token: Token for the operator API, for the command.
    """

    tenants: Path = Path("tenants")
    data_dir: Path = Path(".tocsin")
    url: Url = ""
    token: SecretStr = SecretStr("")
    receiver: ReceiverSettings = ReceiverSettings()
    worker: WorkerSettings = WorkerSettings()
    api: ApiSettings = ApiSettings()
    nats: NatsSettings = NatsSettings()
    temporal: TemporalSettings = TemporalSettings()
    postgres: PostgresSettings = PostgresSettings()
    vault: VaultSettings = VaultSettings()
    outbound: OutboundSettings = OutboundSettings()


def load_settings(config: Path | None = None, flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings: flags, then `TOCSIN_*` variables, then the file, then the defaults.

    Args:
        config: The file; without it the one `TOCSIN_CONFIG` names, else `tocsin.yaml` where it
            exists.
        flags: Value by dotted name, for example `receiver.listen`; None counts as not given.

    Raises:
        ConfigError: With everything that is wrong in all of them.
    """
    file = settings_file(config)
    layers = [from_file(file, Settings)] if file else []
    layers += [from_variables(os.environ, PREFIX, Settings), from_flags(flags or {})]
    return check(Settings, overlaid(layers))


def settings_file(config: Path | None = None) -> Path | None:
    """The file that settings are read from; None when there is none.

    Args:
        config: The file; without it the one `TOCSIN_CONFIG` names, else `tocsin.yaml` where it
            exists.
    """
    named = config or os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None
