"""What the janitor purges, and what it never does."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from ingest.dispatcher.janitor import Janitor
from ingest.dispatcher.patience import Patience
from ingest.letters import Kind, Letter, Stage
from tests.integration.test_faults import without
from tests.integration.test_queue import Queue
from tests.road import Road, eventually, wazuh_alert
from tocsin import bus as names
from tocsin.domain.alert import TenantName
from tocsin.settings import NatsSettings


class Tenant(Queue):
    """A tenant on the shared stack, with a janitor of its own."""

    def janitor(
        self, *, bound: int = 8, keep: timedelta = timedelta(days=7), **settings: int
    ) -> Janitor:
        """A janitor for this tenant."""
        nats = NatsSettings(max_messages_per_tenant=bound, keep=keep).model_copy(update=settings)
        return Janitor(
            self.road.bus, self.road.database, [self.tenant], nats, Patience(asyncio.Event())
        )

    async def held(self) -> int:
        """How many messages the stream holds."""
        subject = names.ingest_subject(self.tenant)
        return (await self.road.bus.stock.holdings(names.ALERTS, subject)).messages.get(subject, 0)

    async def finish(self, *sequences: int) -> None:
        """Finish the alerts of these messages."""
        await self.road.rows(
            "UPDATE alerts SET state = 'finished' WHERE sequence = ANY(:these) RETURNING id",
            these=list(sequences),
        )


@pytest.fixture
def tenant(road: Road) -> Tenant:
    """A tenant of its own."""
    return Tenant(road)


async def test_unfinished_message_is_never_purged(tenant: Tenant) -> None:
    """Past 70 % messages go up to the first unfinished one, and those behind it stay."""
    sequences = await tenant.publish(*(wazuh_alert() for _ in range(7)))
    async with tenant.running():
        await eventually(tenant.idle, "all are acknowledged")
        await tenant.finish(*sequences[:3], *sequences[4:])
        await tenant.janitor().make_room()
        assert await tenant.held() == 4
        assert await tenant.road.bus.stock.message(names.ALERTS, sequences[2]) is None
        assert await tenant.road.bus.stock.message(names.ALERTS, sequences[3]) is not None
        await tenant.finish(sequences[3])
        await tenant.janitor(bound=5).make_room()
        assert await tenant.held() == 0


async def test_unacknowledged_message_is_never_purged(tenant: Tenant) -> None:
    """While Temporal is away nothing is finished, and nothing goes however crowded it is."""
    tenant.engine.away.set()
    await tenant.publish(*(wazuh_alert() for _ in range(7)))
    async with tenant.running():

        async def recorded() -> bool:
            return len(await tenant.states()) == 7

        await eventually(recorded, "all are recorded")
        await tenant.janitor(keep=timedelta(milliseconds=1)).make_room()
        await tenant.janitor(keep=timedelta(milliseconds=1)).forget()
        assert await tenant.held() == 7
        tenant.engine.away.clear()
        await eventually(tenant.idle, "all are acknowledged")


@pytest.mark.parametrize(("bound", "left"), [(8, 0), (20, 6)], ids=["crowded", "roomy"])
async def test_dispatched_gives_way_where_finished_is_too_little(
    tenant: Tenant, bound: int, left: int
) -> None:
    """Asked for room, the janitor takes what is finished, and what is dispatched if need be."""
    first, *_ = await tenant.publish(*(wazuh_alert() for _ in range(7)))
    async with tenant.running():
        await eventually(tenant.idle, "all are acknowledged")
        await tenant.finish(first)
        await tenant.janitor(bound=bound).make_room_for(tenant.tenant)
        assert await tenant.held() == left


async def test_dispatched_of_everybody_gives_way_where_the_stream_is_full(tenant: Tenant) -> None:
    """What one tenant has dispatched, and does not finish, refuses no other for its bytes."""
    await tenant.publish(*(wazuh_alert() for _ in range(7)))
    async with tenant.running():
        await eventually(tenant.idle, "all are acknowledged")
        await tenant.janitor(bound=100, max_bytes=1).make_room_for(TenantName("another"))
        assert await tenant.held() == 0


async def test_processed_message_stays_while_there_is_room(tenant: Tenant) -> None:
    """Below 70 % finished messages stay for replay until they are older than `keep`."""
    sequences = await tenant.publish(*(wazuh_alert() for _ in range(5)))
    async with tenant.running():
        await eventually(tenant.idle, "all are acknowledged")
        await tenant.finish(*sequences)
        await tenant.janitor().make_room()
        await tenant.janitor().forget()
        assert await tenant.held() == 5
        await tenant.janitor(keep=timedelta(milliseconds=1)).forget()
        assert await tenant.held() == 0


async def test_other_tenants_keep_their_messages(road: Road, tenant: Tenant) -> None:
    """Making room for one tenant takes nothing from another."""
    other = Tenant(road)
    await other.publish(wazuh_alert())
    sequences = await tenant.publish(*(wazuh_alert() for _ in range(7)))
    async with tenant.running():
        await eventually(tenant.idle, "all are acknowledged")
        await tenant.finish(*sequences)
        await tenant.janitor().make_room()
    assert (await tenant.held(), await other.held()) == (0, 1)
    async with other.running():
        await eventually(other.idle, "the other one is taken off the books")


async def test_letter_stays_until_the_ledger_has_it(road: Road, tenant: Tenant) -> None:
    """Crowded letters go once they are in PostgreSQL, and never before."""
    subject = names.failed_subject(tenant.tenant)

    async def held() -> int:
        return (await road.bus.stock.holdings(names.FAILED, subject)).messages.get(subject, 0)

    async def purged() -> bool:
        await tenant.janitor().make_room()
        return await held() == 0

    async with without(road, "worker"):
        for number in range(7):
            await letter(tenant.tenant, b"%d" % number).post(road.bus)
        await tenant.janitor().make_room()
        assert await held() == 7
    await eventually(purged, "the ledger has them, and they are gone")
    query = "SELECT id FROM dead_letters WHERE tenant = :tenant"
    assert len(await road.rows(query, tenant=tenant.tenant)) == 7


def letter(tenant: TenantName, raw: bytes) -> Letter:
    """A letter of a tenant."""
    return Letter(
        tenant=tenant,
        source="wazuh",
        kind=Kind.QUARANTINE,
        stage=Stage.RECEIVE,
        reason="it is no alert",
        received_at=datetime(2026, 11, 20, 15, 4, 5, tzinfo=UTC),
        raw=raw,
    )
