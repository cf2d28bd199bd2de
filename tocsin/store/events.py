"""Raw events and the alerts they become, written in one statement per tenant and batch."""

from collections.abc import Sequence
from datetime import datetime
from typing import Self

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tocsin.domain.alert import Alert, AlertId, AlertRef, TenantName
from tocsin.store.database import Database


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """One message off the stream.

    Attributes:
        sequence: Its stream sequence.
        source: Source it came through.
        ref: Whose and which alert it is; the id of the quarantine entry when it is none.
        received_at: When the receiver took it.
        raw: The sender's bytes.
        alert: Its normalized form; None when it goes to quarantine.
    """

    sequence: int
    source: str
    ref: AlertRef
    received_at: datetime
    raw: bytes
    alert: Alert | None

    def buried(self) -> Self:
        """The same message with a bare alert, of which nothing can be refused."""
        bare = Alert(
            tenant=self.ref.tenant,
            source=self.source,
            id=self.ref.alert_id,
            received_at=self.received_at,
        )
        return msgspec.structs.replace(self, alert=bare)


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The row that stands for one run of an alert.

    Attributes:
        ref: Which run of which alert.
        sequence: The stream sequence that made the row, others are duplicates of it; 0 when that
            was on a stream that was since made anew.
        state: `received` until Temporal has accepted the workflow.
    """

    ref: AlertRef
    sequence: int
    state: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the books for the messages of a batch; what was written first stands.

    Attributes:
        owners: The row of each message that carries an alert, or repeats one.
        quarantined: Sequences of the messages that are no alert.
    """

    owners: list[Owner]
    quarantined: frozenset[int]


# Of two workers that have the same message, as after a lapsed delivery, the second sees what the
# first has written, even if they read it differently.
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:tenant, 0))")

_RECORD = text("""
WITH input AS (
    SELECT * FROM unnest(
        CAST(:sequences AS bigint[]), CAST(:sources AS text[]), CAST(:ids AS text[]),
        CAST(:runs AS int[]), CAST(:received AS timestamptz[]), CAST(:raws AS bytea[]),
        CAST(:levels AS smallint[]), CAST(:severities AS text[]),
        CAST(:event_ids AS text[]), CAST(:alerts AS text[])
    ) AS t (sequence, source, id, run, received_at, raw, level, severity, source_event_id, alert)
), unseen AS (
    SELECT * FROM input
    WHERE NOT EXISTS (SELECT FROM events e WHERE (e.epoch, e.sequence) = (:epoch, input.sequence))
), fresh AS (
    INSERT INTO alerts (tenant, id, run, epoch, sequence, source, source_event_id, level,
                        severity, state, received_at, alert)
    SELECT :tenant, id, run, :epoch, sequence, source, source_event_id, level,
           severity, 'received', received_at, CAST(alert AS jsonb)
    FROM unseen WHERE alert IS NOT NULL ORDER BY sequence
    ON CONFLICT DO NOTHING
    RETURNING sequence
), recorded AS (
    INSERT INTO events (epoch, sequence, tenant, source, alert_id, run, disposition,
                        received_at, raw)
    SELECT :epoch, sequence, :tenant, source, id, run,
           CASE WHEN alert IS NULL THEN 'quarantine'
                WHEN sequence IN (SELECT sequence FROM fresh) THEN 'alert'
                ELSE 'duplicate' END,
           received_at, raw
    FROM unseen
    ON CONFLICT DO NOTHING
    RETURNING sequence, disposition
), superseded AS (
    UPDATE alerts SET state = 'superseded' FROM input
    WHERE alerts.tenant = :tenant AND alerts.id = input.id AND alerts.run < input.run
      AND alerts.state IN ('dead', 'failed')
)
SELECT sequence, disposition FROM recorded
""")

_OWNERS = text("""
SELECT id, run, epoch, sequence, state FROM alerts
WHERE tenant = :tenant AND (
    (id, run) IN (SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:runs AS int[])))
    OR (epoch = :epoch AND sequence = ANY(:sequences)))
""")

_QUARANTINED = text("""
SELECT sequence FROM events
WHERE epoch = :epoch AND sequence = ANY(:sequences) AND disposition = 'quarantine'
""")

_NOTHING = Record(owners=[], quarantined=frozenset())


async def record(
    database: Database, tenant: TenantName, epoch: int, arrivals: Sequence[Arrival]
) -> Record:
    """Write a batch; writing it again changes nothing, even if its messages read otherwise now.

    Args:
        database: Where.
        tenant: Whose messages they are.
        epoch: Second in which the stream was created.
        arrivals: The messages of the batch.

    Returns:
        What stands now, written by this call or by an earlier one.

    Raises:
        StoreUnavailable: PostgreSQL is away; nothing was written, or everything.
        MessageFault: A message in the batch does not fit; nothing was written.
    """
    async with database.transaction() as connection:
        await connection.execute(_LOCK, {"tenant": tenant})
        rows = await connection.execute(_RECORD, _columns(tenant, epoch, arrivals))
        written = {row.sequence: row.disposition for row in rows}
        new = [
            Owner(ref=a.ref, sequence=a.sequence, state="received")
            for a in arrivals
            if written.get(a.sequence) == "alert"
        ]
        quarantined = {each for each, disposition in written.items() if disposition == "quarantine"}
        known = [a for a in arrivals if written.get(a.sequence, "duplicate") == "duplicate"]
        before = await _known(connection, tenant, epoch, known) if known else _NOTHING
    fresh = {owner.sequence for owner in new}
    return Record(
        owners=new + [owner for owner in before.owners if owner.sequence not in fresh],
        quarantined=before.quarantined | quarantined,
    )


async def _known(
    connection: AsyncConnection, tenant: TenantName, epoch: int, arrivals: Sequence[Arrival]
) -> Record:
    """What stood for these runs, and for these very messages: a parser may have changed since."""
    values = {
        "tenant": tenant,
        "epoch": epoch,
        "sequences": [a.sequence for a in arrivals],
        "ids": [a.ref.alert_id for a in arrivals],
        "runs": [a.ref.run for a in arrivals],
    }
    owners = await connection.execute(_OWNERS, values)
    quarantined = await connection.execute(_QUARANTINED, values)
    return Record(
        owners=[
            Owner(
                ref=AlertRef(tenant=tenant, alert_id=AlertId(row.id), run=row.run),
                sequence=row.sequence if row.epoch == epoch else 0,
                state=row.state,
            )
            for row in owners
        ],
        quarantined=frozenset(quarantined.scalars()),
    )


def _columns(tenant: TenantName, epoch: int, arrivals: Sequence[Arrival]) -> dict[str, object]:
    alerts = [a.alert for a in arrivals]
    return {
        "tenant": tenant,
        "epoch": epoch,
        "sequences": [a.sequence for a in arrivals],
        "sources": [a.source for a in arrivals],
        "ids": [a.ref.alert_id for a in arrivals],
        "runs": [a.ref.run for a in arrivals],
        "received": [a.received_at for a in arrivals],
        "raws": [a.raw for a in arrivals],
        "levels": [a.level if a else None for a in alerts],
        "severities": [a.severity.value if a else None for a in alerts],
        "event_ids": [a.source_event_id if a else None for a in alerts],
        "alerts": [msgspec.json.encode(a).decode() if a else None for a in alerts],
    }


_COUNT_ATTEMPT = text("""
INSERT INTO attempts (epoch, sequence, attempts) VALUES (:epoch, :sequence, 1)
ON CONFLICT (epoch, sequence) DO UPDATE SET attempts = attempts.attempts + 1
RETURNING attempts
""")


async def count_attempt(database: Database, epoch: int, sequence: int) -> int:
    """Count one more fault of a message, and say how many there were.

    Raises:
        StoreUnavailable: PostgreSQL is away; the fault is not counted.
    """
    async with database.transaction() as connection:
        row = await connection.execute(_COUNT_ATTEMPT, {"epoch": epoch, "sequence": sequence})
        return int(row.scalar_one())
