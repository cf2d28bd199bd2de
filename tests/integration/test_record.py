"""What is written of a batch of messages, and what an earlier batch has written before."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from tests.road import Road
from tocsin.domain.alert import Alert, AlertId, AlertRef, TenantName
from tocsin.store.database import Database
from tocsin.store.events import Arrival, Record, record

OLD, NEW = 11, 12


def arrival(tenant: TenantName, sequence: int, id_: str, *, alert: bool = True) -> Arrival:
    """A message that is an alert, or none."""
    now = datetime.now(UTC)
    ref = AlertRef(tenant=tenant, alert_id=AlertId(id_))
    found = Alert(tenant=tenant, source="wazuh", id=ref.alert_id, received_at=now)
    return Arrival(
        sequence=sequence,
        source="wazuh",
        ref=ref,
        received_at=now,
        raw=b"",
        alert=found if alert else None,
    )


class Books:
    """One tenant's records."""

    def __init__(self, database: Database) -> None:
        self.tenant = TenantName(f"record-{uuid.uuid4().hex[:8]}")
        self.database = database

    async def write(self, epoch: int, *messages: tuple[int, str] | tuple[int, str, bool]) -> Record:
        """Record messages: sequence, alert id, and whether it is an alert."""
        arrivals = [
            arrival(self.tenant, sequence, id_, alert=not rest or rest[0])
            for sequence, id_, *rest in messages
        ]
        return await record(self.database, self.tenant, epoch, arrivals)


@pytest_asyncio.fixture(loop_scope="session")
async def books(road: Road) -> AsyncIterator[Books]:
    """The records of a tenant, which are gone after the test."""
    books = Books(road.database)
    yield books
    for table, key in (("events", "sequence"), ("alerts", "id")):
        await road.rows(
            f"DELETE FROM {table} WHERE tenant = :tenant RETURNING {key}", tenant=books.tenant
        )


async def test_stream_made_anew_hides_no_owner(books: Books) -> None:
    """An alert of an earlier stream is found, although a new message has its old sequence."""
    await books.write(OLD, (5, "x"))
    recorded = await books.write(NEW, (5, "y"), (9, "x"))
    owners = {owner.ref.alert_id: owner.sequence for owner in recorded.owners}
    assert owners == {"y": 5, "x": 0}


async def test_stream_made_anew_lends_no_owner(books: Books) -> None:
    """A message that is no alert is not taken for the alert that had its sequence before."""
    await books.write(OLD, (5, "z"))
    recorded = await books.write(NEW, (5, "letter", False), (9, "z"))
    assert recorded.quarantined == {5}
    assert [owner.sequence for owner in recorded.owners] == [0]


@pytest.mark.parametrize("first", ["alert", "quarantine"])
async def test_two_workers_agree(books: Books, first: str) -> None:
    """Two workers that read one message differently at once go on with the same of both."""
    for sequence in range(100, 130):
        readings = [(sequence, f"a{sequence}", True), (sequence, f"q{sequence}", False)]
        if first == "quarantine":
            readings.reverse()
        one, other = await asyncio.gather(*(books.write(OLD, each) for each in readings))
        assert one.quarantined == other.quarantined
        assert {owner.ref for owner in one.owners} == {owner.ref for owner in other.owners}
        assert len(one.owners) + len(one.quarantined) == 1
