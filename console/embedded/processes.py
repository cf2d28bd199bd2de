"""Our own processes, run from the same interpreter as the command."""

import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from console.embedded.options import SERVERS, StackOptions
from console.embedded.program import Probe, Program, always, answers
from tocsin.fields import split_address

# -P: a folder named `console` where the operator happens to stand is not ours.
COMMAND = (sys.executable, "-P", "-m", "console.main")
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - a lookup


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
        """Host and port to listen on."""
        return split_address(self.listen)

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

    @property
    def url(self) -> str:
        """Base URL of its HTTP endpoint."""
        return f"http://127.0.0.1:{self.http}"

    async def answers(self) -> bool:
        """Probe it."""
        return await answers(f"{self.url}/healthz")


@dataclass(frozen=True, kw_only=True)
class Processes:
    """The processes of tocsin.

    Attributes:
        options: What was asked of the stack.
        configuration: The `tocsin.yaml` that all of them read.
        logs: Folder of their logs.
        environment: Their environment variables.
        receiver: Where the receiver listens.
        worker: Where the worker's metrics are.
        api: Where the operators' interface listens.
        inbox: Where the demo tenant's notifications go.
    """

    options: StackOptions
    configuration: Path
    logs: Path
    environment: Mapping[str, str]
    receiver: Listener
    worker: Listener
    api: Listener
    inbox: InboxListener

    def migration(self) -> Program:
        """Create or update schema, streams and namespace, of the servers that run, and end."""
        missing = ",".join(name for name in SERVERS if name in self.options.without)
        flags = ("--without", missing) if missing else ()
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
                self._program("receiver", "receive", *self.options.receiver_flags),
                probe=lambda: self.receiver.answers("/healthz"),
                able=self._able("receiver", self.receiver),
                grace=timedelta(seconds=3),
            ),
            replace(
                self._program("worker", "work"),
                probe=lambda: self.worker.answers("/healthz"),
                grace=timedelta(seconds=4),
            ),
            replace(
                self._program("api", "serve"),
                probe=lambda: self.api.answers("/healthz"),
                able=self._able("api", self.api),
                grace=timedelta(seconds=3),
            ),
        )

    def _able(self, name: str, listener: Listener) -> Probe:
        """Whether it can do its work, which nobody waits for where a part of that is left out."""
        return always if self.options.lacking(name) else lambda: listener.answers("/readyz")

    def _program(self, name: str, verb: str, *flags: str) -> Program:
        config = () if verb == "inbox" else ("--config", str(self.configuration))
        return Program(
            name=name,
            argv=(*COMMAND, verb, *config, *flags),
            log=self.logs / f"{name}.log",
            environment=self.environment,
        )
