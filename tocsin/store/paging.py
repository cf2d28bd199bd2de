"""Pages, newest first, by key instead of by count.

A page goes on after the time and id of the last one's end, so that what comes in meanwhile neither
repeats a row nor hides one, and a page far back costs as little as the first.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Column, ColumnElement, Row, Select, tuple_

from tocsin.store.database import Database

Item = TypeVar("Item")


class Key(NamedTuple):
    """Where a page ends.

    Attributes:
        time: Time of its last row.
        id: Id of its last row.
    """

    time: datetime
    id: str


class Order(NamedTuple):
    """What a list is ordered by; an index on both, descending, makes it quick.

    Attributes:
        time: Column of times.
        id: Column of ids, for rows of the same time.
    """

    time: Column[Any]
    id: Column[Any]


async def read_page(
    database: Database,
    query: Select[Any],
    where: Iterable[ColumnElement[bool]],
    order: Order,
    *,
    after: Key | None,
    limit: int,
    into: type[Item],
) -> list[Item]:
    """Read one page.

    Args:
        database: Where.
        query: Columns named as the fields of `into`.
        where: Conditions; all of them hold.
        order: What it is ordered by.
        after: Where the page before this one ended; None for the first.
        limit: Most rows.
        into: What each row becomes.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    query = query.where(*where).order_by(order.time.desc(), order.id.desc()).limit(limit)
    if after:
        query = query.where(tuple_(order.time, order.id) < tuple_(after.time, after.id))
    async with database.transaction() as connection:
        rows = await connection.execute(query)
    return [msgspec.convert(fields(row), into) for row in rows]


def fields(row: Row[Any]) -> dict[str, Any]:
    """A row by column name, its times in UTC whatever the server's zone."""
    return {
        str(name): value.astimezone(UTC) if isinstance(value, datetime) else value
        for name, value in row._mapping.items()  # noqa: SLF001 - SQLAlchemy's documented name
    }
