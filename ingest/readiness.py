"""Whether an event posted now would be kept, and what else is away."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from tocsin.bus import ALERTS
from tocsin.errors import BusUnavailable
from tocsin.jetstream import Bus

_PROBE_SECONDS: Final = 0.5


class Readiness:
    """Asks the dependencies.

    Args:
        bus: The only one that the receiver needs.
        others: Name to (host, port) of those that others need; they are only looked at.
    """

    def __init__(self, bus: Bus, others: Mapping[str, tuple[str, int]]) -> None:
        self._bus = bus
        self._others = others

    async def report(self) -> dict[str, Any]:
        """What is there: `status` is ready, degraded, or unavailable without JetStream."""
        names = ("nats", *self._others)
        found = await asyncio.gather(
            self._accepts(), *(_listens(*address) for address in self._others.values())
        )
        states = {name: "ok" if there else "away" for name, there in zip(names, found, strict=True)}
        status = "ready" if all(found) else "degraded" if found[0] else "unavailable"
        return {"status": status, "dependencies": states}

    async def _accepts(self) -> bool:
        """True when JetStream answers and did not refuse the last event for its own reasons."""
        if not self._bus.connected or not self._bus.accepting:
            return False
        try:
            async with asyncio.timeout(1):
                await self._bus.stream(ALERTS)
        except (BusUnavailable, TimeoutError):
            return False
        return True


async def _listens(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
