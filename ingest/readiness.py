"""Whether an event posted now would be kept, and what else is away."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from tocsin.bus import ALERTS
from tocsin.errors import BusUnavailable
from tocsin.jetstream import Bus

_OK: Final = "ok"
_AWAY: Final = "away"
_FULL: Final = "full"
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
        nats, *others = await asyncio.gather(
            self._look(), *(_look_at(*address) for address in self._others.values())
        )
        states = {"nats": nats, **dict(zip(self._others, others, strict=True))}
        status = "ready" if {*others} <= {_OK} else "degraded"
        return {"status": status if nats == _OK else "unavailable", "dependencies": states}

    async def _look(self) -> str:
        """Whether JetStream answers and did not refuse the last event as it would anybody's."""
        try:
            async with asyncio.timeout(1):
                await self._bus.stock.stream(ALERTS)
        except (BusUnavailable, TimeoutError):
            return _AWAY
        if self._bus.full:
            return _FULL
        return _OK if self._bus.connected and self._bus.accepting else _AWAY


async def _look_at(host: str, port: int) -> str:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return _AWAY
    writer.close()
    return _OK
