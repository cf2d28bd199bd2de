"""Opening what a process needs, and closing it again in the other order."""

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Final, Self

import structlog

from tocsin.errors import VaultUnavailable
from tocsin.jetstream import Bus
from tocsin.secrets import Secrets
from tocsin.settings import Settings
from tocsin.store.database import Database

_PAUSE_SECONDS: Final = 1.0

log = structlog.get_logger()


class Clients:
    """Opens clients; each is closed when the block ends.

    Args:
        settings: Where things are.
        name: The process, as the servers shall see it.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self.settings = settings
        self.secrets = Secrets(settings.vault)
        self._name = name
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._stack.push_async_callback(self.secrets.close)
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def bus(self, *, wait: bool = True) -> Bus:
        """Connect to NATS.

        Args:
            wait: False connects in the background, for a process that answers meanwhile.

        Raises:
            SecretMissing: The password's reference names nothing.
            VaultUnavailable: The password is in Vault, Vault is away, and we wait.
        """
        nats = self.settings.nats
        password = partial(self.secrets.value, nats.password)
        bus = Bus(nats, password=password, name=self._name)
        self._stack.push_async_callback(bus.close)
        connecting = asyncio.create_task(bus.connect() if wait else _patiently(bus))
        self._stack.callback(connecting.cancel)
        if wait:
            await connecting
        return bus

    async def database(self) -> Database:
        """Open a pool on PostgreSQL; connections are made when they are needed.

        Raises:
            SecretMissing: The reference names nothing.
            VaultUnavailable: The URL is in Vault, and Vault is away.
        """
        postgres = self.settings.postgres
        database = Database(await self.secrets.value(postgres.dsn), size=postgres.pool)
        self._stack.push_async_callback(database.close)
        return database

    def closing(self, close: Any) -> None:  # noqa: ANN401 - any coroutine function
        """Call this too when the block ends."""
        self._stack.push_async_callback(close)


async def _patiently(bus: Bus) -> None:
    """Connect as soon as what the password needs is there."""
    while True:
        try:
            return await bus.connect()
        except VaultUnavailable as error:
            log.warning("dependency_away", dependency=error.dependency, error=str(error))
            await asyncio.sleep(_PAUSE_SECONDS)


@asynccontextmanager
async def stopping() -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM and SIGINT set."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, event.set)
    try:
        yield event
    finally:
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(signum)


async def together(stop: asyncio.Event, *work: Coroutine[Any, Any, object]) -> None:
    """Run until all have drained; when one fails, the others drain and its error is raised."""

    async def guarded(coroutine: Coroutine[Any, Any, object]) -> None:
        try:
            await coroutine
        finally:
            stop.set()

    try:
        async with asyncio.TaskGroup() as group:
            for each in work:
                group.create_task(guarded(each))
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors
