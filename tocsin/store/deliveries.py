"""Notifications as operators read them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import ColumnElement, select

from tocsin.store.database import Database
from tocsin.store.paging import Key, Order, read_page
from tocsin.store.tables import notifications

Status = Literal["pending", "sending", "delivered", "failed"]


class NotificationItem(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the outbox.

    Attributes:
        id: Identity, and key of its idempotency.
        tenant: Whose alert it tells of.
        alert_id: Which alert.
        run: Which run of it.
        receiver: Name of the receiver.
        channel: How it is reached.
        fallback_for: The receiver that it stands in for; None when it was asked itself.
        status: Where it is.
        attempts: How often it was tried.
        error: Why the last attempt failed; empty when it did not.
        created_at: When it was decided.
        first_attempt_at: When it was tried first.
        settled_at: When it was delivered or given up.
    """

    id: str
    tenant: str
    alert_id: str
    run: int
    receiver: str
    channel: str
    fallback_for: str | None
    status: Status
    attempts: int
    error: str
    created_at: datetime
    first_attempt_at: datetime | None
    settled_at: datetime | None


class NotificationFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which notifications; what is left out filters nothing.

    Attributes:
        since: Decided at or after this moment.
        status: Statuses.
        channel: How they are sent.
        alert: Id of the alert they tell of.
        run: Which run of the alert.
        tenant: Whose.
    """

    since: datetime | None = None
    status: tuple[str, ...] = ()
    channel: str = ""
    alert: str = ""
    run: int | None = None
    tenant: str = ""

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """The same in SQL."""
        if self.since:
            yield notifications.c.created_at >= self.since
        if self.status:
            yield notifications.c.status.in_(self.status)
        if self.channel:
            yield notifications.c.channel == self.channel
        if self.alert:
            yield notifications.c.alert_id == self.alert
        if self.run is not None:
            yield notifications.c.run == self.run
        if self.tenant:
            yield notifications.c.tenant == self.tenant


_ITEMS = select(*(notifications.c[name] for name in NotificationItem.__struct_fields__))
_ORDER = Order(notifications.c.created_at, notifications.c.id)


async def list_notifications(
    database: Database, which: NotificationFilter, *, after: Key | None = None, limit: int
) -> list[NotificationItem]:
    """Read one page of notifications, newest first by decision.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    return await read_page(
        database,
        _ITEMS,
        which.conditions(),
        _ORDER,
        after=after,
        limit=limit,
        into=NotificationItem,
    )
