"""One program of the stack as data: how it is started, when it is ready, how it is stopped."""

import asyncio
import signal
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

HTTP_OK = 200
POLL_INTERVAL = timedelta(milliseconds=50)
PROBE_TIMEOUT = timedelta(seconds=2)

Probe = Callable[[], Awaitable[bool]]


async def nothing() -> None:
    """Do nothing: most programs need neither preparation nor initialisation."""


async def always() -> bool:
    """Able as soon as it serves: most programs need no other."""
    return True


async def exited() -> bool:
    """Never ready: a program that runs once is done when it ends."""
    return False


@dataclass(frozen=True, kw_only=True)
class Program:
    """What the supervisor needs to know of a child.

    Attributes:
        name: As in `--without`, `endpoints.json` and every report.
        argv: Program and arguments.
        log: File that takes its output.
        probe: True once it serves. It says nothing of other programs, whose absence must not end
            this one.
        able: True once it can do all of its work; waited for at its first start.
        before: Runs before each start: configuration, first-run initialisation.
        after: Runs after each start once it serves, before it counts as ready.
        environment: Its environment variables; None for ours.
        wrapper: Program that has to come before everything else, for example `unshare`.
        death_signal: What the kernel sends it when we die.
        stop_signal: What asks it to drain and end.
        grace: How long that may take before it is killed.
        tries: How often its first start is tried.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    probe: Probe = exited
    able: Probe = always
    before: Callable[[], Awaitable[None]] = nothing
    after: Callable[[], Awaitable[None]] = nothing
    environment: Mapping[str, str] | None = None
    wrapper: tuple[str, ...] = ()
    death_signal: signal.Signals = signal.SIGKILL
    stop_signal: signal.Signals = signal.SIGTERM
    grace: timedelta = timedelta(seconds=3)
    tries: int = 1


async def poll(condition: Probe) -> None:
    """Wait until a condition outside of this process holds."""
    while not await condition():  # noqa: ASYNC110 - other processes set no event
        await asyncio.sleep(POLL_INTERVAL.total_seconds())


async def answers(url: str, *, tls: ssl.SSLContext | None = None) -> bool:
    """Ask an HTTP URL on this machine, past any configured proxy; True for a 200."""
    parts = urlsplit(url)
    request = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
    try:
        async with asyncio.timeout(PROBE_TIMEOUT.total_seconds()):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=tls)
            writer.write(f"{request}Connection: close\r\n\r\n".encode())
            status = (await reader.readline()).split()
            writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    return len(status) > 1 and status[1] == str(HTTP_OK).encode()
