"""The outbox: each notification is leased, sent and settled.

So a crash neither loses one nor sends it under a second key.
"""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import text

from tocsin.domain.alert import AlertId, AlertRef, TenantName
from tocsin.store.alerts import Outboxed
from tocsin.store.database import Database, storable


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A notification that is ours to send until the lease lapses.

    Attributes:
        id: Identity of the notification and key of its idempotency.
        ref: The run of the alert it tells of.
        receiver: Name of the receiver.
        channel: How it is reached.
        attempts: Which attempt this is, from 1.
        first_attempt_at: When the first attempt was made.
        fallback_for: The receiver that this one stands in for; None when it was asked itself.
    """

    id: str
    ref: AlertRef
    receiver: str
    channel: str
    attempts: int
    first_attempt_at: datetime
    fallback_for: str | None


_LEASE = text("""
UPDATE notifications SET
    status = 'sending', attempts = attempts + 1,
    lease_until = now() + make_interval(secs => :lease),
    first_attempt_at = coalesce(first_attempt_at, now())
WHERE id = :id AND (status = 'pending' OR (status = 'sending' AND lease_until < now()))
RETURNING id, tenant, alert_id, run, receiver, channel, attempts, first_attempt_at, fallback_for
""")

_STATUS = text("SELECT status, lease_until FROM notifications WHERE id = :id")

_DELIVERED = text("""
UPDATE notifications SET status = 'delivered', settled_at = now(), lease_until = NULL, error = ''
WHERE id = :id AND attempts = :attempt AND status <> 'delivered'
""")

_RELEASE = text("""
UPDATE notifications SET status = 'pending', lease_until = NULL, error = :error
WHERE id = :id AND attempts = :attempt AND status = 'sending'
""")

_FAIL = text("""
WITH gone AS (
    UPDATE notifications SET status = 'failed', settled_at = now(), lease_until = NULL,
                             error = :error
    WHERE id = :id AND attempts = :attempt AND status = 'sending'
    RETURNING tenant, alert_id, run, receiver
), fallback AS (
    INSERT INTO notifications (id, tenant, alert_id, run, receiver, channel, status, fallback_for)
    SELECT :next, tenant, alert_id, run, :receiver, :channel, 'pending', receiver
    FROM gone WHERE CAST(:next AS text) IS NOT NULL
)
SELECT count(*) FROM gone
""")


async def take(database: Database, id_: str, *, duration: timedelta) -> Lease | None:
    """Take a notification to send; None when it is settled or another's lease still runs.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.statement() as connection:
        values = {"id": id_, "lease": duration.total_seconds()}
        row = (await connection.execute(_LEASE, values)).one_or_none()
    if row is None:
        return None
    ref = AlertRef(tenant=TenantName(row.tenant), alert_id=AlertId(row.alert_id), run=row.run)
    return Lease(
        id=row.id,
        ref=ref,
        receiver=row.receiver,
        channel=row.channel,
        attempts=row.attempts,
        first_attempt_at=row.first_attempt_at,
        fallback_for=row.fallback_for,
    )


async def status(database: Database, id_: str) -> tuple[str, datetime | None]:
    """The status of a notification, and until when it is leased.

    Raises:
        LookupError: There is no such notification.
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.statement() as connection:
        row = (await connection.execute(_STATUS, {"id": id_})).one_or_none()
    if row is None:
        raise LookupError(f"no notification {id_}")
    return row.status, row.lease_until


async def exists(database: Database, id_: str) -> bool:
    """Whether there is a notification of that id.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.statement() as connection:
        return (await connection.execute(_STATUS, {"id": id_})).one_or_none() is not None


async def settle_delivered(database: Database, lease: Lease) -> None:
    """Note that the other side has it; nothing when the lease was taken over since.

    Raises:
        StoreUnavailable: PostgreSQL is away; the lease lapses and it is sent again, same key.
    """
    async with database.statement() as connection:
        await connection.execute(_DELIVERED, {"id": lease.id, "attempt": lease.attempts})


async def release(database: Database, lease: Lease, *, error: str) -> None:
    """Give a lease back after an attempt that may succeed later, unless it was taken over.

    Raises:
        StoreUnavailable: PostgreSQL is away; the lease lapses by itself.
    """
    async with database.statement() as connection:
        values = {"id": lease.id, "attempt": lease.attempts, "error": storable(error)}
        await connection.execute(_RELEASE, values)


async def settle_failed(
    database: Database, lease: Lease, *, error: str, fallback: Outboxed | None
) -> bool:
    """Note that it failed for good, and ask the fallback in the same statement.

    Returns:
        False when the lease was taken over since; then nothing happened.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    values = {
        "id": lease.id,
        "attempt": lease.attempts,
        "error": storable(error),
        "next": fallback.id if fallback else None,
        "receiver": fallback.receiver if fallback else None,
        "channel": fallback.channel if fallback else None,
    }
    async with database.statement() as connection:
        return bool((await connection.execute(_FAIL, values)).scalar_one())
