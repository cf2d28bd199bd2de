"""How long a question may take, whatever stands still behind it."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from tocsin.errors import Unavailable

Answer = TypeVar("Answer")


class Patience:
    """Ends questions that take too long.

    A server that is stopped, not dead, keeps its connections and says nothing, and its own
    time-outs stand still with it. To give a question up may take long for the same reason, so it
    happens behind the answer.
    """

    def __init__(self) -> None:
        self._asked: set[asyncio.Task[Any]] = set()

    async def bound(self, question: Coroutine[Any, Any, Answer], longest: timedelta) -> Answer:
        """Await an answer.

        Args:
            question: What is asked.
            longest: How long it may take.

        Raises:
            Unavailable: There is no answer in time.
        """
        task = asyncio.create_task(question)
        self._asked.add(task)
        task.add_done_callback(self._forget)
        try:
            await asyncio.wait({task}, timeout=longest.total_seconds())
            if task.done():
                return task.result()
        finally:
            task.cancel()
        seconds = longest.total_seconds()
        raise Unavailable(f"There was no answer within {seconds:.0f} s from what is asked for it.")

    def _forget(self, task: asyncio.Task[Any]) -> None:
        """Let go of a task, and of an error that nobody waits for any more."""
        self._asked.discard(task)
        if not task.cancelled():
            task.exception()
