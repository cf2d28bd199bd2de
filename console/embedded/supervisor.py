"""Children: started, watched, and restarted with back-off when they die."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from console.embedded.failure import StackFailed
from console.embedded.program import Probe, Program, always, poll
from console.embedded.spawn import Running, spawn

READY_WITHIN = timedelta(seconds=60)
FIRST_BACKOFF = timedelta(seconds=0.25)
DEATHS_IN_A_MINUTE = 5
MINUTE = timedelta(minutes=1)

Report = Callable[[str], None]


class Child:
    """One supervised program.

    Args:
        program: What to run.
        report: Takes a line for the operator.
        changed: Called after each start, when it has a new process id.
        failed: Called once when it is given up.
    """

    def __init__(
        self,
        program: Program,
        *,
        report: Report,
        changed: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.program = program
        self._report = report
        self._changed = changed
        self._failed = failed
        self._running: Running | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it serves; None before that, and once it died."""
        running = self._running
        return running.process.pid if running is not None and running.is_alive else None

    async def start(self) -> None:
        """Start it, wait until it is able to work, and keep it running from then on.

        Raises:
            StackFailed: It died, or was not ready within a minute.
        """
        running = await self._launch_first()
        self._watch = asyncio.create_task(self._keep(running), name=f"keep {self.program.name}")
        self._watch.add_done_callback(self._end_watch)

    async def stop(self) -> None:
        """Ask it to end, and kill it when it takes longer than its grace."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})
        if self._running is not None and not await self._running.end():
            grace = self.program.grace.total_seconds()
            self._report(f"{self.program.name} did not end within {grace:.0f} s, and was killed")

    def kill(self) -> None:
        """Let it die of SIGKILL; it is restarted."""
        if self._running is not None and self._running.is_alive:
            self._running.process.kill()

    async def _launch_first(self) -> Running:
        for _ in range(self.program.tries - 1):
            try:
                return await self._launch("ready", able=self.program.able)
            except StackFailed as failure:
                self._report(str(failure))
        return await self._launch("ready", able=self.program.able)

    async def _launch(self, news: str, *, able: Probe = always) -> Running:
        began = time.monotonic()
        try:
            await self.program.before()
            running = await spawn(self.program)
        except OSError as error:
            raise StackFailed(f"{self.program.name} cannot be started: {error}") from error
        try:
            await self._await_ready(running, able)
        except BaseException:
            await running.end()
            raise
        self._running = running
        self._report(f"{self.program.name} {news} in {time.monotonic() - began:.1f} s")
        self._changed()
        return running

    async def _await_ready(self, running: Running, able: Probe) -> None:
        ready = asyncio.create_task(self._become_ready(able))
        death = asyncio.create_task(running.process.wait())
        try:
            await asyncio.wait(
                {ready, death},
                timeout=READY_WITHIN.total_seconds(),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if death.done():
                raise StackFailed(running.obituary())
            if not ready.done():
                raise StackFailed(running.tell("was not ready within a minute"))
            if error := ready.exception():
                raise StackFailed(running.tell(f"did not become ready ({error!r})")) from error
        finally:
            ready.cancel()
            death.cancel()
            await asyncio.wait({ready, death})

    async def _become_ready(self, able: Probe) -> None:
        await poll(self.program.probe)
        await self.program.after()
        await poll(able)

    async def _keep(self, running: Running) -> None:
        """Restart it whenever it dies, until it has died five times in a minute."""
        deaths: deque[float] = deque(maxlen=DEATHS_IN_A_MINUTE)
        while True:
            await running.process.wait()
            running = await self._revive(running.obituary(), deaths)

    async def _revive(self, fate: str, deaths: deque[float]) -> Running:
        while True:
            self._report(fate)
            deaths.append(time.monotonic())
            recent = sum(deaths[-1] - moment < MINUTE.total_seconds() for moment in deaths)
            if recent == DEATHS_IN_A_MINUTE:
                raise StackFailed(f"{self.program.name} died five times in a minute")
            await asyncio.sleep(FIRST_BACKOFF.total_seconds() * 2 ** (recent - 1))
            try:
                return await self._launch("back")
            except StackFailed as failure:
                fate = str(failure)

    def _end_watch(self, watch: asyncio.Task[None]) -> None:
        if not watch.cancelled() and (error := watch.exception()):
            self._failed(error)
