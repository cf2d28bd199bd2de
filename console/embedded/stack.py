"""The whole stack: the order of things, from the data directory to `endpoints.json` and back."""

import asyncio
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any

from console.embedded import endpoints, lock
from console.embedded.endpoints import Endpoints
from console.embedded.failure import StackFailed
from console.embedded.files import make_private_folder
from console.embedded.options import SERVERS, StackOptions
from console.embedded.plan import Plan, make_plan
from console.embedded.program import Program
from console.embedded.spawn import run_to_end
from console.embedded.supervisor import Child, Report

Beside = Callable[[Endpoints], Coroutine[Any, Any, int | None]]
DRAIN = (("receiver",), ("worker", "api"), ("inbox", *SERVERS))


class Stack:
    """All parts together, as an asynchronous context manager that gives the endpoints.

    `start`, `stop`, `kill` and `pid` of a single part are the seam by which tests try faults; the
    command itself never takes a part away.

    Args:
        options: What is asked of this start.
        report: Takes lines of progress, and of children that die and come back.
    """

    def __init__(self, options: StackOptions, *, report: Report) -> None:
        self._options = options
        self._report = report
        self._children: dict[str, Child] = {}
        self._plan: Plan | None = None
        self._open = AsyncExitStack()
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()

    async def __aenter__(self) -> Endpoints:
        """Start everything, and publish `endpoints.json` when all of it is ready.

        Raises:
            ConfigError: A server's program is missing, the configuration cannot be read, or it
                names an address that this machine does not have.
            StackFailed: The data directory or a port is taken, or a part died before ready.
        """
        began = time.monotonic()
        async with AsyncExitStack() as opening:
            folder = self._options.data_dir
            make_private_folder(folder)
            opening.enter_context(lock.hold(folder))
            endpoints.path_in(folder).unlink(missing_ok=True)
            plan = make_plan(self._options)
            lock.require_free(plan.addresses(), folder)
            for gap in plan.gaps():
                self._report(gap)
            opening.push_async_callback(self._drain)
            await self._start(plan.servers())
            for program in plan.migrations():
                await run_to_end(program)
                self._report(f"{program.name} done")
            await self._start(plan.own())
            self._plan = plan
            self._open = opening.pop_all()
        self._report(f"all ready in {time.monotonic() - began:.1f} s")
        return self._publish(plan)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Withdraw `endpoints.json`, and stop everything in order."""
        self._plan = None
        endpoints.path_in(self._options.data_dir).unlink(missing_ok=True)
        await self._open.aclose()

    async def fail(self) -> None:
        """Wait until a child is given up.

        Raises:
            StackFailed: It died five times in a minute.
        """
        await self._failed.wait()
        if self._failure is not None:
            raise self._failure

    async def start(self, name: str) -> None:
        """Start a part again that was stopped."""
        await self._children[name].start()

    async def stop(self, name: str) -> None:
        """Stop a part, which stays stopped."""
        await self._children[name].stop()

    def kill(self, name: str) -> None:
        """Let a part die of SIGKILL; it comes back."""
        self._children[name].kill()

    def pid(self, name: str) -> int | None:
        """Process id of a part; None while it does not run."""
        return self._children[name].pid

    async def _start(self, programs: list[Program]) -> None:
        """Start programs together; the first failure stops the others."""
        for program in programs:
            self._children[program.name] = Child(
                program, report=self._report, changed=self._republish, failed=self._give_up
            )
        try:
            async with asyncio.TaskGroup() as group:
                for program in programs:
                    group.create_task(self._children[program.name].start())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _drain(self) -> None:
        for names in DRAIN:
            present = [self._children[name] for name in names if name in self._children]
            await asyncio.gather(*(child.stop() for child in present))

    def _publish(self, plan: Plan) -> Endpoints:
        pids = {name: child.pid for name, child in self._children.items() if child.pid}
        published = plan.endpoints(pids)
        endpoints.write(self._options.data_dir, published)
        return published

    def _republish(self) -> None:
        if self._plan is not None:
            self._publish(self._plan)

    def _give_up(self, failure: BaseException) -> None:
        self._failure = failure
        self._failed.set()


async def stay_idle(_: Endpoints) -> None:
    """Do nothing beside the stack; it runs until a signal."""


async def run(
    options: StackOptions,
    *,
    report: Report,
    beside: Beside = stay_idle,
) -> int:
    """Run the stack until a signal or a failure ends it.

    Args:
        options: What is asked of this start.
        report: Takes lines for the operator.
        beside: Runs once everything is ready, and is cancelled at the end. What it returns ends
            the stack, unless it is None.

    Returns:
        The command's exit code: what `beside` returned, 0 after SIGTERM, SIGINT or SIGHUP, 1 after
        a failure.

    Raises:
        ConfigError: A server's program is missing, or the configuration cannot be read.
    """
    serving = asyncio.create_task(_serve(options, report, beside))
    loop = asyncio.get_running_loop()
    signals = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # under nohup it stays ignored
        signals.append(signal.SIGHUP)
    for number in signals:
        loop.add_signal_handler(number, _cancel_once, serving)
    try:
        return await serving
    except asyncio.CancelledError:
        report("all stopped")
        return 0
    except StackFailed as failure:
        report(str(failure))
        return 1
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def _serve(options: StackOptions, report: Report, beside: Beside) -> int:
    stack = Stack(options, report=report)
    async with stack as ready:
        failing = asyncio.create_task(stack.fail())
        working = asyncio.create_task(beside(ready))
        try:
            await asyncio.wait({failing, working}, return_when=asyncio.FIRST_COMPLETED)
            code = None if failing.done() else await working
            if code is None:
                await failing
            return code or 0
        finally:
            failing.cancel()
            working.cancel()


def _cancel_once(serving: asyncio.Task[int]) -> None:
    """A second signal must not interrupt the draining that the first one began."""
    if not serving.cancelling():
        serving.cancel()
