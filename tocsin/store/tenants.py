"""Tenants as the database knows them."""

from collections.abc import Iterable

import msgspec
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert

from tocsin.domain.alert import TenantName
from tocsin.store.database import Database
from tocsin.store.tables import tenants


class Deserted(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant whose work waits and whom no file describes.

    Attributes:
        tenant: Its name.
        alerts: Its alerts that are not finished.
        notifications: Their notifications that are neither delivered nor given up on.
    """

    tenant: TenantName
    alerts: int
    notifications: int


# Notifications are looked for behind unfinished alerts only: of the others nothing is sent any
# more, with or without a file, and the table has no index by status.
_DESERTED = text("""
SELECT tenant, count(*) AS alerts, coalesce(sum(open), 0)::bigint AS notifications
FROM alerts LEFT JOIN LATERAL (
    SELECT count(*) AS open FROM notifications
    WHERE notifications.tenant = alerts.tenant
        AND notifications.alert_id = alerts.id AND notifications.run = alerts.run
        AND status IN ('pending', 'sending')
) AS outbox ON true
WHERE state IN ('received', 'running') AND tenant <> ALL(:described)
GROUP BY tenant ORDER BY tenant
""")

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


async def find_deserted(database: Database, described: Iterable[TenantName]) -> list[Deserted]:
    """Tenants with unfinished alerts that are not among the described ones.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.statement() as connection:
        found = await connection.execute(_DESERTED, {"described": list(described)})
    return [Deserted(**row) for row in found.mappings()]
