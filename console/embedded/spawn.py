"""Running one program: its log, its end, and what its log said last."""

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from console.embedded.failure import StackFailed
from console.embedded.files import make_private_folder, read_tail
from console.embedded.program import Program

LOG_BYTES = 8 * 1024**2
LAUNCH = (sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py")))


@dataclass(frozen=True, kw_only=True)
class Running:
    """A program that was started.

    Attributes:
        program: What it is.
        process: The process; its id stays the same through wrapper and launcher.
        log_start: Size in bytes of its log before it wrote to it.
    """

    program: Program
    process: asyncio.subprocess.Process
    log_start: int

    @property
    def is_alive(self) -> bool:
        """True until its end was seen."""
        return self.process.returncode is None

    async def end(self) -> bool:
        """Ask it to end, and kill it when it takes longer than its grace; False when killed."""
        if not self.is_alive:
            return True
        self.process.send_signal(self.program.stop_signal)
        try:
            async with asyncio.timeout(self.program.grace.total_seconds()):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            return False
        return True

    def obituary(self) -> str:
        """Say what it died of, with the tail of its log."""
        code = self.process.returncode or 0
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return self.tell(f"died ({cause})")

    def tell(self, fate: str) -> str:
        """Say what happened to it, with the tail of its log."""
        log = self.program.log
        tail = read_tail(log, start=self.log_start) or "(nothing)"
        return f"{self.program.name} {fate}; the end of {log}:\n{tail}"


async def spawn(program: Program) -> Running:
    """Start a program that dies with us, in a session of its own, out of reach of Ctrl-C."""
    with _open_log(program.log) as log:
        return Running(
            program=program,
            log_start=log.tell(),
            process=await asyncio.create_subprocess_exec(
                *program.wrapper,
                *LAUNCH,
                *(str(os.getpid()), str(program.death_signal.value)),
                *program.argv,
                env=program.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            ),
        )


async def run_to_end(program: Program) -> None:
    """Run a program that ends by itself.

    Raises:
        StackFailed: It ended with another code than 0.
    """
    running = await spawn(program)
    try:
        code = await running.process.wait()
    finally:
        await running.end()
    if code != 0:
        raise StackFailed(running.obituary())


def _open_log(path: Path) -> BinaryIO:
    """Open a log for appending, mode 0600; what grew too large makes room first."""
    make_private_folder(path.parent)
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".old.log"))
    return open(path, "ab", opener=_open_private)


def _open_private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)
