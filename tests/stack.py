"""One running stack for the suite, supervised from a thread with a loop of its own.

A thread, because the loop of the tests stands still between tests, and a supervisor has to notice
a death at any time. It lasts as long as the stack, as it must: the kernel ends a child together
with the thread that started it.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from console.embedded import endpoints
from console.embedded.endpoints import Endpoints
from console.embedded.options import PARTS, StackOptions
from console.embedded.stack import Stack, run
from tocsin.settings import load_settings

Seen = TypeVar("Seen")
WITHIN = timedelta(seconds=60)


class RunningStack:
    """A stack that runs, and whose parts a test may hurt.

    Its methods wait for what they ask for, and may be called from any thread; in a coroutine use
    `await asyncio.to_thread(stack.stop, "temporal")`.

    Attributes:
        data_dir: Its data directory.
        endpoints: Where everything is.
        lines: What it reported so far, in order.
    """

    def __init__(
        self, stack: Stack, data_dir: Path, endpoints: Endpoints, lines: list[str]
    ) -> None:
        self.data_dir = data_dir
        self.endpoints = endpoints
        self.lines = lines
        self._stack = stack
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()

    def kill(self, name: str) -> None:
        """Let a part die a moment from now; it comes back."""
        self._loop.call_soon_threadsafe(self._stack.kill, name)

    def restart(self, name: str) -> None:
        """Kill a part with SIGKILL, and wait until it serves again.

        It may not have found the other parts yet.
        """
        old = self.pid(name)
        self.kill(name)
        eventually(lambda: self.pid(name) not in {None, old}, f"{name} came back")

    def stop(self, name: str) -> None:
        """Stop a part and wait until it is gone; it stays away until started."""
        self._wait(self._stack.stop(name))

    def start(self, name: str) -> None:
        """Start a stopped part and wait until it is ready."""
        self._wait(self._stack.start(name))

    def pid(self, name: str) -> int | None:
        """Process id of a part; None while it does not serve."""
        return self._stack.pid(name)

    def leave(self) -> None:
        """Let the stack end."""
        self._loop.call_soon_threadsafe(self._done.set)

    async def stay(self) -> None:
        """Wait, in the stack's own loop, until it may end."""
        await self._done.wait()

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(WITHIN.total_seconds())


@contextmanager
def running_stack(options: StackOptions) -> Iterator[RunningStack]:
    """Run a stack for the time of the block; what keeps it from starting is raised here."""
    opened: Future[RunningStack] = Future()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="stack") as thread:
        ended = thread.submit(asyncio.run, _serve(options, opened))
        ended.add_done_callback(partial(_tell_failure, opened))
        running = opened.result()
        try:
            yield running
        finally:
            running.leave()
            ended.result()


def eventually(look: Callable[[], Seen | None], promise: str, within: timedelta = WITHIN) -> Seen:
    """Look until there is something to see, and return it.

    Raises:
        AssertionError: There was nothing in time.
    """
    deadline = time.monotonic() + within.total_seconds()
    while not (seen := look()):
        assert time.monotonic() < deadline, f"not in {within}: {promise}"
        time.sleep(0.05)
    return seen


class RunningCommand:
    """A stack run by a process of its own, as the command runs it.

    Attributes:
        data_dir: Its data directory.
        process: The process.
    """

    def __init__(
        self, data_dir: Path, without: Iterable[str], *, wrapper: Sequence[str] = (), **env: str
    ) -> None:
        self.data_dir = data_dir
        self.process = subprocess.Popen(
            (*wrapper, sys.executable, "-u", "-m", "tests.stack", str(data_dir), *without),
            env=os.environ | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def endpoints(self) -> Endpoints:
        """What it published, as soon as it is ready."""
        return eventually(self._published, "endpoints.json appears")

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Send it a signal and wait; its exit code and all that it reported."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        """Wait for its end; its exit code and all that it reported."""
        output, _ = self.process.communicate(timeout=WITHIN.total_seconds())
        return self.process.returncode, output

    def _published(self) -> Endpoints | None:
        if self.process.poll() is not None:
            pytest.fail(f"ended before it was ready:\n{self.wait()[1]}")
        found = endpoints.read(self.data_dir)
        return found if found and found.pid == self.process.pid else None


@contextmanager
def running_command(
    data_dir: Path, *, only: Collection[str], wrapper: Sequence[str] = (), **env: str
) -> Iterator[RunningCommand]:
    """Run some parts of a stack in a process of its own, which ends with the block.

    Args:
        data_dir: Its data directory.
        only: The parts to run.
        wrapper: Program that comes before the command.
        env: More environment variables.
    """
    without = [part for part in PARTS if part not in only]
    running = RunningCommand(data_dir, without, wrapper=wrapper, **env)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.end()


async def _serve(options: StackOptions, opened: Future[RunningStack]) -> None:
    lines: list[str] = []
    stack = Stack(options, report=lines.append)
    async with stack as ready:
        running = RunningStack(stack, options.data_dir, ready, lines)
        opened.set_result(running)
        await running.stay()


def _tell_failure(opened: Future[RunningStack], ended: Future[None]) -> None:
    if not opened.done():
        opened.set_exception(ended.exception())


if __name__ == "__main__":
    folder, *absent = sys.argv[1:]
    chosen = StackOptions(
        data_dir=Path(folder), without=frozenset(absent), settings=load_settings()
    )
    sys.exit(asyncio.run(run(chosen, report=print)))
