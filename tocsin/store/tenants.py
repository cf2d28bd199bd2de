"""Tenants as the database knows them."""

from collections.abc import Iterable

from sqlalchemy.dialects.postgresql import insert

from tocsin.domain.alert import TenantName
from tocsin.store.database import Database
from tocsin.store.tables import tenants

_REGISTER = insert(tenants).on_conflict_do_nothing()


async def register(database: Database, names: Iterable[TenantName]) -> None:
    """Note tenants that are new.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    rows = [{"tenant": name} for name in names]
    if rows:
        async with database.transaction() as connection:
            await connection.execute(_REGISTER, rows)
