"""Holding on while a dependency is away: no fetching, no negative acknowledgement, no loss."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import structlog

from tocsin.errors import Unavailable

log = structlog.get_logger()

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0


class Stopping(Exception):
    """The process drains; what is not done is left for the next one."""


class Patience:
    """Repeats what failed because something is away, until it succeeds or the process drains.

    Args:
        stopping: Set when the process shall drain.
    """

    def __init__(self, stopping: asyncio.Event) -> None:
        self.stopping = stopping

    async def hold(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work, again and again while a dependency is away.

        Raises:
            Stopping: The process drains and the work is not done.
        """
        pause = _FIRST_PAUSE
        while True:
            try:
                return await work()
            except Unavailable as error:
                log.warning("dependency_away", dependency=error.dependency, error=str(error))
                if self.stopping.is_set():
                    raise Stopping from error
            await self.pause(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def unless_stopping(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for something that may take long, but not beyond the moment of draining.

        Raises:
            Stopping: The process drains.
        """
        working = asyncio.create_task(work)
        stopped = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise Stopping
        finally:
            stopped.cancel()
            working.cancel()

    async def pause(self, seconds: float) -> None:
        """Wait, or return at once when the process drains."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return
