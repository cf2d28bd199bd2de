"""The receiver while things break: nothing acknowledged is lost, and no answer is late."""

import asyncio
import time
from typing import Any

import httpx
import msgspec

from tests.freezing import frozen
from tests.road import Road, eventually, wazuh_alert

AT_ONCE = 64


async def post_or_none(road: Road, alert: dict[str, Any]) -> httpx.Response | None:
    """Post an alert; None when the connection broke."""
    try:
        return await road.post(alert)
    except httpx.HTTPError:
        return None


async def taking(road: Road) -> None:
    """Wait until the receiver takes alerts."""

    async def takes() -> bool:
        answer = await post_or_none(road, wazuh_alert())
        return answer is not None and answer.status_code == 202

    await eventually(takes, "the receiver takes alerts")


async def test_killed_receiver_loses_nothing_that_it_acknowledged(road: Road) -> None:
    """After kill -9 under load every 202 is on the stream; a retry adds only what was missing."""
    alerts = [wazuh_alert() for _ in range(400)]
    places = asyncio.Semaphore(AT_ONCE)
    answered: dict[str, str] = {}
    killed = asyncio.Event()

    async def one(alert: dict[str, Any]) -> None:
        async with places:
            answer = await post_or_none(road, alert)
        if answer is not None and answer.status_code == 202:
            answered[alert["id"]] = answer.json()["ids"][0]
        if len(answered) >= 150 and not killed.is_set():
            killed.set()
            road.stack.kill("receiver")

    await asyncio.gather(*(one(alert) for alert in alerts))
    assert 150 <= len(answered) < 400
    await taking(road)
    again = await asyncio.gather(*(road.post(alert) for alert in alerts))
    outcomes = {alert["id"]: answer.json() for alert, answer in zip(alerts, again, strict=True)}
    for sender_id, alert_id in answered.items():
        assert outcomes[sender_id]["duplicates"] == 1
        assert outcomes[sender_id]["ids"] == [alert_id]
    added = sum(outcome["accepted"] for outcome in outcomes.values())
    assert added <= len(alerts) - len(answered)


async def test_bus_that_stands_still_is_said_in_time(road: Road) -> None:
    """While NATS stands still, posts of any size get 503 soon; the same alerts are taken later.

    The client believes that it is connected, and large bodies fill what lies between.
    """
    small = [wazuh_alert() for _ in range(8)]
    large = [wazuh_alert(full_log="x" * 900_000) for _ in range(24)]
    with frozen(road.stack.pid("nats")):
        began = time.monotonic()
        answers = await asyncio.gather(*(road.post(alert) for alert in small + large))
        late = time.monotonic() - began
        ready = await road.web.get(f"{road.stack.endpoints.receiver}/readyz")
    assert {answer.status_code for answer in answers} == {503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
    assert late < 5, "two seconds, and the time that busy machines take to send and read 20 MB"
    assert ready.status_code == 503

    async def taken() -> bool:
        again = [await road.post(alert) for alert in small]
        return {answer.status_code for answer in again} == {202}

    await eventually(taken, "the receiver takes them again")
    last = [await road.post(alert) for alert in small]
    assert [answer.json()["duplicates"] for answer in last] == [1] * len(small)


async def test_bus_that_comes_back_is_noticed_at_once(road: Road) -> None:
    """After NATS stood still a post is taken as soon as it answers."""
    with frozen(road.stack.pid("nats")):
        assert (await road.post(wazuh_alert())).status_code == 503
    began = time.monotonic()
    await taking(road)
    assert time.monotonic() - began < 10


async def test_idle_and_dripping_connections_keep_nobody_out(road: Road) -> None:
    """While hundreds of connections say little or nothing, posts are answered."""
    url = httpx.URL(road.stack.endpoints.receiver)
    writers = []
    for number in range(300):
        _, writer = await asyncio.open_connection(url.host, url.port)
        if number % 2:
            writer.write(b"POST /v1/alerts/wazuh HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n")
        writers.append(writer)
    began = time.monotonic()
    assert (await road.post(wazuh_alert())).status_code == 202
    assert time.monotonic() - began < 5
    for writer in writers:
        writer.close()


async def test_many_bodies_of_many_events_at_once(road: Road) -> None:
    """Large bodies posted together are all taken, with their ids in order."""
    event = wazuh_alert()
    bodies = [
        b"\n".join(msgspec.json.encode({**event, "id": f"{body}.{n % 3}"}) for n in range(400))
        for body in range(8)
    ]
    answers = await asyncio.gather(*(road.post(body) for body in bodies))
    for answer in answers:
        ids = answer.json()["ids"]
        assert ids[:3] * 133 + ids[:1] == ids
        assert len(set(ids)) == 3
