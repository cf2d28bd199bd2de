"""The dispatcher on the real stream and database, with a starter that fails as it is told."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from ingest.dispatcher.patience import Patience
from ingest.dispatcher.queue import TenantQueue
from ingest.dispatcher.reader import Reader
from ingest.dispatcher.starter import Starter
from ingest.sources.alertmanager import Alertmanager
from ingest.sources.base import Reading, Source
from ingest.sources.wazuh import Wazuh
from tests.road import Road, eventually, wazuh_alert
from tocsin import bus as names
from tocsin.domain.alert import Alert, AlertRef, TenantName
from tocsin.domain.identity import identify
from tocsin.errors import EngineUnavailable, MessageFault
from tocsin.settings import WorkerSettings
from tocsin.store.events import Arrival, record
from tocsin.store.recent import RecentAlerts
from tocsin.streams import provide_consumers

_FINISH = text("UPDATE alerts SET state = 'finished' WHERE tenant = :tenant AND state = 'running'")
SETTINGS = WorkerSettings(max_attempts=3, ack_wait=timedelta(minutes=5))


class Engine(Starter):
    """Stands where workflows are started; fails for alerts with certain sender ids.

    Attributes:
        started: Refs in the order they were accepted.
        poison: Sender ids that are never accepted.
        away: While set, nothing is.
    """

    def __init__(self) -> None:
        self.started: list[AlertRef] = []
        self.poison: set[str] = set()
        self.away = asyncio.Event()

    async def start(self, ref: AlertRef, alert: Alert) -> str:
        """Accept an alert, or not."""
        if self.away.is_set():
            raise EngineUnavailable("away")
        if alert.source_event_id in self.poison:
            raise MessageFault("never")
        self.started.append(ref)
        return "run"


class Queue:
    """One tenant's queue and its engine."""

    def __init__(self, road: Road) -> None:
        self.road = road
        self.tenant = TenantName(f"queue-{uuid.uuid4().hex[:8]}")
        self.engine = Engine()
        self.stopping = asyncio.Event()
        self.sources: dict[str, Source] = {"wazuh": Wazuh(), "alertmanager": Alertmanager()}

    async def publish(self, *alerts: Mapping[str, object], **headers: str) -> list[int]:
        """Publish alerts as a service of its own would; their sequences."""
        subject = names.ingest_subject(self.tenant)
        given = {f"Tocsin-{name.replace('_', '-')}": value for name, value in headers.items()}
        return [
            (await self.road.bus.publish(subject, msgspec.json.encode(alert), given)).sequence
            for alert in alerts
        ]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Dispatch for the time of the block."""
        await provide_consumers(self.road.bus, SETTINGS, [self.tenant])
        queue = TenantQueue(
            self.tenant,
            bus=self.road.bus,
            database=self.road.database,
            recent=RecentAlerts(self.road.database),
            starter=self.engine,
            reader=Reader(self.sources),
            patience=Patience(self.stopping),
            settings=SETTINGS,
        )
        running = asyncio.create_task(queue.run())
        try:
            yield
        finally:
            self.stopping.set()
            await running
            async with self.road.database.transaction() as connection:
                # Nothing runs these workflows; the books shall not wait for them.
                await connection.execute(_FINISH, {"tenant": self.tenant})

    async def states(self) -> dict[str, str]:
        """Sender id to state."""
        found = await self.road.rows(
            "SELECT source_event_id, state FROM alerts WHERE tenant = :tenant", tenant=self.tenant
        )
        return {row.source_event_id: row.state for row in found}

    async def letters(self) -> list[Any]:
        """The letters that the ledger has of this tenant."""
        return await self.road.rows(
            "SELECT * FROM dead_letters WHERE tenant = :tenant", tenant=self.tenant
        )

    async def forge(self, sequence: int) -> None:
        """Record a message as no alert, and do nothing else with it."""
        epoch = await self.road.bus.stock.epoch(names.ALERTS)
        id_ = identify(self.tenant, "wazuh", epoch, sequence)
        bare = Arrival(
            sequence=sequence,
            source="wazuh",
            ref=AlertRef(tenant=self.tenant, alert_id=id_),
            received_at=datetime.now(UTC),
            raw=b"",
            alert=None,
        )
        await record(self.road.database, self.tenant, epoch, [bare])

    async def forget(self, sequence: int) -> None:
        """Take a message off the books again, as a duplicate of nothing."""
        await self.road.rows(
            "UPDATE events SET disposition = 'duplicate'"
            " WHERE tenant = :tenant AND sequence = :sequence RETURNING sequence",
            tenant=self.tenant,
            sequence=sequence,
        )

    async def idle(self) -> bool:
        """Whether nothing is waiting to be acknowledged."""
        name = names.dispatcher_consumer(self.tenant)
        consumer = await self.road.bus.stock.consumer(names.ALERTS, name)
        return bool(consumer and not consumer.num_pending and not consumer.num_ack_pending)


@pytest.fixture
def queue(road: Road) -> Queue:
    """A tenant of its own."""
    return Queue(road)


async def test_poison_becomes_a_dead_letter_after_its_attempts(queue: Queue) -> None:
    """A message that can never be started is tried, counted, and kept with bytes and reason."""
    alert = wazuh_alert()
    queue.engine.poison.add(alert["id"])
    (sequence,) = await queue.publish(alert)
    async with queue.running():
        await eventually(queue.idle, "the message is acknowledged")
    assert await queue.states() == {alert["id"]: "dead"}

    (letter,) = await eventually(queue.letters, "the ledger has it")
    assert (letter.kind, letter.stage, letter.attempts) == ("dead", "dispatch", 3)
    assert letter.sequence == sequence
    assert msgspec.json.decode(bytes(letter.raw)) == alert


async def test_poison_never_blocks_those_behind_it(queue: Queue) -> None:
    """While a poison message is tried again, the others of its batch and later ones start."""
    poison, *healthy = alerts = [wazuh_alert() for _ in range(5)]
    queue.engine.poison.add(poison["id"])
    await queue.publish(*alerts)
    async with queue.running():

        async def started() -> bool:
            states = await queue.states()
            return all(states.get(each["id"]) == "running" for each in healthy)

        await eventually(started, "the healthy ones are started")
        assert (await queue.states())[poison["id"]] == "received"
        await queue.publish(late := wazuh_alert())

        async def late_started() -> bool:
            return (await queue.states()).get(late["id"]) == "running"

        await eventually(late_started, "a later one is started")
        queue.engine.poison.clear()
        await eventually(queue.idle, "the healed one is started too")


async def test_engine_that_is_away_burns_no_attempts(queue: Queue) -> None:
    """While Temporal is away messages are held, however long; then they start, and none is dead."""
    alerts = [wazuh_alert() for _ in range(3)]
    queue.engine.away.set()
    await queue.publish(*alerts)
    async with queue.running():

        async def recorded() -> bool:
            return len(await queue.states()) == 3

        await eventually(recorded, "the alerts are recorded")
        assert set((await queue.states()).values()) == {"received"}
        queue.engine.away.clear()
        await eventually(queue.idle, "all are acknowledged")
    assert set((await queue.states()).values()) == {"finished"}
    attempts = await queue.road.rows(
        "SELECT FROM attempts a JOIN events e USING (epoch, sequence) WHERE e.tenant = :tenant",
        tenant=queue.tenant,
    )
    assert attempts == []


async def test_alert_is_started_once_however_often_it_is_delivered(queue: Queue) -> None:
    """Repeats with other message ids are duplicates of the first."""
    alert = wazuh_alert()
    await queue.publish(alert, alert, alert)
    async with queue.running():
        await eventually(queue.idle, "all are acknowledged")
    assert len(set(queue.engine.started)) == 1
    dispositions = await queue.road.rows(
        "SELECT disposition FROM events WHERE tenant = :tenant ORDER BY sequence",
        tenant=queue.tenant,
    )
    assert [row.disposition for row in dispositions] == ["alert", "duplicate", "duplicate"]


async def test_stopped_queue_hands_back_what_it_holds(queue: Queue) -> None:
    """A queue that drains while Temporal is away leaves its messages to the next one."""
    queue.engine.away.set()
    await queue.publish(wazuh_alert())
    async with queue.running():
        await eventually(queue.states, "the alert is recorded")
    queue.stopping, queue.engine = asyncio.Event(), Engine()
    async with queue.running():
        await eventually(queue.idle, "the next one starts it")
    assert len(queue.engine.started) == 1


async def test_message_with_several_events_is_kept_whole(queue: Queue) -> None:
    """A published body that bundles alerts is quarantined, where redrive splits it, and not cut."""
    bundle = {"version": "4", "alerts": [{"labels": {"alertname": str(n)}} for n in range(3)]}
    await queue.publish(bundle, Source="alertmanager")
    async with queue.running():
        await eventually(queue.idle, "the message is acknowledged")
    assert await queue.states() == {}

    (letter,) = await eventually(queue.letters, "the ledger has it")
    assert "3 events" in letter.reason
    assert bytes(letter.raw) == msgspec.json.encode(bundle)


async def test_nothing_is_received_in_the_future(queue: Queue) -> None:
    """A publisher's clock that runs ahead does not make an alert younger than its message."""
    await queue.publish(wazuh_alert(), Received_At="2999-01-01T00:00:00+00:00")
    async with queue.running():
        await eventually(queue.idle, "the message is acknowledged")
    (row,) = await queue.road.rows(
        "SELECT received_at < now() AS past FROM alerts WHERE tenant = :tenant",
        tenant=queue.tenant,
    )
    assert row.past


class Unstorable(Wazuh):
    """A parser that makes of some alerts what no column takes."""

    def parse(self, document: Any) -> Reading:
        """Give a level beyond the column's."""
        return msgspec.structs.replace(super().parse(document), level=10**6)


async def test_alert_that_the_database_refuses_is_dead_and_listed(queue: Queue) -> None:
    """An alert that fits no row is tried, becomes a dead letter, and is in the list of alerts."""
    queue.sources["wazuh"] = Unstorable()
    await queue.publish(alert := wazuh_alert())
    async with queue.running():
        await eventually(queue.idle, "the message is acknowledged")
    (row,) = await queue.road.rows(
        "SELECT state, error FROM alerts WHERE tenant = :tenant", tenant=queue.tenant
    )
    assert row.state == "dead"
    assert "out of range" in row.error

    (letter,) = await eventually(queue.letters, "the ledger has it")
    assert msgspec.json.decode(bytes(letter.raw)) == alert


class Renamed(Wazuh):
    """A parser that was changed in a deploy: it sees another identity in the same bytes."""

    def parse(self, document: Any) -> Reading:
        """Give another identity."""
        return msgspec.structs.replace(super().parse(document), identity=("changed",))


async def test_changed_parser_starts_what_the_old_one_recorded(queue: Queue) -> None:
    """A message recorded under one identity is started under it, whatever a new parser thinks."""
    queue.engine.away.set()
    await queue.publish(wazuh_alert())
    async with queue.running():
        await eventually(queue.states, "the alert is recorded")
    queue.stopping, queue.engine = asyncio.Event(), Engine()
    queue.sources["wazuh"] = Renamed()
    async with queue.running():
        await eventually(queue.idle, "the message is acknowledged")
    assert len(queue.engine.started) == 1
    assert set((await queue.states()).values()) == {"finished"}


async def test_alert_that_reads_no_more_is_started_as_recorded(queue: Queue) -> None:
    """A message recorded as an alert is started, and not quarantined, when its source is gone."""
    queue.engine.away.set()
    await queue.publish(alert := wazuh_alert())
    async with queue.running():
        await eventually(queue.states, "the alert is recorded")
    queue.stopping, queue.engine = asyncio.Event(), Engine()
    queue.sources.clear()
    async with queue.running():
        await eventually(queue.idle, "the message is acknowledged")
    assert len(queue.engine.started) == 1
    assert await queue.states() == {alert["id"]: "finished"}
    assert await queue.letters() == []


async def test_message_recorded_as_no_alert_gets_its_letter(queue: Queue) -> None:
    """A worker that died between the books and the letter leaves the letter to the next one.

    What was recorded first stands, although the message reads by now: no alert runs while a letter
    says that it is none.
    """
    (sequence,) = await queue.publish(alert := wazuh_alert())
    await queue.forge(sequence)
    async with queue.running():
        await eventually(queue.idle, "the message is acknowledged")
    assert await queue.states() == {}
    (letter,) = await eventually(queue.letters, "the ledger has it")
    assert (letter.sequence, letter.kind) == (sequence, "quarantine")
    assert msgspec.json.decode(bytes(letter.raw)) == alert
    assert "redrive reads it again" in letter.reason


async def test_message_of_a_vanished_tenant_waits_and_is_not_lost(queue: Queue) -> None:
    """A message whose tenant no file describes any more is pending, wherever its consumer is."""
    await provide_consumers(queue.road.bus, SETTINGS, [queue.tenant])
    await queue.publish(wazuh_alert())
    books = await queue.road.books()
    assert (books.lost, books.balanced) == ((), True)
    assert books.pending >= 1
    async with queue.running():
        await eventually(queue.idle, "its file is back, and it is dispatched")


async def test_deleted_message_is_lost_and_named(queue: Queue) -> None:
    """A sequence that was taken off the stream before it was recorded is named in the books."""
    (sequence,) = await queue.publish(wazuh_alert())
    await queue.road.bus.jetstream.delete_msg(names.ALERTS, sequence)

    async def named() -> bool:
        return sequence in (await queue.road.books()).lost

    await eventually(named, "it is named")
    assert not (await queue.road.books()).balanced
    await queue.forge(sequence)
    await queue.forget(sequence)
    assert (await queue.road.books()).balanced


async def test_quarantine_without_a_letter_is_named(queue: Queue) -> None:
    """A message that is recorded as no alert, and whose letter is gone, is lost and named."""
    queue.sources.clear()
    (sequence,) = await queue.publish(wazuh_alert())
    async with queue.running():
        await eventually(queue.letters, "the ledger has its letter")
    assert (await queue.road.settled()).lost == ()
    await queue.road.rows(
        "DELETE FROM dead_letters WHERE tenant = :tenant RETURNING id", tenant=queue.tenant
    )
    books = await queue.road.books()
    await queue.forget(sequence)
    assert (books.lost, books.balanced) == ((sequence,), False)


async def test_two_workers_start_each_alert_once(queue: Queue) -> None:
    """Two queues of one tenant, as in two worker processes, share the work and repeat nothing."""
    alerts = [wazuh_alert() for _ in range(120)]
    other = Queue(queue.road)
    other.tenant, other.engine = queue.tenant, queue.engine
    await queue.publish(*alerts, *alerts)
    async with queue.running(), other.running():
        await eventually(queue.idle, "all are acknowledged")
    assert sorted(queue.engine.started, key=str) == sorted(set(queue.engine.started), key=str)
    assert len(queue.engine.started) == 120
