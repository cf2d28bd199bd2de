"""One alert as `/v1/alerts/{id}` shows it."""

from datetime import datetime

import msgspec

from console.api.answers import Raw
from tocsin.domain.alert import Alert
from tocsin.domain.severity import Severity
from tocsin.domain.verdict import Verdict
from tocsin.store.deliveries import NotificationItem
from tocsin.store.dossier import Dossier, Run, RunStatus


class WorkflowLink(msgspec.Struct, frozen=True, kw_only=True):
    """Where Temporal keeps the run's workflow.

    Attributes:
        id: Workflow id.
        run_id: Temporal's id of its run; empty until it is accepted.
        url: Its page in Temporal's web interface; None when none is configured.
    """

    id: str
    run_id: str
    url: str | None


class AlertDetail(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one run of an alert.

    Attributes:
        id: The alert's id.
        tenant: Whose it is.
        source: Source it came through.
        source_event_id: The sender's identifier; empty when it has none.
        level: The sender's level; None when it has none.
        severity: Effective severity.
        status: Where this run is.
        run: 0, and one more for each redrive.
        received_at: When the receiver took it.
        started_at: When Temporal accepted its workflow.
        saved_at: When its verdict was stored.
        finished_at: When it was done, one way or the other.
        route: Name of its route; empty until it is saved.
        error: Why it ended badly; empty when it did not.
        notes: What went wrong on the way without stopping it.
        sequence: Its sequence on the ALERTS stream.
        workflow: Where Temporal keeps its workflow.
        alert: Its normalized form.
        verdict: What was decided about it; None until it is saved.
        notifications: Who is told of this run, newest first.
        runs: The other runs of this alert, latest first.
        raw: The bytes the sender posted.
    """

    id: str
    tenant: str
    source: str
    source_event_id: str
    level: int | None
    severity: Severity
    status: RunStatus
    run: int
    received_at: datetime
    started_at: datetime | None
    saved_at: datetime | None
    finished_at: datetime | None
    route: str
    error: str
    notes: tuple[str, ...]
    sequence: int
    workflow: WorkflowLink
    alert: Alert
    verdict: Verdict | None
    notifications: list[NotificationItem]
    runs: list[Run]
    raw: Raw


def describe(
    dossier: Dossier,
    workflow: WorkflowLink,
    notifications: list[NotificationItem],
    others: list[Run],
) -> AlertDetail:
    """Put together what is shown.

    Args:
        dossier: The run.
        workflow: Where its workflow is.
        notifications: Those of this run.
        others: The other runs.
    """
    alert = dossier.alert
    return AlertDetail(
        id=dossier.id,
        tenant=dossier.tenant,
        source=alert.source,
        source_event_id=alert.source_event_id,
        level=alert.level,
        severity=dossier.severity,
        status=dossier.status,
        run=dossier.run,
        received_at=alert.received_at,
        started_at=dossier.started_at,
        saved_at=dossier.saved_at,
        finished_at=dossier.finished_at,
        route=dossier.route,
        error=dossier.error,
        notes=dossier.notes,
        sequence=dossier.sequence,
        workflow=workflow,
        alert=alert,
        verdict=dossier.verdict,
        notifications=notifications,
        runs=others,
        raw=Raw.of(dossier.raw),
    )
