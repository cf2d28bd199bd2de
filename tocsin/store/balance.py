"""What PostgreSQL knows for the books: one row per message, one per run, one per letter."""

from datetime import datetime

import msgspec
from sqlalchemy import text

from tocsin.domain.alert import TenantName
from tocsin.store.database import Database


class Entries(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of messages (`m_`), runs of alerts and letters.

    Attributes:
        recorded: Messages recorded of the present ALERTS stream.
        earlier: Messages recorded of streams that were since made anew.
        m_alert: Messages that carry a run of an alert.
        m_duplicate: Messages whose run another message carries.
        m_quarantine: Messages that are no alert.
        received: Runs whose workflow is not accepted yet.
        running: Runs whose workflow runs.
        finished: Runs that are done.
        failed: Runs whose workflow ended otherwise.
        dead: Runs that could not be started.
        superseded: Runs that ended badly and were redriven since.
        started: Runs whose workflow Temporal ever accepted.
        refused: Bodies that the receiver sent to quarantine.
        redriven: Quarantine letters that another message carries now.
    """

    recorded: int
    earlier: int
    m_alert: int
    m_duplicate: int
    m_quarantine: int
    received: int
    running: int
    finished: int
    failed: int
    dead: int
    superseded: int
    started: int
    refused: int
    redriven: int


_ENTRIES = text("""
SELECT * FROM (
    SELECT count(*) FILTER (WHERE epoch = :epoch) AS recorded,
           count(*) FILTER (WHERE epoch <> :epoch) AS earlier,
           count(*) FILTER (WHERE disposition = 'alert') AS m_alert,
           count(*) FILTER (WHERE disposition = 'duplicate') AS m_duplicate,
           count(*) FILTER (WHERE disposition = 'quarantine') AS m_quarantine
    FROM events
) AS messages, (
    SELECT count(*) FILTER (WHERE state = 'received') AS received,
           count(*) FILTER (WHERE state = 'running') AS running,
           count(*) FILTER (WHERE state = 'finished') AS finished,
           count(*) FILTER (WHERE state = 'failed') AS failed,
           count(*) FILTER (WHERE state = 'dead') AS dead,
           count(*) FILTER (WHERE state = 'superseded') AS superseded,
           count(*) FILTER (WHERE state NOT IN ('superseded', 'dead')
                            AND started_at IS NOT NULL) AS started
    FROM alerts
) AS runs, (
    SELECT count(*) FILTER (WHERE stage = 'receive') AS refused,
           count(*) FILTER (WHERE kind = 'quarantine' AND redriven_at IS NOT NULL) AS redriven
    FROM dead_letters
) AS letters
""")

_GAPS = text("""
SELECT s FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS s
WHERE NOT EXISTS (SELECT FROM events WHERE epoch = :epoch AND sequence = s)
ORDER BY s LIMIT :limit
""")

_RECORDED_BELOW = text("SELECT count(*) FROM events WHERE epoch = :epoch AND sequence <= :last")

# The id of a quarantined message is that of its letter.
_UNLETTERED = text("""
SELECT sequence FROM events
WHERE epoch = :epoch AND sequence <= :last AND disposition = 'quarantine'
  AND NOT EXISTS (SELECT FROM dead_letters WHERE dead_letters.id = events.alert_id)
ORDER BY sequence LIMIT :limit
""")

_FINISHED_BELOW = text("""
SELECT min(e.sequence) FROM events e
LEFT JOIN alerts a ON (a.epoch, a.sequence) = (e.epoch, e.sequence)
WHERE e.tenant = :tenant AND e.epoch = :epoch AND e.sequence BETWEEN :first AND :last
  AND (a.state IN ('received', 'running') OR e.received_at >= :before)
""")


async def entries(database: Database, *, epoch: int) -> Entries:
    """Count everything, in one statement and so at one moment.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.transaction() as connection:
        row = (await connection.execute(_ENTRIES, {"epoch": epoch})).one()
    return Entries(**row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name for it


async def gaps(database: Database, *, epoch: int, last: int, limit: int) -> list[int]:
    """Sequences up to `last` that no row records.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.transaction() as connection:
        values = {"epoch": epoch, "last": last}
        recorded = (await connection.execute(_RECORDED_BELOW, values)).scalar_one()
        if recorded >= last:
            return []
        rows = await connection.execute(_GAPS, values | {"first": 1, "limit": limit})
        return [int(sequence) for sequence in rows.scalars()]


async def unlettered(database: Database, epoch: int, *, last: int, limit: int) -> tuple[int, ...]:
    """Sequences up to `last` that are recorded as no alert and have no letter.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.statement() as connection:
        values = {"epoch": epoch, "last": last, "limit": limit}
        return tuple((await connection.execute(_UNLETTERED, values)).scalars())


async def finished_below(
    database: Database,
    tenant: TenantName,
    *,
    epoch: int,
    sequences: tuple[int, int],
    before: datetime,
) -> int:
    """The first sequence of a tenant that must stay on the stream.

    Args:
        database: Where.
        tenant: Whose.
        epoch: Second in which the stream was created.
        sequences: The first that the stream holds, and the last that was acknowledged with all
            before it.
        before: What was received at or after this moment stays.

    Returns:
        Every message of the tenant with a lower sequence is finished.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    first, last = sequences
    values = {"tenant": tenant, "epoch": epoch, "first": first, "last": last, "before": before}
    async with database.statement() as connection:
        unfinished = (await connection.execute(_FINISHED_BELOW, values)).scalar_one()
    return int(unfinished) if unfinished is not None else last + 1
