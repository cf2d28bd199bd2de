"""What one start of the stack may be asked."""

from dataclasses import dataclass, field
from pathlib import Path

from tocsin.errors import ConfigError, Problem
from tocsin.settings import Settings

SERVERS = ("postgres", "nats", "temporal", "vault")
PROCESSES = ("inbox", "receiver", "worker", "api")
PARTS = (*SERVERS, "migrate", *PROCESSES)
# Without these a process runs, and does none or little of its work.
NEEDS = {
    "receiver": ("nats", "migrate"),
    "worker": ("postgres", "nats", "temporal", "migrate"),
    "api": ("postgres", "nats", "migrate"),
}


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """One start of the stack.

    Attributes:
        data_dir: Folder that remembers everything.
        without: Parts to leave out, of `PARTS`.
        listen: `ADDRESS:PORT` for the receiver instead of loopback.
        tls_cert: PEM certificate chain for the receiver.
        tls_key: PEM private key for the receiver.
        insecure: Lets the receiver speak plain HTTP beyond loopback.
        settings: Names other programs for the servers; nothing else of it is used.

    Raises:
        ConfigError: `without` names what is no part.
    """

    data_dir: Path
    without: frozenset[str] = frozenset()
    listen: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        unknown = ", ".join(sorted(self.without - set(PARTS)))
        if unknown:
            problem = Problem(
                file="--without", message=f"no such part: {unknown}", hint=", ".join(PARTS)
            )
            raise ConfigError((problem,))

    def lacking(self, process: str) -> tuple[str, ...]:
        """What a process of ours needs and has to do without."""
        return tuple(part for part in NEEDS.get(process, ()) if part in self.without)

    @property
    def receiver_settings(self) -> dict[str, object]:
        """What was asked of the receiver, by the name of the setting; None is not asked."""
        return {
            "receiver.listen": self.listen,
            "receiver.tls_cert": self.tls_cert,
            "receiver.tls_key": self.tls_key,
            "receiver.insecure": self.insecure or None,
        }

    @property
    def receiver_flags(self) -> tuple[str, ...]:
        """What was asked of the receiver, as flags of `tocsin receive`."""
        return (
            *(("--listen", self.listen) if self.listen else ()),
            *(("--tls-cert", str(self.tls_cert)) if self.tls_cert else ()),
            *(("--tls-key", str(self.tls_key)) if self.tls_key else ()),
            *(("--insecure",) if self.insecure else ()),
        )
