"""Alerts as operators list them: the latest run of each."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import ColumnElement, exists, select

from tocsin.domain.severity import Severity
from tocsin.store.database import Database
from tocsin.store.paging import Key, Order, read_page
from tocsin.store.tables import alerts

Status = Literal["received", "running", "finished", "failed", "dead"]


class AlertItem(msgspec.Struct, frozen=True, kw_only=True):
    """The latest run of an alert, in a line.

    Attributes:
        id: The alert's id.
        tenant: Whose it is.
        source: Source it came through.
        source_event_id: The sender's identifier; empty when it has none.
        level: The sender's level; None when it has none.
        severity: Effective severity: the verdict's, and the sender's until there is one.
        status: Where it is.
        received_at: When the receiver took it.
        finished_at: When it was done, one way or the other.
        route: Name of its route; empty until it is saved.
        run: 0, and one more for each redrive.
        rule_id: The sender's rule.
        description: What the rule says happened.
        source_address: Where an attack came from; empty when there is none.
        agent: Name of the machine concerned.
    """

    id: str
    tenant: str
    source: str
    source_event_id: str
    level: int | None
    severity: Severity
    status: Status
    received_at: datetime
    finished_at: datetime | None
    route: str
    run: int
    rule_id: str
    description: str
    source_address: str
    agent: str


class AlertFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which alerts; what is left out filters nothing.

    Attributes:
        since: Received at or after this moment.
        severity: Effective severities.
        status: Statuses of the latest run.
        source: Source it came through.
        source_event_id: The sender's identifier.
        tenant: Whose.
    """

    since: datetime | None = None
    severity: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    source: str = ""
    source_event_id: str = ""
    tenant: str = ""

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """The same in SQL."""
        if self.since:
            yield alerts.c.received_at >= self.since
        if self.severity:
            yield alerts.c.severity.in_(self.severity)
        if self.status:
            yield alerts.c.state.in_(self.status)
        if self.source:
            yield alerts.c.source == self.source
        if self.source_event_id:
            yield alerts.c.source_event_id == self.source_event_id
        if self.tenant:
            yield alerts.c.tenant == self.tenant


_later = alerts.alias("later")
_LATEST = select(
    alerts.c.id,
    alerts.c.tenant,
    alerts.c.source,
    alerts.c.source_event_id,
    alerts.c.level,
    alerts.c.severity,
    alerts.c.state.label("status"),
    alerts.c.received_at,
    alerts.c.finished_at,
    alerts.c.route,
    alerts.c.run,
    alerts.c.alert["rule", "id"].astext.label("rule_id"),
    alerts.c.alert["rule", "description"].astext.label("description"),
    alerts.c.alert["source_address"].astext.label("source_address"),
    alerts.c.alert["agent", "name"].astext.label("agent"),
).where(
    alerts.c.state != "superseded",
    ~exists().where(
        _later.c.tenant == alerts.c.tenant,
        _later.c.id == alerts.c.id,
        _later.c.run > alerts.c.run,
    ),
)
_ORDER = Order(alerts.c.received_at, alerts.c.id)


async def list_alerts(
    database: Database, which: AlertFilter, *, after: Key | None = None, limit: int
) -> list[AlertItem]:
    """Read one page of alerts, newest first by receipt.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    return await read_page(
        database,
        _LATEST,
        which.conditions(),
        _ORDER,
        after=after,
        limit=limit,
        into=AlertItem,
    )
