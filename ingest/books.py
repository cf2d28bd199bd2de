"""The books of the whole road, and whether they balance.

    received = pending + stored + duplicates + quarantined + dead
    stored   = running + finished + failed

Every sequence of the ALERTS stream and every letter of the receiver is in one of these. What was
acknowledged and is recorded nowhere is lost and named, and so is a message in quarantine whose
letter is missing. What JetStream itself recognised as a repeat was never received.

Pending is what remains when all else is counted, so the first equation always holds; what can show
that something is wrong is whatever is lost, a message that carries no run or a run that no message
carries, and a count below nothing.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec

from tocsin.bus import ALERTS, FAILED, LEDGER, dispatcher_consumer
from tocsin.domain.alert import TenantName
from tocsin.jetstream import Bus
from tocsin.store.balance import Entries, entries, gaps, unlettered
from tocsin.store.database import Database

_MOST_NAMED: Final = 100


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the books at one moment.

    Attributes:
        received: Events taken from senders.
        pending: Waiting to be dispatched.
        duplicates: Events that were there before.
        quarantined: Events that are no alert.
        stored: Alerts whose workflow was accepted.
        started: The same, counted from the moment of the start.
        running: Alerts whose workflow runs.
        finished: Alerts that are done.
        failed: Alerts whose workflow ended otherwise.
        dead: Alerts that could not be dispatched.
        balanced: True when nothing is lost, every run has its message, and nothing is negative.
        lost: Sequences of ALERTS that were acknowledged and are recorded nowhere, or are in
            quarantine without a letter (at most 100 of each).
    """

    received: int
    pending: int
    duplicates: int
    quarantined: int
    stored: int
    started: int
    running: int
    finished: int
    failed: int
    dead: int
    balanced: bool
    lost: tuple[int, ...] = ()

    @property
    def settled(self) -> bool:
        """True when nothing waits and nothing runs."""
        return self.pending == 0 and self.running == 0


async def balance(bus: Bus, database: Database, tenants: Iterable[TenantName]) -> Balance:
    """Close the books for a moment.

    The order matters while work goes on: what was acknowledged is asked before what is recorded,
    and what was received after it, so that a message on its way is pending and never lost. Letters
    on their way to PostgreSQL are asked before, too: one may be counted twice for a moment, on both
    sides, and none is overlooked.

    Raises:
        Unavailable: JetStream or PostgreSQL is away.
    """
    epoch = await bus.stock.epoch(ALERTS)
    floor = await _acknowledged(bus, tenants)
    unrecorded = await _unrecorded(bus, database, epoch, floor)
    ledger = await bus.stock.consumer(FAILED, LEDGER)
    unread = (ledger.num_pending or 0) + (ledger.num_ack_pending or 0) if ledger else 0
    missing = () if unread else await unlettered(database, epoch, last=floor, limit=_MOST_NAMED)
    counts = await entries(database, epoch=epoch)
    last = (await bus.stock.stream(ALERTS)).state.last_seq
    return close(counts, last=last, unread=unread, unrecorded=unrecorded, unlettered=missing)


def close(
    counts: Entries,
    *,
    last: int,
    unread: int,
    unrecorded: tuple[int, ...] = (),
    unlettered: tuple[int, ...] = (),
) -> Balance:
    """Make the balance of what was counted.

    Args:
        counts: What PostgreSQL knows.
        last: Last sequence of ALERTS.
        unread: Letters that the ledger has not read.
        unrecorded: Sequences that were acknowledged and are recorded nowhere.
        unlettered: Sequences that are in quarantine without a letter.
    """
    stored = counts.running + counts.finished + counts.failed
    pending = last - counts.recorded - len(unrecorded) + counts.received + unread
    duplicates = counts.m_duplicate + counts.superseded + counts.redriven
    quarantined = counts.m_quarantine + counts.refused - counts.redriven
    received = last + counts.earlier + counts.refused + unread
    lost = (*unrecorded, *unlettered)
    runs = counts.received + stored + counts.dead + counts.superseded
    return Balance(
        received=received,
        pending=pending,
        duplicates=duplicates,
        quarantined=quarantined,
        stored=stored,
        started=counts.started,
        running=counts.running,
        finished=counts.finished,
        failed=counts.failed,
        dead=counts.dead,
        balanced=not lost and runs == counts.m_alert and min(pending, duplicates, quarantined) >= 0,
        lost=lost,
    )


async def _acknowledged(bus: Bus, tenants: Iterable[TenantName]) -> int:
    """Every message up to here was acknowledged by its tenant's dispatcher, or waits for none."""
    last = (await bus.stock.stream(ALERTS)).state.last_seq
    consumers = await asyncio.gather(
        *(bus.stock.consumer(ALERTS, dispatcher_consumer(tenant)) for tenant in tenants)
    )
    floors = [
        consumer.ack_floor.stream_seq if consumer.ack_floor else 0
        for consumer in consumers
        if consumer and (consumer.num_pending or consumer.num_ack_pending)
    ]
    return min(floors, default=last)


async def _unrecorded(bus: Bus, database: Database, epoch: int, floor: int) -> tuple[int, ...]:
    """Acknowledged sequences without a record; a message of a tenant without a file only waits."""
    missing = await gaps(database, epoch=epoch, last=floor, limit=_MOST_NAMED)
    lost = []
    for sequence in missing:
        message = await bus.stock.message(ALERTS, sequence)
        subject = (message.subject or "") if message else ""
        tenant = TenantName(subject.rpartition(".")[2])
        consumer = await bus.stock.consumer(ALERTS, dispatcher_consumer(tenant))
        waits = consumer and (consumer.num_pending or consumer.num_ack_pending)
        floor = consumer.ack_floor.stream_seq if consumer and consumer.ack_floor else 0
        acknowledged = consumer is not None and (not waits or sequence <= floor)
        if message is None or acknowledged:
            lost.append(sequence)
    return tuple(lost)
