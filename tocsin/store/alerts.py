"""Alerts: their way from received to finished, one short transaction per step."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import text

from tocsin.domain.alert import EPOCH, Alert, AlertId, AlertRef, TenantName
from tocsin.domain.severity import Severity
from tocsin.domain.verdict import Disposition, Giver, Verdict
from tocsin.domain.work import Saved
from tocsin.store.database import Database, storable


class Outboxed(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the outbox: somebody who shall hear of an alert.

    Attributes:
        id: Identity of the notification and key of its idempotency.
        receiver: Name of the receiver.
        channel: How it is reached.
    """

    id: str
    receiver: str
    channel: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored about one run of an alert.

    Attributes:
        verdict: The effective verdict.
        route: Name of the route that follows from it.
        notes: What went wrong on the way without stopping it.
        outbox: Who shall hear of it.
    """

    verdict: Verdict
    route: str
    notes: tuple[str, ...] = ()
    outbox: tuple[Outboxed, ...] = ()


_LOAD = text("SELECT alert FROM alerts WHERE tenant = :tenant AND id = :id AND run = :run")

_LOAD_JUDGED = text("""
SELECT a.alert, a.route, v.severity, v.disposition, v.given_by, v.reasons
FROM alerts a JOIN verdicts v ON (v.tenant, v.alert_id, v.run) = (a.tenant, a.id, a.run)
WHERE a.tenant = :tenant AND a.id = :id AND a.run = :run
""")

_SAVE = text("""
WITH won AS (
    UPDATE alerts SET
        severity = :severity, route = :route, notes = :notes, saved_at = now(),
        started_at = coalesce(started_at, now()), workflow_run_id = :workflow_run_id,
        state = CASE WHEN :last THEN 'finished' ELSE 'running' END,
        finished_at = CASE WHEN :last THEN now() END
    WHERE tenant = :tenant AND id = :id AND run = :run AND saved_at IS NULL
    RETURNING tenant, id, run
), verdict AS (
    INSERT INTO verdicts (tenant, alert_id, run, given_by, severity, disposition, reasons)
    SELECT tenant, id, run, :given_by, :severity, :disposition, :reasons FROM won
), outbox AS (
    INSERT INTO notifications (id, tenant, alert_id, run, receiver, channel, status)
    SELECT n.id, won.tenant, won.id, won.run, n.receiver, n.channel, 'pending'
    FROM won, unnest(CAST(:ids AS text[]), CAST(:receivers AS text[]), CAST(:channels AS text[]))
        AS n (id, receiver, channel)
)
SELECT count(*) FROM won
""")

_SAVED = text("""
SELECT severity, route, ARRAY(
    SELECT n.id FROM notifications n
    WHERE n.tenant = a.tenant AND n.alert_id = a.id AND n.run = a.run AND n.fallback_for IS NULL
    ORDER BY n.id) AS notifications
FROM alerts a WHERE tenant = :tenant AND id = :id AND run = :run AND saved_at IS NOT NULL
""")

_STARTED = text("""
UPDATE alerts SET state = 'running', started_at = now(), workflow_run_id = input.workflow_run_id
FROM unnest(CAST(:ids AS text[]), CAST(:runs AS int[]), CAST(:workflow_runs AS text[]))
    AS input (id, run, workflow_run_id)
WHERE alerts.tenant = :tenant AND alerts.id = input.id AND alerts.run = input.run
  AND alerts.state = 'received'
""")

_FINISHED = text("""
UPDATE alerts SET state = 'finished', finished_at = now()
WHERE tenant = :tenant AND id = :id AND run = :run AND state IN ('received', 'running')
""")

_ENDED = text("""
UPDATE alerts SET state = :state, error = :error, finished_at = now()
WHERE tenant = :tenant AND id = :id AND run = :run AND state IN ('received', 'running')
""")

_OPEN = text("""
SELECT tenant, id, run, started_at FROM alerts
WHERE state = 'running' AND started_at < now() - make_interval(secs => :age)
  AND (started_at, id) > (:since, :after)
ORDER BY started_at, id LIMIT :limit
""")


async def load(database: Database, ref: AlertRef) -> Alert:
    """Read the normalized alert.

    Raises:
        LookupError: There is no such run.
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.statement() as connection:
        row = (await connection.execute(_LOAD, _key(ref))).one_or_none()
    if row is None:
        raise LookupError(f"no alert {ref.workflow_id}")
    return msgspec.convert(row.alert, Alert)


async def load_judged(database: Database, ref: AlertRef) -> tuple[Alert, Verdict, str]:
    """Read the alert with its stored verdict and the name of its route.

    Raises:
        LookupError: There is no such run, or it has no verdict yet.
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.statement() as connection:
        row = (await connection.execute(_LOAD_JUDGED, _key(ref))).one_or_none()
    if row is None:
        raise LookupError(f"no verdict on {ref.workflow_id}")
    verdict = Verdict(
        severity=Severity(row.severity),
        disposition=Disposition(row.disposition),
        given_by=Giver(row.given_by),
        reasons=tuple(row.reasons),
    )
    return msgspec.convert(row.alert, Alert), verdict, row.route


async def save(
    database: Database, ref: AlertRef, decision: Decision, *, workflow_run_id: str
) -> tuple[Saved, bool]:
    """Store verdict, route and outbox rows in one transaction; the first writer wins.

    An alert that nobody shall hear of is finished by this.

    Returns:
        What is stored now, and whether this call wrote it.

    Raises:
        LookupError: There is no such run.
        StoreUnavailable: PostgreSQL is away.
    """
    verdict, outbox = decision.verdict, decision.outbox
    async with database.statement() as connection:
        rows = await connection.execute(
            _SAVE,
            _key(ref)
            | {
                "severity": verdict.severity.value,
                "disposition": verdict.disposition.value,
                "given_by": verdict.given_by.value,
                "reasons": list(verdict.reasons),
                "route": decision.route,
                "notes": list(decision.notes),
                "last": not outbox,
                "workflow_run_id": workflow_run_id,
                "ids": [n.id for n in outbox],
                "receivers": [n.receiver for n in outbox],
                "channels": [n.channel for n in outbox],
            },
        )
        if rows.scalar_one():
            ids = tuple(n.id for n in outbox)
            saved = Saved(severity=verdict.severity, route=decision.route, notifications=ids)
            return saved, True
        row = (await connection.execute(_SAVED, _key(ref))).one_or_none()
    if row is None:
        raise LookupError(f"no alert {ref.workflow_id}")
    stored = Saved(
        severity=Severity(row.severity), route=row.route, notifications=tuple(row.notifications)
    )
    return stored, False


async def mark_started(
    database: Database, tenant: TenantName, started: Sequence[tuple[AlertRef, str]]
) -> None:
    """Note that Temporal accepted workflows, with their run ids.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.statement() as connection:
        await connection.execute(
            _STARTED,
            {
                "tenant": tenant,
                "ids": [ref.alert_id for ref, _ in started],
                "runs": [ref.run for ref, _ in started],
                "workflow_runs": [workflow_run for _, workflow_run in started],
            },
        )


async def mark_finished(database: Database, ref: AlertRef) -> None:
    """Note that the workflow is done.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.statement() as connection:
        await connection.execute(_FINISHED, _key(ref))


async def mark_ended(database: Database, ref: AlertRef, *, state: str, error: str) -> None:
    """Note that a run ended otherwise: `failed` or `dead`, and why.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.statement() as connection:
        await connection.execute(_ENDED, _key(ref) | {"state": state, "error": storable(error)})


class Place(msgspec.Struct, frozen=True):
    """Where a walk through the running alerts stands.

    Attributes:
        started_at: When the alert before it was started.
        id: Which alert that was.
    """

    started_at: datetime = EPOCH
    id: str = ""


async def still_open(
    database: Database, *, age: float, after: Place, limit: int
) -> tuple[list[AlertRef], Place]:
    """Runs that have been running for more than `age` seconds, oldest first.

    Returns:
        Up to `limit` runs behind a place, and the place to go on from: the beginning, after the
        last of them.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    values = {"age": age, "since": after.started_at, "after": after.id, "limit": limit}
    async with database.statement() as connection:
        rows = (await connection.execute(_OPEN, values)).all()
    refs = [
        AlertRef(tenant=TenantName(row.tenant), alert_id=AlertId(row.id), run=row.run)
        for row in rows
    ]
    return refs, Place(rows[-1].started_at, rows[-1].id) if len(rows) == limit else Place()


def _key(ref: AlertRef) -> dict[str, object]:
    return {"tenant": ref.tenant, "id": ref.alert_id, "run": ref.run}
