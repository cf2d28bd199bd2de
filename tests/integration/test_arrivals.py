"""What `up` says while it runs."""

import asyncio
import uuid

from console.arrivals import announce
from tests.road import Road, eventually, wazuh_alert


async def test_event_that_is_none_ends_nothing(road: Road) -> None:
    """What does not read as a finished alert is passed over; the next one is announced."""
    lines: list[str] = []
    announcing = asyncio.create_task(announce(road.stack.endpoints, lines.append))
    title = f"title {uuid.uuid4()}"

    async def announced() -> bool:
        for nonsense in (b'{"stream":"ALERTS","seq":2}', b"\xff", b'{"a":' + b"[" * 100_000):
            await road.bus.tell("alerts.enriched.demo", nonsense)
        await road.take(wazuh_alert(rule={"level": 3, "id": "1", "description": title}))
        assert not announcing.done(), announcing.exception()
        return any(title in line for line in lines)

    try:
        await eventually(announced, "the first alert is announced")
    finally:
        announcing.cancel()
    assert len(lines) == 1
