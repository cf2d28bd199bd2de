"""Tenants whose file is gone while work of theirs waits: nobody would hear of it otherwise."""

from collections.abc import Collection

import msgspec
import structlog

from ingest.dispatcher.patience import Patience
from tocsin.domain.alert import TenantName
from tocsin.store.database import Database
from tocsin.store.tenants import find_deserted

log = structlog.get_logger()


async def tell_deserted(
    database: Database, tenants: Collection[TenantName], patience: Patience
) -> None:
    """Log each tenant without a sound file whose alerts wait; then stay until the process drains.

    Raises:
        Stopping: The process drains while PostgreSQL is away.
    """
    for each in await patience.hold(lambda: find_deserted(database, tenants)):
        log.warning("tenant_without_file", **msgspec.structs.asdict(each))
    await patience.stopping.wait()
