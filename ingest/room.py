"""Room on a full stream: what is processed gives way, and what is not refuses what comes."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from tocsin.bus import room_subject
from tocsin.domain.alert import TenantName
from tocsin.errors import BusFull
from tocsin.jetstream import Ack, Bus

# With both attempts to publish, and on busy cores, within the two seconds of a 503.
_WAIT: Final = timedelta(seconds=1)


class Room:
    """Asks the worker's janitor for room, once for all that wait for it.

    Args:
        bus: Where the question is asked.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._asking: dict[TenantName, asyncio.Task[None]] = {}

    async def find(self, tenant: TenantName, publish: Callable[[], Awaitable[Ack]]) -> Ack:
        """Publish; when the tenant or the stream is full, ask for room and try once more.

        Raises:
            BusFull: There is no room to be made, for this tenant or for any.
            BusUnavailable: No acknowledgement.
        """
        try:
            return await publish()
        except BusFull:
            await self._ask(tenant)
        return await publish()

    async def _ask(self, tenant: TenantName) -> None:
        asking = self._asking.get(tenant)
        if asking is None or asking.done():
            question = self._bus.ask(room_subject(tenant), wait=_WAIT)
            asking = self._asking[tenant] = asyncio.create_task(question)
        await asyncio.shield(asking)
