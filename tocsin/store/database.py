"""The connection to PostgreSQL: one pool per process, and what its errors mean to us."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import sqlalchemy.exc
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tocsin.errors import MessageFault, StoreUnavailable


class Database:
    """A pool of connections.

    Args:
        dsn: A resolved `postgresql://` URL.
        size: Most connections.
    """

    def __init__(self, dsn: str, *, size: int = 8) -> None:
        self._engine: AsyncEngine = create_async_engine(
            dsn,
            pool_size=size,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 3, "options": "-c statement_timeout=30000"},
        )
        self._statements = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, committed at the end.

        Raises:
            StoreUnavailable: PostgreSQL does not answer, is shutting down, or rolled back for
                others' sake; trying again may help.
            MessageFault: The data itself does not fit the schema.
        """
        with _errors_as_ours():
            async with self._engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which each statement is a transaction of its own, two round trips less.

        Raises:
            StoreUnavailable: As `transaction`.
            MessageFault: As `transaction`.
        """
        with _errors_as_ours():
            async with self._statements.connect() as connection:
                yield connection

    async def ping(self) -> None:
        """Ask for an answer.

        Raises:
            StoreUnavailable: There is none.
        """
        async with self.transaction() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()


@contextmanager
def _errors_as_ours() -> Iterator[None]:
    try:
        yield
    except (sqlalchemy.exc.DataError, sqlalchemy.exc.IntegrityError) as error:
        raise MessageFault(f"PostgreSQL refuses the data: {_cause(error)}") from error
    except UnicodeEncodeError as error:
        raise MessageFault(f"PostgreSQL takes UTF-8 only: {error.reason}") from error
    except (
        sqlalchemy.exc.OperationalError,
        sqlalchemy.exc.InterfaceError,
        sqlalchemy.exc.InternalError,
        # A schema that is not there yet: `tocsin migrate` brings it.
        sqlalchemy.exc.ProgrammingError,
        sqlalchemy.exc.TimeoutError,
        OSError,
    ) as error:
        raise StoreUnavailable(f"PostgreSQL: {_cause(error)}") from error


def storable(text: str, *, limit: int = 2000) -> str:
    """Make stranger's text fit a column: no NUL, no lone surrogates, shortened."""
    cut = text[:limit].replace("\0", "\ufffd")
    return cut.encode("utf-8", "replace").decode()


def _cause(error: Exception) -> str:
    """The driver's own sentence, without the statement and its parameters (they hold data)."""
    return str(getattr(error, "orig", None) or error).strip().split("\n", maxsplit=1)[0]
