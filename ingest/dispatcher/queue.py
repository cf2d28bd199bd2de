"""One tenant's queue: from messages on the stream to running workflows.

A batch is written to PostgreSQL in one statement, each alert's workflow is started, and only then
are the messages acknowledged. Nothing is lost by a crash: whatever comes before the acknowledgement
can be done again with the same result. Each tenant has a queue of its own, so that a flood, or a
message that keeps failing, delays nobody else.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog

from ingest.dispatcher.patience import Patience, Stopping
from ingest.dispatcher.reader import Reader, Reading
from ingest.dispatcher.starter import Starter
from ingest.letters import Kind, Letter, Stage
from tocsin.bus import ALERTS, dispatcher_consumer
from tocsin.domain.alert import AlertRef, TenantName
from tocsin.errors import BusUnavailable, MessageFault
from tocsin.jetstream import Bus
from tocsin.pulling import Delivery, Subscription
from tocsin.settings import WorkerSettings
from tocsin.store import alerts
from tocsin.store.database import Database
from tocsin.store.events import Arrival, Owner, count_attempt, record
from tocsin.store.recent import RecentAlerts
from tocsin.telemetry import DISPATCH_SECONDS, DISPATCHED, HELD, LAST_FETCH

log = structlog.get_logger()

_FETCH_WAIT: Final = timedelta(seconds=1)
_RETRY_PAUSE: Final = 1.0


class TenantQueue:
    """Takes one tenant's messages to their workflows.

    Args:
        tenant: Whose.
        bus: The stream.
        database: Where events and alerts are recorded.
        recent: Remembers the alerts for the activities of this process.
        starter: Starts workflows.
        reader: Turns messages into alerts.
        patience: Holds on while a dependency is away.
        settings: Batch size, attempts, waiting times.
    """

    def __init__(
        self,
        tenant: TenantName,
        *,
        bus: Bus,
        database: Database,
        recent: RecentAlerts,
        starter: Starter,
        reader: Reader,
        patience: Patience,
        settings: WorkerSettings,
    ) -> None:
        self._tenant = tenant
        self._bus = bus
        self._database = database
        self._recent = recent
        self._starter = starter
        self._reader = reader
        self._patience = patience
        self._settings = settings

    async def run(self) -> None:
        """Fetch and dispatch until the process drains."""
        while not self._patience.stopping.is_set():
            try:
                epoch = await self._bus.stock.epoch(ALERTS)
                subscription = await self._bus.pull(ALERTS, dispatcher_consumer(self._tenant))
                await self._follow(subscription, epoch)
            except BusUnavailable as error:
                log.warning("dependency_away", tenant=self._tenant, error=str(error))
                await self._patience.pause(_RETRY_PAUSE)
            except Stopping:
                return
            except MessageFault as fault:
                # Not even its burial is accepted: it waits, kept, and others of the tenant go on.
                log.error("message_unburied", tenant=self._tenant, error=str(fault))  # noqa: TRY400
                DISPATCHED.labels(self._tenant, "unburied").inc()
                await self._patience.pause(_RETRY_PAUSE)

    async def _follow(self, subscription: Subscription, epoch: int) -> None:
        try:
            while not self._patience.stopping.is_set():
                messages = await self._patience.unless_stopping(
                    subscription.fetch(batch=self._settings.batch, wait=_FETCH_WAIT)
                )
                LAST_FETCH.labels(self._tenant).set_to_current_time()
                if messages:
                    await self._take(messages, epoch)
        finally:
            await subscription.close()

    async def _take(self, messages: Sequence[Delivery], epoch: int) -> None:
        """Dispatch a batch; a message that the database refuses is set apart from the others."""
        readings = [self._reader.read(message, epoch) for message in messages]
        async with self._kept(messages):
            try:
                await self._dispatch(readings, epoch)
            except MessageFault:
                for reading in readings:
                    await self._alone(reading, epoch)

    async def _alone(self, reading: Reading, epoch: int) -> None:
        try:
            await self._dispatch([reading], epoch)
        except MessageFault as fault:
            await self._count(reading, epoch, fault)

    async def _dispatch(self, readings: Sequence[Reading], epoch: int) -> None:
        arrivals = [reading.arrival for reading in readings]
        recorded = await self._patience.hold(
            partial(record, self._database, self._tenant, epoch, arrivals)
        )
        for reading in readings:
            if reading.arrival.sequence in recorded.quarantined:
                await self._quarantine(reading, epoch)
        started = await asyncio.gather(
            *(self._start(each, _owner(each.arrival, recorded.owners)) for each in readings)
        )
        running = [each for each in started if isinstance(each, tuple)]
        if running:
            await self._patience.hold(
                partial(alerts.mark_started, self._database, self._tenant, running)
            )
        own = {owner.sequence for owner in recorded.owners}
        for reading, outcome in zip(readings, started, strict=True):
            if isinstance(outcome, MessageFault):
                await self._count(reading, epoch, outcome)
            else:
                await reading.message.ack()
                sequence = reading.arrival.sequence
                quarantined, first = sequence in recorded.quarantined, sequence in own
                self._observe(
                    reading,
                    "quarantined" if quarantined else "started" if first else "duplicate",
                )

    async def _start(
        self, reading: Reading, owner: Owner | None
    ) -> tuple[AlertRef, str] | MessageFault | None:
        """Start one workflow; None when there is nothing to start.

        What is recorded is started, whatever the message reads like by now.
        """
        if owner is None or owner.state != "received":
            return None
        arrival = reading.arrival
        if arrival.alert and (owner.sequence, owner.ref) == (arrival.sequence, arrival.ref):
            self._recent.remember(owner.ref, arrival.alert)
        alert = await self._patience.hold(partial(self._recent.load, owner.ref))
        try:
            run_id = await self._patience.hold(partial(self._starter.start, owner.ref, alert))
        except MessageFault as fault:
            return fault
        return owner.ref, run_id

    async def _quarantine(self, reading: Reading, epoch: int) -> None:
        """Keep a message that is recorded as no alert on FAILED; doing it again changes nothing."""
        reason = reading.fault or "it was no alert when it was recorded; redrive reads it again"
        letter = self._letter(reading.arrival, epoch, Kind.QUARANTINE, reason)
        await self._patience.hold(partial(letter.post, self._bus))

    async def _count(self, reading: Reading, epoch: int, fault: MessageFault) -> None:
        """Count a fault of this message; after the last attempt it becomes a dead letter."""
        arrival = reading.arrival
        attempts = await self._patience.hold(
            partial(count_attempt, self._database, epoch, arrival.sequence)
        )
        log.warning(
            "message_fault",
            tenant=self._tenant,
            alert_id=arrival.ref.alert_id,
            attempt=attempts,
            error=str(fault),
        )
        if attempts < self._settings.max_attempts:
            DISPATCHED.labels(self._tenant, "retried").inc()
            await reading.message.retry(after=timedelta(seconds=_RETRY_PAUSE * attempts))
            return
        await self._bury(arrival, epoch, attempts, str(fault))
        await reading.message.ack()
        DISPATCHED.labels(self._tenant, "dead").inc()

    async def _bury(self, arrival: Arrival, epoch: int, attempts: int, reason: str) -> None:
        """Keep the message as a dead letter: on FAILED first, then in the books."""
        letter = self._letter(arrival, epoch, Kind.DEAD, reason, attempts)
        await self._patience.hold(partial(letter.post, self._bus))
        dead = arrival.buried()
        recorded = await self._patience.hold(
            partial(record, self._database, self._tenant, epoch, [dead])
        )
        owner = _owner(arrival, recorded.owners)
        ref = owner.ref if owner else arrival.ref
        await self._patience.hold(
            partial(alerts.mark_ended, self._database, ref, state="dead", error=reason)
        )

    def _letter(
        self, arrival: Arrival, epoch: int, kind: Kind, reason: str, attempts: int = 1
    ) -> Letter:
        return Letter(
            tenant=self._tenant,
            source=arrival.source,
            kind=kind,
            stage=Stage.DISPATCH,
            reason=reason,
            received_at=arrival.received_at,
            raw=arrival.raw,
            attempts=attempts,
            alert_id=arrival.ref.alert_id if kind is Kind.DEAD else "",
            epoch=epoch,
            sequence=arrival.sequence,
        )

    def _observe(self, reading: Reading, outcome: str) -> None:
        DISPATCHED.labels(self._tenant, outcome).inc()
        lag = (datetime.now(UTC) - reading.arrival.received_at).total_seconds()
        DISPATCH_SECONDS.labels(self._tenant).observe(max(lag, 0.0))

    @asynccontextmanager
    async def _kept(self, messages: Sequence[Delivery]) -> AsyncIterator[None]:
        """Keep the messages ours while they are held; hand them back when the process drains."""
        HELD.labels(self._tenant).set(len(messages))
        keeper = asyncio.create_task(self._keep(messages))
        try:
            yield
        finally:
            keeper.cancel()
            HELD.labels(self._tenant).set(0)
            for message in messages:
                if not message.settled:
                    with suppress(BusUnavailable):
                        await message.retry()

    async def _keep(self, messages: Sequence[Delivery]) -> None:
        while True:
            await asyncio.sleep(self._settings.ack_wait.total_seconds() / 3)
            for message in messages:
                if not message.settled:
                    with suppress(BusUnavailable):
                        await message.keep()


def _owner(arrival: Arrival, owners: Sequence[Owner]) -> Owner | None:
    """The row that stands for a message: its own, or that of the run it repeats."""
    by_sequence = (owner for owner in owners if owner.sequence == arrival.sequence)
    by_run = (owner for owner in owners if owner.ref == arrival.ref)
    return next(by_sequence, None) or next(by_run, None)
