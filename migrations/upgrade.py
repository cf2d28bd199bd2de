"""Running the migrations; one process at a time, however many start together."""

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from tocsin.store.database import Database

# Any number that nothing else in the database uses for an advisory lock.
_LOCK = 0x70C51


async def upgrade(database: Database, *, revision: str = "head") -> None:
    """Bring the schema up to a revision.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.transaction() as connection:
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        await connection.run_sync(_upgrade, revision)


def _upgrade(connection: Connection, revision: str) -> None:
    command.upgrade(configuration(connection), revision)


async def revisions(database: Database) -> tuple[str, str]:
    """The revision of the schema, empty before the first, and the one it shall have.

    Raises:
        StoreUnavailable: PostgreSQL is away.
    """
    async with database.transaction() as connection:
        present = await connection.run_sync(
            lambda open_: MigrationContext.configure(open_).get_current_revision()
        )
    return present or "", ScriptDirectory.from_config(configuration()).get_current_head() or ""


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration, on a connection that is already open."""
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    config.attributes["connection"] = connection
    return config
