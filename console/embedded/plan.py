"""From options and the data directory to the programs that will run."""

import os
from dataclasses import dataclass
from pathlib import Path

from console.embedded import configuration, state
from console.embedded.endpoints import Endpoints
from console.embedded.nats import Nats
from console.embedded.options import SERVERS, StackOptions
from console.embedded.postgres import Postgres
from console.embedded.processes import InboxListener, Listener, Processes
from console.embedded.program import Program
from console.embedded.state import State
from console.embedded.temporal import Temporal
from console.embedded.vault import Vault


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
        """Describe the stack to its clients."""
        ports, secrets, own = self.state.ports, self.state.secrets, self.processes
        return Endpoints(
            receiver=own.receiver.url,
            receiver_certificate=own.receiver.certificate,
            hook=f"{own.receiver.url}/v1/hook/{secrets['capability']}",
            api=own.api.url,
            tenant=configuration.DEMO,
            token=secrets["token"],
            operator_token=secrets["operator_token"],
            postgres=self.postgres.dsn,
            nats=self.nats.url,
            nats_ingest=self.nats.publishers(),
            temporal=self.temporal.address,
            temporal_ui=self.temporal.ui,
            vault=self.vault.address,
            vault_token=self.vault.root_token,
            inbox_http=f"http://127.0.0.1:{ports['inbox_http']}",
            inbox_smtp=f"127.0.0.1:{ports['inbox_smtp']}",
            configuration=str(own.configuration),
            metrics={
                "receiver": f"{own.receiver.url}/metrics",
                "worker": f"{own.worker.url}/metrics",
                "api": f"{own.api.url}/metrics",
                "temporal": self.temporal.metrics,
            },
            pid=os.getpid(),
            pids=pids,
        )


def make_plan(options: StackOptions) -> Plan:
    """Read the data directory, write what it lacks, and lay out the parts.

    Raises:
        ConfigError: The operator's `tocsin.yaml` cannot be read.
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
    listeners = configuration.read_listeners(file)
    receiver = listeners["receiver"]
    return Processes(
        configuration=file,
        logs=folder / "log",
        environment=configuration.own_environment(kept),
        receiver=Listener(
            listen=options.listen or receiver.listen,
            tls_cert=options.tls_cert or receiver.tls_cert,
        ),
        worker=listeners["worker"],
        api=listeners["api"],
        inbox=InboxListener(
            http=kept.ports["inbox_http"],
            smtp=kept.ports["inbox_smtp"],
            username=configuration.SMTP_USER,
            password=folder / "secrets" / "smtp_password",
        ),
        flags=options.receiver_flags,
        missing=tuple(name for name in SERVERS if name in options.without),
    )
