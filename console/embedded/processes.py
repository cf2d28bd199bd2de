"""Our own processes, run from the same interpreter as the command."""

import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from console.embedded.program import Program, answers

# -P: a folder named `console` where the operator happens to stand is not ours.
COMMAND = (sys.executable, "-P", "-m", "console.main")
WILDCARDS = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a lookup


@dataclass(frozen=True, kw_only=True)
class Listener:
    """Where a process of ours listens.

    Attributes:
        listen: `ADDRESS:PORT`.
        tls_cert: PEM certificate chain; it speaks TLS when there is one.
    """

    listen: str
    tls_cert: Path | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on.

        Raises:
            ValueError: There is no port.
        """
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def url(self) -> str:
        """Base URL by which this machine reaches it."""
        host, port = self.address
        host = WILDCARDS.get(host, host)
        scheme = "https" if self.tls_cert else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def certificate(self) -> str:
        """Absolute path of the certificate chain; empty without TLS."""
        return str(self.tls_cert.resolve()) if self.tls_cert else ""

    async def answers(self, path: str) -> bool:
        """Probe it; with TLS, trusting the certificate that it was given and nothing else."""
        if self.tls_cert is None:
            return await answers(f"{self.url}{path}")
        return await answers(f"{self.url}{path}", tls=trust_only(self.tls_cert))


def trust_only(certificate: Path) -> ssl.SSLContext:
    """Trust what shows this certificate, whatever name it is for, and nothing else."""
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


@dataclass(frozen=True, kw_only=True)
class InboxListener:
    """Where the stack's own inbox listens.

    Attributes:
        http: Port of its HTTP endpoint.
        smtp: Port of its SMTP listener.
        username: Who may send mail.
        password: File that holds the password.
    """

    http: int
    smtp: int
    username: str
    password: Path

    @property
    def flags(self) -> tuple[str, ...]:
        """As flags of the process."""
        return (
            *("--http", f"127.0.0.1:{self.http}"),
            *("--smtp", f"127.0.0.1:{self.smtp}"),
            *("--username", self.username),
            *("--password", f"file:{self.password}"),
        )

    async def answers(self) -> bool:
        """Probe it."""
        return await answers(f"http://127.0.0.1:{self.http}/healthz")


@dataclass(frozen=True, kw_only=True)
class Processes:
    """The processes of tocsin.

    Attributes:
        configuration: The `tocsin.yaml` that all of them read.
        logs: Folder of their logs.
        environment: Their environment variables.
        receiver: Where the receiver listens.
        worker: Where the worker's metrics are.
        api: Where the operators' interface listens.
        inbox: Where the demo tenant's notifications go.
        flags: Flags for `tocsin receive`.
        missing: Servers that were left out, which `tocsin migrate` has to leave alone.
    """

    configuration: Path
    logs: Path
    environment: Mapping[str, str]
    receiver: Listener
    worker: Listener
    api: Listener
    inbox: InboxListener
    flags: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def migration(self) -> Program:
        """Create or update schema, streams and namespace, and end."""
        flags = ("--without", ",".join(self.missing)) if self.missing else ()
        return self._program("migrate", "migrate", *flags)

    def programs(self) -> tuple[Program, ...]:
        """The inbox, then receiver, worker and operators' interface."""
        return (
            replace(
                self._program("inbox", "inbox", *self.inbox.flags),
                probe=self.inbox.answers,
                grace=timedelta(seconds=3),
            ),
            replace(
                self._program("receiver", "receive", *self.flags),
                probe=lambda: self.receiver.answers("/readyz"),
                grace=timedelta(seconds=3),
            ),
            replace(
                self._program("worker", "work"),
                probe=lambda: self.worker.answers("/healthz"),
                grace=timedelta(seconds=4),
            ),
            replace(
                self._program("api", "serve"),
                probe=lambda: self.api.answers("/readyz"),
                grace=timedelta(seconds=3),
            ),
        )

    def _program(self, name: str, verb: str, *flags: str) -> Program:
        config = () if verb == "inbox" else ("--config", str(self.configuration))
        return Program(
            name=name,
            argv=(*COMMAND, verb, *config, *flags),
            log=self.logs / f"{name}.log",
            environment=self.environment,
        )
