"""What `doctor` looks at: each dependency asked directly, and what to do where it is wrong."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from console.embedded.processes import Listener
from console.processes.clients import Clients
from migrations.upgrade import revisions
from tocsin import namespace, streams
from tocsin.domain.alert import TenantName
from tocsin.errors import BusUnavailable, TocsinError
from tocsin.secrets import references
from tocsin.settings import Settings
from tocsin.store.tenants import Deserted, find_deserted
from tocsin.tenant_files import survey_tenants
from tocsin.tenants import TenantConfig
from tocsin.vault_session import VaultSession

_PATIENCE: Final = 8.0
_CONNECT_WITHIN: Final = 3.0
_MIGRATE: Final = "run `tocsin migrate`"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """How one dependency is.

    Attributes:
        check: What was looked at.
        ok: True when nothing is wrong.
        found: What is there, or what is wrong.
        advice: What to do; empty when nothing is wrong.
    """

    check: str
    ok: bool
    found: str
    advice: str = ""


class Trouble(TocsinError):
    """Something is wrong with a dependency that answers.

    Attributes:
        advice: What to do.
    """

    def __init__(self, message: str, *, advice: str) -> None:
        self.advice = advice
        super().__init__(message)


class Checkup:
    """Looks at everything that an installation needs.

    Args:
        settings: Where everything should be.
        clients: Opens what is asked.
        receiver: Where the receiver is, if not where the settings say.
    """

    def __init__(
        self, settings: Settings, clients: Clients, receiver: Listener | None = None
    ) -> None:
        self._receiver = receiver
        self._settings = settings
        self._clients = clients
        self._survey = survey_tenants(settings.tenants)

    async def run(self) -> list[Finding]:
        """Look at all of it, at once."""
        checks: dict[str, tuple[Callable[[], Awaitable[str]], str]] = {
            "tenants": (self._tenants, "`tocsin config lint` says where"),
            "secrets": (self._secrets, "`tocsin secrets check` tries each of them"),
            "vault": (self._vault, "look at vault.address and what we log in by"),
            "nats": (self._nats, "is NATS running there? look at nats.url, user and password"),
            "postgres": (self._postgres, "is PostgreSQL running there? look at postgres.dsn"),
            "temporal": (self._temporal, "is Temporal running there? look at temporal.address"),
            **self._processes(),
        }
        return list(
            await asyncio.gather(
                *(_look(name, ask, advice) for name, (ask, advice) in checks.items())
            )
        )

    @property
    def _tenant_files(self) -> Mapping[TenantName, TenantConfig]:
        return self._survey.tenants

    async def _tenants(self) -> str:
        problems = self._survey.problems
        if problems:
            raise Trouble(
                f"{len(problems)} problems, the first: {problems[0]}",
                advice="`tocsin config lint` lists them all",
            )
        if deserted := await self._deserted():
            raise Trouble(
                "; ".join(
                    f"no sound file for {each.tenant}, of whom wait: "
                    f"alerts {each.alerts}, notifications {each.notifications}"
                    for each in deserted
                ),
                advice="restore the file and restart the processes, so that they are worked off",
            )
        return f"{', '.join(self._tenant_files)} in {self._settings.tenants}"

    async def _deserted(self) -> list[Deserted]:
        """Tenants that are missed; none while PostgreSQL cannot say, which is its own finding."""
        try:
            return await find_deserted(await self._clients.database(), self._tenant_files)
        except TocsinError:
            return []

    async def _secrets(self) -> str:
        listed = references(self._settings, self._tenant_files)
        missing = [each for each in await self._clients.secrets.check(listed) if not each.ok]
        if missing:
            raise Trouble(
                "; ".join(f"{each.where}: {each.problem}" for each in missing),
                advice="put the values where the references lead, or correct the references",
            )
        return f"{len(listed)} references lead to values"

    async def _vault(self) -> str:
        vault = self._settings.vault
        if not vault.address:
            return "not used"
        session = VaultSession(vault, self._clients.secrets.resolve)
        try:
            await session.open()
        finally:
            await session.close()
        return f"lets us in at {vault.address}"

    async def _nats(self) -> str:
        nats = self._settings.nats
        try:
            async with asyncio.timeout(_CONNECT_WITHIN):
                bus = await self._clients.bus()
        except TimeoutError:
            message = f"{nats.url} does not answer, or does not let {nats.user or 'us'} in"
            raise BusUnavailable(message) from None
        lacking = await streams.find_missing(bus, nats, self._settings.worker, self._tenant_files)
        if lacking:
            raise Trouble(f"JetStream lacks {'; '.join(lacking)}", advice=_MIGRATE)
        return f"streams and consumers are there, at {nats.url}"

    async def _postgres(self) -> str:
        present, head = await revisions(await self._clients.database())
        if present != head:
            raise Trouble(
                f"the schema is at revision {present or 'none'}, not {head}", advice=_MIGRATE
            )
        return f"the schema is at revision {head}"

    async def _temporal(self) -> str:
        temporal = self._settings.temporal
        if lacking := await namespace.find_missing(temporal):
            raise Trouble(f"Temporal lacks {', '.join(lacking)}", advice=_MIGRATE)
        return f"namespace {temporal.namespace} and search attributes, at {temporal.address}"

    def _processes(self) -> dict[str, tuple[Callable[[], Awaitable[str]], str]]:
        """Our own processes, by what they answer."""
        receiver, worker, api = self._settings.receiver, self._settings.worker, self._settings.api
        configured = Listener(listen=receiver.listen, tls_cert=receiver.tls_cert)
        places = {
            "receiver": (self._receiver or configured, "/readyz", "receive"),
            "worker": (Listener(listen=worker.metrics_listen), "/healthz", "work"),
            "api": (Listener(listen=api.listen, tls_cert=api.tls_cert), "/readyz", "serve"),
        }

        def ask(listener: Listener, path: str, verb: str) -> Callable[[], Awaitable[str]]:
            async def answer() -> str:
                if not await listener.answers(path):
                    raise Trouble(
                        f"{listener.url}{path} does not answer 200",
                        advice=f"is `tocsin {verb}` running there? its log says more",
                    )
                return f"answers at {listener.url}"

            return answer

        return {
            name: (ask(listener, path, verb), "") for name, (listener, path, verb) in places.items()
        }


async def check_up(settings: Settings, receiver: Listener | None = None) -> list[Finding]:
    """Look at everything that an installation needs.

    Args:
        settings: Where everything should be.
        receiver: Where the receiver is, if not where the settings say.
    """
    async with Clients(settings, "doctor") as clients:
        return await Checkup(settings, clients, receiver).run()


async def _look(name: str, ask: Callable[[], Awaitable[str]], advice: str) -> Finding:
    try:
        async with asyncio.timeout(_PATIENCE):
            return Finding(check=name, ok=True, found=await ask())
    except Trouble as trouble:
        return Finding(check=name, ok=False, found=str(trouble), advice=trouble.advice)
    except TocsinError as error:
        return Finding(check=name, ok=False, found=str(error), advice=advice)
    except TimeoutError:
        found = f"no answer within {_PATIENCE:.0f} s"
        return Finding(check=name, ok=False, found=found, advice=advice)
