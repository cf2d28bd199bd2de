"""The janitor: makes room on the streams of what is finished, and never of what is not.

Processed messages stay for replay as long as the settings say, but give way before a tenant's bound
is reached: past 70 % of it, everything up to what the tenant has finished is purged. A burst may
reach the bound before that; then the receiver asks for room, and refuses only when there is none.
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import structlog

from ingest.dispatcher.patience import Patience
from tocsin import bus as names
from tocsin.domain.alert import TenantName
from tocsin.errors import Unavailable
from tocsin.jetstream import Bus
from tocsin.settings import NatsSettings
from tocsin.store import balance
from tocsin.store.database import Database
from tocsin.streams import FAILED_SHARE

log = structlog.get_logger()

FULL: Final = 0.7
# How full the tenants are is one small question; what has grown old can wait.
_LOOK_SECONDS: Final = 0.25
_OLD_SECONDS: Final = 30.0


class Janitor:
    """Purges finished messages.

    Args:
        bus: The streams.
        database: What is finished.
        tenants: Whose messages.
        settings: Bounds, and how long messages are kept.
        patience: Ends the work when the process drains.
    """

    def __init__(
        self,
        bus: Bus,
        database: Database,
        tenants: Iterable[TenantName],
        settings: NatsSettings,
        patience: Patience,
    ) -> None:
        self._bus = bus
        self._database = database
        self._tenants = tuple(tenants)
        self._settings = settings
        self._patience = patience

    async def run(self) -> None:
        """Tidy until the process drains."""
        await self._bus.serve(names.ROOM_SUBJECTS, names.JANITOR, self._serve)
        due = time.monotonic()
        while not self._patience.stopping.is_set():
            await self._patience.pause(_LOOK_SECONDS)
            try:
                await self.make_room()
                if time.monotonic() >= due:
                    await self.forget()
                    due = time.monotonic() + _OLD_SECONDS
            except Unavailable as error:
                log.warning("dependency_away", dependency=error.dependency, error=str(error))

    async def make_room(self) -> None:
        """Purge what is finished of every tenant that is past 70 % of its bound.

        Past 70 % of the bytes that the whole stream may hold, that means everybody.

        Raises:
            Unavailable: JetStream or PostgreSQL is away.
        """
        alerts = await self._bus.stock.holdings(names.ALERTS, names.INGEST_SUBJECTS)
        failed = await self._bus.stock.holdings(names.FAILED, names.FAILED_SUBJECTS)
        crowded = alerts.bytes > FULL * self._settings.max_bytes
        piled = failed.bytes > FULL * self._settings.max_bytes / FAILED_SHARE
        for tenant in self._tenants:
            if crowded or self._is_full(alerts.messages.get(names.ingest_subject(tenant), 0)):
                await self._purge_finished(tenant, before=datetime.now(UTC))
            if piled or self._is_full(failed.messages.get(names.failed_subject(tenant), 0)):
                await self._purge_letters(tenant)

    async def forget(self) -> None:
        """Purge what is finished and older than the settings keep.

        Raises:
            Unavailable: JetStream or PostgreSQL is away.
        """
        for tenant in self._tenants:
            await self._purge_finished(tenant, before=datetime.now(UTC) - self._settings.keep)

    async def make_room_for(self, tenant: TenantName) -> None:
        """Make room for the one tenant that a receiver asks for.

        An alert may take an hour, while its receiver is away; what came after it must not refuse
        what comes next. So where what is finished makes too little room, what is dispatched goes:
        its bytes are in PostgreSQL, and its workflow runs.

        Raises:
            Unavailable: JetStream or PostgreSQL is away.
        """
        await self._purge_finished(tenant, before=datetime.now(UTC))
        for each in await self._crowding(tenant):
            await self._purge_acknowledged(
                names.ALERTS, names.dispatcher_consumer(each), names.ingest_subject(each)
            )
        await self._purge_letters(tenant)

    async def _serve(self, subject: str) -> None:
        try:
            await self.make_room_for(TenantName(subject.rpartition(".")[2]))
        except Unavailable as error:
            log.warning("dependency_away", dependency=error.dependency, error=str(error))

    async def _crowding(self, tenant: TenantName) -> tuple[TenantName, ...]:
        """Who holds so much that there is still no room for a tenant: itself, or everybody."""
        subject = names.ingest_subject(tenant)
        held = await self._bus.stock.holdings(names.ALERTS, subject)
        if held.bytes > FULL * self._settings.max_bytes:
            return self._tenants
        return (tenant,) if self._is_full(held.messages.get(subject, 0)) else ()

    async def _purge_finished(self, tenant: TenantName, *, before: datetime) -> None:
        consumer = await self._bus.stock.consumer(names.ALERTS, names.dispatcher_consumer(tenant))
        if consumer is None or consumer.ack_floor is None:
            return
        subject = names.ingest_subject(tenant)
        holdings = await self._bus.stock.holdings(names.ALERTS, subject)
        below = await balance.finished_below(
            self._database,
            tenant,
            epoch=await self._bus.stock.epoch(names.ALERTS),
            sequences=(holdings.first, consumer.ack_floor.stream_seq),
            before=before,
        )
        await self._purge(names.ALERTS, subject, below)

    async def _purge_letters(self, tenant: TenantName) -> None:
        """Letters are all in PostgreSQL once the ledger has acknowledged them."""
        await self._purge_acknowledged(names.FAILED, names.LEDGER, names.failed_subject(tenant))

    async def _purge_acknowledged(self, stream: str, consumer: str, subject: str) -> None:
        state = await self._bus.stock.consumer(stream, consumer)
        if state and state.ack_floor:
            await self._purge(stream, subject, state.ack_floor.stream_seq + 1)

    async def _purge(self, stream: str, subject: str, below: int) -> None:
        purged = await self._bus.stock.purge(stream, subject, below=below)
        if purged:
            log.info("stream_purged", stream=stream, subject=subject, below=below, purged=purged)

    def _is_full(self, held: int) -> bool:
        return held > FULL * self._settings.max_messages_per_tenant
