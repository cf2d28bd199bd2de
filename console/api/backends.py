"""What the operators' interface asks: opened when first needed, so that it starts without them."""

import asyncio
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from typing import Any, Final, TypeVar

import structlog

from console.api.patience import Patience
from console.processes.clients import Clients
from ingest.redrive import Redriver
from tocsin.bus import ALERTS
from tocsin.domain.alert import TenantName
from tocsin.errors import BusUnavailable, TocsinError
from tocsin.jetstream import Bus
from tocsin.store.database import Database
from tocsin.tenants import TenantConfig

log = structlog.get_logger()

Answer = TypeVar("Answer")

# A little more than PostgreSQL gives a statement, so that its own word comes first.
_LONGEST_ANSWER: Final = timedelta(seconds=35)
_LONGEST_PROBE: Final = timedelta(seconds=5)


class Backends:
    """PostgreSQL and JetStream.

    Args:
        clients: Opens them, and closes them at the end.
        tenants: The tenant files.
        longest: How long one answer may take.
    """

    def __init__(
        self,
        clients: Clients,
        tenants: Mapping[TenantName, TenantConfig],
        *,
        longest: timedelta = _LONGEST_ANSWER,
    ) -> None:
        self.tenants = tenants
        self._longest = longest
        self._patience = Patience()
        self._clients = clients
        self._opening = asyncio.Lock()
        self._database: Database | None = None
        self._bus: Bus | None = None

    async def bound(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        """Await what asks them, but not for ever.

        Raises:
            Unavailable: One of them stands still.
        """
        return await self._patience.bound(question, self._longest)

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
        longest = min(self._longest, _LONGEST_PROBE)
        questions = {
            "postgres": self._patience.bound(self._ask_database(), longest),
            "nats": self._patience.bound(self._ask_bus(), longest),
        }
        answers = await asyncio.gather(*questions.values(), return_exceptions=True)
        return {name: _state(name, answer) for name, answer in zip(questions, answers, strict=True)}

    async def _ask_database(self) -> None:
        await (await self.database()).ping()

    async def _ask_bus(self) -> None:
        await (await self.bus()).stock.stream(ALERTS)


def _state(name: str, answer: BaseException | None) -> str:
    if answer is None:
        return "ok"
    if not isinstance(answer, TocsinError):
        raise answer
    log.info("dependency_away", dependency=name, error=str(answer))
    return "away"
