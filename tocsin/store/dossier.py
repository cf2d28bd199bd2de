"""Everything that is known of one alert."""

from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import Select, and_, func, select

from tocsin.domain.alert import Alert, AlertId, AlertRef, TenantName
from tocsin.domain.severity import Severity
from tocsin.domain.verdict import Verdict
from tocsin.store.database import Database
from tocsin.store.paging import fields
from tocsin.store.tables import alerts, events, verdicts

RunStatus = Literal["received", "running", "finished", "failed", "dead", "superseded"]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One run of an alert.

    Attributes:
        run: 0 for the first, and one more for each redrive.
        status: Where it is; `superseded` when it ended badly and a later run took its place.
        error: Why it ended badly; empty when it did not.
        started_at: When Temporal accepted its workflow.
        finished_at: When it was done, one way or the other.
        workflow_run_id: Temporal's id of the workflow's run; empty until it is accepted.
    """

    run: int
    status: RunStatus
    error: str
    started_at: datetime | None
    finished_at: datetime | None
    workflow_run_id: str


class Dossier(Run, frozen=True, kw_only=True):
    """One run of an alert with all that it is made of.

    Attributes:
        id: The alert's id.
        tenant: Whose it is.
        severity: Effective severity.
        route: Name of its route; empty until it is saved.
        notes: What went wrong on the way without stopping it.
        saved_at: When its verdict was stored.
        epoch: Second in which the stream was created that it came from.
        sequence: Its sequence on that stream.
        alert: Its normalized form.
        raw: The bytes the sender posted.
        verdict: What was decided about it; None until it is saved.
    """

    id: AlertId
    tenant: TenantName
    severity: Severity
    route: str
    notes: tuple[str, ...]
    saved_at: datetime | None
    epoch: int
    sequence: int
    alert: Alert
    raw: bytes
    verdict: Verdict | None

    @property
    def ref(self) -> AlertRef:
        """Which run of which alert it is."""
        return AlertRef(tenant=self.tenant, alert_id=self.id, run=self.run)


_RUN = (
    alerts.c.run,
    alerts.c.state.label("status"),
    alerts.c.error,
    alerts.c.started_at,
    alerts.c.finished_at,
    alerts.c.workflow_run_id,
)
_VERDICT = ("given_by", "disposition", "reasons")
_WHOLE = select(
    *_RUN,
    alerts.c.id,
    alerts.c.tenant,
    alerts.c.severity,
    alerts.c.route,
    alerts.c.notes,
    alerts.c.saved_at,
    alerts.c.epoch,
    alerts.c.sequence,
    alerts.c.alert,
    events.c.raw,
    verdicts.c.severity.label("judged"),
    *(verdicts.c[name] for name in _VERDICT),
).select_from(
    alerts.join(
        events,
        and_(events.c.epoch == alerts.c.epoch, events.c.sequence == alerts.c.sequence),
    ).outerjoin(
        verdicts,
        and_(
            verdicts.c.tenant == alerts.c.tenant,
            verdicts.c.alert_id == alerts.c.id,
            verdicts.c.run == alerts.c.run,
        ),
    )
)


async def open_dossier(
    database: Database, id_: str, *, tenant: str = "", run: int | None = None
) -> Dossier | None:
    """Read one run of an alert; None when there is none.

    Args:
        database: Where.
        id_: The alert's id.
        tenant: Whose it is; naming it spares a search through all tenants.
        run: Which run; None for the latest.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    query = _of(_WHOLE, id_, tenant).order_by(alerts.c.run.desc()).limit(1)
    if run is not None:
        query = query.where(alerts.c.run == run)
    async with database.transaction() as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    found = fields(row)
    judged = {name: found.pop(name) for name in _VERDICT}
    found["verdict"] = judged | {"severity": found.pop("judged")} if judged["given_by"] else None
    return msgspec.convert(found, Dossier)


async def list_runs(database: Database, tenant: TenantName, id_: AlertId) -> list[Run]:
    """Read all runs of an alert, the latest first.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    query = _of(select(*_RUN), id_, tenant).order_by(alerts.c.run.desc())
    async with database.transaction() as connection:
        rows = await connection.execute(query)
    return [msgspec.convert(fields(row), Run) for row in rows]


async def highest_run(database: Database, tenant: TenantName, id_: AlertId) -> int:
    """The number of the last run that any message carried; 0 when none did.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    query = select(func.max(events.c.run)).where(
        events.c.tenant == tenant, events.c.alert_id == id_
    )
    async with database.transaction() as connection:
        return (await connection.execute(query)).scalar_one() or 0


def _of(query: Select[Any], id_: str, tenant: str) -> Select[Any]:
    query = query.where(alerts.c.id == id_)
    return query.where(alerts.c.tenant == tenant) if tenant else query
