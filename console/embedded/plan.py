"""From options and the data directory to the programs that will run."""

import os
from dataclasses import dataclass
from pathlib import Path

from console.embedded import configuration, state
from console.embedded.endpoints import Endpoints
from console.embedded.nats import Nats
from console.embedded.options import PROCESSES, SERVERS, StackOptions
from console.embedded.postgres import Postgres
from console.embedded.processes import InboxListener, Listener, Processes
from console.embedded.program import Program
from console.embedded.state import State
from console.embedded.temporal import Temporal
from console.embedded.vault import Vault
from console.processes.web import require_safe


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The parts of one stack, before any of them runs.

    Attributes:
        options: What was asked.
        state: What is kept.
        postgres: The database server.
        nats: The message server.
        temporal: The workflow server.
        vault: The secrets server.
        processes: Our own processes.
    """

    options: StackOptions
    state: State
    postgres: Postgres
    nats: Nats
    temporal: Temporal
    vault: Vault
    processes: Processes

    def servers(self) -> list[Program]:
        """The servers that were not left out."""
        every = {
            "postgres": self.postgres.program,
            "nats": self.nats.program,
            "temporal": self.temporal.program,
            "vault": self.vault.program,
        }
        return [every[name]() for name in SERVERS if name not in self.options.without]

    def migrations(self) -> list[Program]:
        """What runs once between servers and processes."""
        return [] if "migrate" in self.options.without else [self.processes.migration()]

    def own(self) -> list[Program]:
        """Our processes that were not left out."""
        every = self.processes.programs()
        return [program for program in every if program.name not in self.options.without]

    def gaps(self) -> list[str]:
        """Say which process has to do without a part that it needs."""
        present = [name for name in PROCESSES if name not in self.options.without]
        lacking = {name: self.options.lacking(name) for name in present}
        return [
            f"{name} needs {' and '.join(parts)}, left out of this start"
            for name, parts in lacking.items()
            if parts
        ]

    def addresses(self) -> dict[str, tuple[str, int]]:
        """Part to host and port, of all that will listen."""
        ports = self.state.ports
        taken = {
            **{name: ("127.0.0.1", port) for name, port in ports.items()},
            "receiver": self.processes.receiver.address,
            "worker": self.processes.worker.address,
            "api": self.processes.api.address,
        }
        absent = self.options.without
        return {name: place for name, place in taken.items() if name.split("_")[0] not in absent}

    def endpoints(self, pids: dict[str, int]) -> Endpoints:
        """Describe the stack to its clients; where a part is left out, nothing leads to it."""
        secrets, own = self.state.secrets, self.processes
        metrics = {
            "receiver": f"{own.receiver.url}/metrics",
            "worker": f"{own.worker.url}/metrics",
            "api": f"{own.api.url}/metrics",
            "temporal": self.temporal.metrics,
        }
        return Endpoints(
            receiver=self._of("receiver", own.receiver.url),
            receiver_listen=self._of("receiver", own.receiver.listen),
            receiver_certificate=self._of("receiver", own.receiver.certificate),
            hook=self._of("receiver", f"{own.receiver.url}/v1/hook/{secrets['capability']}"),
            api=self._of("api", own.api.url),
            tenant=configuration.DEMO,
            token=secrets["token"],
            operator_token=secrets["operator_token"],
            postgres=self._of("postgres", self.postgres.dsn),
            nats=self._of("nats", self.nats.url),
            nats_ingest={} if "nats" in self.options.without else self.nats.publishers(),
            temporal=self._of("temporal", self.temporal.address),
            temporal_ui=self._of("temporal", self.temporal.ui),
            vault=self._of("vault", self.vault.address),
            vault_token=self._of("vault", self.vault.root_token),
            inbox_http=self._of("inbox", own.inbox.url),
            configuration=str(own.configuration),
            metrics={name: url for name, url in metrics.items() if self._of(name, url)},
            pid=os.getpid(),
            pids=pids,
        )

    def _of(self, part: str, place: str) -> str:
        return "" if part in self.options.without else place


def make_plan(options: StackOptions) -> Plan:
    """Read the data directory, write what it lacks, and lay out the parts.

    Raises:
        ConfigError: The operator's `tocsin.yaml` cannot be read, or a process of ours could not
            listen as it is asked to.
    """
    folder = options.data_dir.resolve()
    kept = state.load(folder, configuration.tenant_names(folder))
    settings = options.settings
    postgres = Postgres(
        folder=folder / "postgres",
        port=kept.ports["postgres"],
        password=kept.secrets["postgres"],
        settings=settings.postgres,
    )
    return Plan(
        options=options,
        state=kept,
        postgres=postgres,
        nats=Nats(folder=folder / "nats", state=kept, settings=settings.nats),
        temporal=Temporal(folder=folder / "temporal", ports=kept.ports, settings=settings.temporal),
        vault=Vault(folder=folder / "vault", state=kept, settings=settings.vault),
        processes=_own_processes(options, folder, kept, postgres.dsn),
    )


def _own_processes(options: StackOptions, folder: Path, kept: State, dsn: str) -> Processes:
    file = configuration.write_missing(folder, kept, dsn)
    environment = configuration.own_environment(kept)
    settings = configuration.own_settings(file, environment, options.receiver_settings)
    receiver, api = settings.receiver, settings.api
    require_safe(receiver.listen, receiver.tls_cert, receiver.tls_key, insecure=receiver.insecure)
    require_safe(api.listen, api.tls_cert, api.tls_key)
    return Processes(
        options=options,
        configuration=file,
        logs=folder / "log",
        environment=environment,
        receiver=Listener(listen=receiver.listen, tls_cert=receiver.tls_cert),
        worker=Listener(listen=settings.worker.metrics_listen),
        api=Listener(listen=api.listen, tls_cert=api.tls_cert),
        inbox=InboxListener(
            http=kept.ports["inbox_http"],
            smtp=kept.ports["inbox_smtp"],
            username=configuration.SMTP_USER,
            password=folder / "secrets" / "smtp_password",
        ),
    )
