"""The bookkeeper: closes the books now and then, for `/metrics`."""

from collections.abc import Iterable
from typing import Final

import msgspec
import structlog

from ingest.books import balance
from ingest.dispatcher.patience import Patience
from tocsin.domain.alert import TenantName
from tocsin.errors import Unavailable
from tocsin.jetstream import Bus
from tocsin.store.database import Database
from tocsin.telemetry import BALANCED, BOOKS

log = structlog.get_logger()

# Counting reads whole indexes: often enough for an alarm, seldom enough for the database.
_INTERVAL: Final = 30.0


async def show_books(
    bus: Bus, database: Database, tenants: Iterable[TenantName], patience: Patience
) -> None:
    """Export the balance until the process drains."""
    names = tuple(tenants)
    while not patience.stopping.is_set():
        try:
            books = await balance(bus, database, names)
        except Unavailable as error:
            log.warning("dependency_away", dependency=error.dependency, error=str(error))
        else:
            for column, value in msgspec.structs.asdict(books).items():
                if type(value) is int:
                    BOOKS.labels(column).set(value)
            BALANCED.set(books.balanced)
            if not books.balanced:
                log.error("books_unbalanced", **msgspec.structs.asdict(books))
        await patience.pause(_INTERVAL)
