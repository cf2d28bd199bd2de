"""What the operators' interface asks: opened when first needed, so that it starts without them."""

import asyncio
from collections.abc import Mapping

import structlog

from console.processes.clients import Clients
from ingest.redrive import Redriver
from tocsin.bus import ALERTS
from tocsin.domain.alert import TenantName
from tocsin.errors import BusUnavailable, TocsinError
from tocsin.jetstream import Bus
from tocsin.store.database import Database
from tocsin.tenants import TenantConfig

log = structlog.get_logger()


class Backends:
    """PostgreSQL and JetStream.

    Args:
        clients: Opens them, and closes them at the end.
        tenants: The tenant files.
    """

    def __init__(self, clients: Clients, tenants: Mapping[TenantName, TenantConfig]) -> None:
        self.tenants = tenants
        self._clients = clients
        self._opening = asyncio.Lock()
        self._database: Database | None = None
        self._bus: Bus | None = None

    async def database(self) -> Database:
        """PostgreSQL.

        Raises:
            SecretMissing: The reference to its URL leads nowhere.
            VaultUnavailable: Its URL is in Vault, and Vault is away.
        """
        async with self._opening:
            if self._database is None:
                self._database = await self._clients.database()
            return self._database

    async def bus(self) -> Bus:
        """JetStream.

        Raises:
            BusUnavailable: It is not connected.
            SecretMissing: The reference to its password leads nowhere.
            VaultUnavailable: Its password is in Vault, and Vault is away.
        """
        async with self._opening:
            if self._bus is None:
                self._bus = await self._clients.bus(wait=False)
        if not self._bus.connected:
            raise BusUnavailable("NATS is not connected")
        return self._bus

    async def redriver(self) -> Redriver:
        """What publishes again.

        Raises:
            SecretMissing: As above.
            Unavailable: As above.
        """
        most = self._clients.settings.receiver.max_events
        return Redriver(await self.bus(), await self.database(), self.tenants, max_events=most)

    async def report(self) -> dict[str, str]:
        """Dependency to `ok` or `away`."""
        questions = {"postgres": self._ask_database(), "nats": self._ask_bus()}
        answers = await asyncio.gather(*questions.values(), return_exceptions=True)
        return {name: _state(name, answer) for name, answer in zip(questions, answers, strict=True)}

    async def _ask_database(self) -> None:
        await (await self.database()).ping()

    async def _ask_bus(self) -> None:
        await (await self.bus()).stream(ALERTS)


def _state(name: str, answer: BaseException | None) -> str:
    if answer is None:
        return "ok"
    if not isinstance(answer, TocsinError):
        raise answer
    log.info("dependency_away", dependency=name, error=str(answer))
    return "away"
