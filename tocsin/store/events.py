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
        redrive_of: The dead letter that it brings back; empty for a first try.
    """

    sequence: int
    source: str
    ref: AlertRef
    received_at: datetime
    raw: bytes
    alert: Alert | None
    redrive_of: str = ""

    def buried(self) -> Self:
        """The same message with a bare alert, of which nothing can be refused."""
        bare = Alert(
            tenant=self.ref.tenant,
            source=self.source,
            id=self.ref.alert_id,
            received_at=self.received_at,
        )
        return msgspec.structs.replace(self, alert=bare, redrive_of="")


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The row that stands for one run of an alert.

    Attributes:
        ref: Which run of which alert.
        sequence: The stream sequence that made the row; others are duplicates of it.
        state: `received` until Temporal has accepted the workflow.
    """

    ref: AlertRef
    sequence: int
    state: str


_RECORD = text("""
WITH input AS (
    SELECT * FROM unnest(
        CAST(:sequences AS bigint[]), CAST(:sources AS text[]), CAST(:ids AS text[]),
        CAST(:runs AS int[]), CAST(:received AS timestamptz[]), CAST(:raws AS bytea[]),
        CAST(:levels AS smallint[]), CAST(:severities AS text[]),
        CAST(:event_ids AS text[]), CAST(:alerts AS text[]), CAST(:redrives AS text[])
    ) AS t (sequence, source, id, run, received_at, raw, level, severity, source_event_id, alert,
            redrive_of)
), fresh AS (
    INSERT INTO alerts (tenant, id, run, epoch, sequence, source, source_event_id, level,
                        severity, state, received_at, alert)
    SELECT :tenant, id, run, :epoch, sequence, source, source_event_id, level,
           severity, 'received', received_at, CAST(alert AS jsonb)
    FROM input WHERE alert IS NOT NULL ORDER BY sequence
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
    FROM input
    ON CONFLICT DO NOTHING
), superseded AS (
    UPDATE alerts SET state = 'superseded' FROM input
    WHERE alerts.tenant = :tenant AND alerts.id = input.id AND alerts.run < input.run
      AND alerts.state IN ('dead', 'failed')
), redriven AS (
    UPDATE dead_letters SET redriven_at = now() FROM input
    WHERE dead_letters.id = input.redrive_of AND dead_letters.tenant = :tenant
      AND redriven_at IS NULL
)
SELECT sequence FROM fresh
""")

_OWNERS = text("""
SELECT id, run, epoch, sequence, state FROM alerts
WHERE tenant = :tenant AND (
    (id, run) IN (SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:runs AS int[])))
    OR (epoch = :epoch AND sequence = ANY(:sequences)))
""")


async def record(
    database: Database, tenant: TenantName, epoch: int, arrivals: Sequence[Arrival]
) -> list[Owner]:
    """Write a batch; writing it again changes nothing.

    Args:
        database: Where.
        tenant: Whose messages they are.
        epoch: Second in which the stream was created.
        arrivals: The messages of the batch.

    Returns:
        The owner of each alert in the batch: new ones, and those that were there before.

    Raises:
        StoreUnavailable: PostgreSQL is away; nothing was written, or everything.
        MessageFault: A message in the batch does not fit; nothing was written.
    """
    async with database.transaction() as connection:
        rows = await connection.execute(_RECORD, _columns(tenant, epoch, arrivals))
        fresh = set(rows.scalars())
        known = [a for a in arrivals if a.alert is not None and a.sequence not in fresh]
        owners = await _owners(connection, tenant, epoch, known) if known else []
    new = [
        Owner(ref=a.ref, sequence=a.sequence, state="received")
        for a in arrivals
        if a.sequence in fresh
    ]
    return new + [owner for owner in owners if owner.sequence not in fresh]


async def _owners(
    connection: AsyncConnection, tenant: TenantName, epoch: int, arrivals: Sequence[Arrival]
) -> list[Owner]:
    """Who stands for these runs, and for these very messages: a parser may have changed since."""
    rows = await connection.execute(
        _OWNERS,
        {
            "tenant": tenant,
            "epoch": epoch,
            "sequences": [a.sequence for a in arrivals],
            "ids": [a.ref.alert_id for a in arrivals],
            "runs": [a.ref.run for a in arrivals],
        },
    )
    return [
        Owner(
            ref=AlertRef(tenant=tenant, alert_id=AlertId(row.id), run=row.run),
            sequence=row.sequence,
            state=row.state,
        )
        for row in rows
    ]


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
        "redrives": [a.redrive_of for a in arrivals],
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
