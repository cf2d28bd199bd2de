"""Quarantine and dead letters as operators read them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert

from tocsin.store.database import Database
from tocsin.store.paging import Key, Order, fields, read_page
from tocsin.store.tables import dead_letters, events

Kind = Literal["quarantine", "dead"]
Stage = Literal["receive", "dispatch"]


class LetterItem(msgspec.Struct, frozen=True, kw_only=True):
    """One letter without its bytes.

    Attributes:
        id: Its id.
        tenant: Whose it is.
        source: Source it came through; empty when its publisher named none.
        kind: `quarantine` for what is no alert, `dead` for an alert that could not be worked on.
        stage: Where on the road it happened.
        reason: Why, in one sentence.
        attempts: How often it was tried.
        alert_id: The alert that it is; empty in quarantine.
        sequence: Its sequence on ALERTS; 0 when it never was there.
        received_at: When it was received.
        redriven_at: When another message took its place; None while it is open.
    """

    id: str
    tenant: str
    source: str
    kind: Kind
    stage: Stage
    reason: str
    attempts: int
    alert_id: str
    sequence: int
    received_at: datetime
    redriven_at: datetime | None


class StoredLetter(LetterItem, frozen=True, kw_only=True):
    """A letter with its bytes.

    Attributes:
        raw: The bytes as they came.
    """

    raw: bytes


class LetterFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which letters; what is left out filters nothing.

    Attributes:
        since: Received at or after this moment.
        kind: Quarantine or dead letters.
        redriven: Whether another message took its place.
        source: Source it came through.
        tenant: Whose.
    """

    since: datetime | None = None
    kind: str = ""
    redriven: bool | None = None
    source: str = ""
    tenant: str = ""

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """The same in SQL."""
        if self.since:
            yield dead_letters.c.received_at >= self.since
        if self.kind:
            yield dead_letters.c.kind == self.kind
        if self.redriven is not None:
            yield dead_letters.c.redriven_at.is_not(None) == self.redriven
        if self.source:
            yield dead_letters.c.source == self.source
        if self.tenant:
            yield dead_letters.c.tenant == self.tenant


_NEW = insert(dead_letters)
# The same bytes again, after they were redriven: the letter is open again.
_KEEP = _NEW.on_conflict_do_update(
    index_elements=[dead_letters.c.id],
    set_={"redriven_at": None, "received_at": _NEW.excluded.received_at},
    where=_NEW.excluded.received_at > dead_letters.c.redriven_at,
)
_ITEMS = select(*(dead_letters.c[name] for name in LetterItem.__struct_fields__))
_LETTERS = select(*(dead_letters.c[name] for name in StoredLetter.__struct_fields__))
_ORDER = Order(dead_letters.c.received_at, dead_letters.c.id)


async def keep(database: Database, rows: Sequence[dict[str, object]]) -> None:
    """Write letters; writing one again changes nothing.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.transaction() as connection:
        await connection.execute(_KEEP, rows)


async def list_letters(
    database: Database, which: LetterFilter, *, after: Key | None = None, limit: int
) -> list[LetterItem]:
    """Read one page of letters, newest first by receipt.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    return await read_page(
        database, _ITEMS, which.conditions(), _ORDER, after=after, limit=limit, into=LetterItem
    )


async def load(database: Database, id_: str) -> StoredLetter | None:
    """Read a letter; None when there is none of that id.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.transaction() as connection:
        rows = await connection.execute(_LETTERS.where(dead_letters.c.id == id_))
        row = rows.one_or_none()
    return msgspec.convert(fields(row), StoredLetter) if row else None


async def mark_redriven(database: Database, id_: str) -> None:
    """Note that another message carries what is in a letter.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    open_ = dead_letters.c.redriven_at.is_(None)
    statement = update(dead_letters).where(dead_letters.c.id == id_, open_)
    async with database.transaction() as connection:
        await connection.execute(statement.values(redriven_at=func.now()))


async def is_quarantined(database: Database, epoch: int, sequence: int) -> bool:
    """Whether a message of the ALERTS stream is recorded as one that is no alert.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    query = select(events.c.disposition).where(
        events.c.epoch == epoch, events.c.sequence == sequence
    )
    async with database.transaction() as connection:
        return (await connection.execute(query)).scalar_one_or_none() == "quarantine"
