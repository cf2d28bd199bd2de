"""What breaks, and what is kept while it is broken; each test heals what it hurt."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest

from tests.road import Road, eventually, wazuh_alert


@asynccontextmanager
async def without(road: Road, *parts: str) -> AsyncIterator[None]:
    """Parts of the stack are stopped for the time of the block."""
    for part in parts:
        await asyncio.to_thread(road.stack.stop, part)
    try:
        yield
    finally:
        for part in reversed(parts):
            await asyncio.to_thread(road.stack.start, part)


async def deliveries(road: Road, alert_ids: list[str]) -> dict[str, int]:
    """How often the inbox saw each notification of these alerts."""
    counts: dict[str, int] = {}
    for message in await road.inbox():
        if message["key"][:32] in alert_ids:
            counts[message["key"]] = counts.get(message["key"], 0) + 1
    return counts


@pytest.mark.parametrize("part", ["temporal", "postgres", "vault"])
async def test_posting_goes_on_while_a_part_is_away(road: Road, part: str) -> None:
    """While Temporal, Postgres or Vault is stopped a post is answered 202; later all finish."""
    async with without(road, part):
        alert_ids = [await road.take(wazuh_alert(level=7)) for _ in range(5)]
    await road.finished(*alert_ids)
    assert set(await deliveries(road, alert_ids)) == {f"{each}-0-post" for each in alert_ids}
    await road.settled()


async def test_restarted_receiver_needs_jetstream_only(road: Road) -> None:
    """The receiver starts and answers 202 with Temporal, Postgres and Vault down."""
    async with without(road, "temporal", "postgres", "vault"):
        await asyncio.to_thread(road.stack.restart, "receiver")

        async def connected() -> httpx.Response | None:
            ready = await road.web.get(f"{road.stack.endpoints.receiver}/readyz")
            return ready if ready.status_code == 200 else None

        ready = await eventually(connected, "the new receiver is connected")
        alert_id = await road.take(wazuh_alert())
        assert ready.json()["status"] == "degraded"
        assert ready.json()["dependencies"] == {
            "nats": "ok",
            "postgres": "away",
            "temporal": "away",
            "vault": "away",
        }
    await road.finished(alert_id)


async def test_without_jetstream_the_answer_is_503_at_once(road: Road) -> None:
    """With NATS stopped a post gets 503 with Retry-After within 2 s, and is taken afterwards."""
    alert = wazuh_alert()
    async with without(road, "nats"):
        began = time.monotonic()
        answer = await road.post(alert)
        assert time.monotonic() - began < 2
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) >= 1
        ready = await road.web.get(f"{road.stack.endpoints.receiver}/readyz")
        assert ready.status_code == 503

    async def taken() -> bool:
        return (await road.post(alert)).status_code == 202

    await eventually(taken, "the receiver is connected again")
    await road.settled()


async def test_worker_killed_in_the_middle_repeats_under_the_same_key_at_most(road: Road) -> None:
    """After kill -9 of the worker every alert is told under one key, once for each attempt at most.

    An attempt that was cut between sending and settling is made again; any other is delivered once.
    """
    alerts = [wazuh_alert(level=7) for _ in range(60)]
    body = b"\n".join(msgspec.json.encode(alert) for alert in alerts)
    answer = await road.post(body)
    assert answer.json()["accepted"] == 60
    alert_ids = answer.json()["ids"]

    async def under_way() -> bool:
        states = [await road.state(each) for each in alert_ids]
        return any(states) and not all(state == "finished" for state in states)

    await eventually(under_way, "some alerts are on their way")
    await asyncio.to_thread(road.stack.restart, "worker")
    await eventually(lambda: _all_finished(road, alert_ids), "all are finished", within=90)
    seen = await deliveries(road, alert_ids)
    assert set(seen) == {f"{each}-0-post" for each in alert_ids}
    rows = await road.rows(
        "SELECT id, attempts FROM notifications WHERE alert_id = ANY(:ids)", ids=alert_ids
    )
    attempts = {row.id: row.attempts for row in rows}
    assert {key: count for key, count in seen.items() if count > attempts[key]} == {}
    await road.settled()


async def test_servers_killed_in_the_middle_lose_nothing(road: Road) -> None:
    """After kill -9 of NATS, Temporal and Postgres every acknowledged alert finishes."""
    alert_ids = []
    for part in ("nats", "temporal", "postgres"):
        alert_ids += [await road.take(wazuh_alert(level=3)) for _ in range(10)]
        await asyncio.to_thread(road.stack.restart, part)

        async def takes() -> bool:
            answer = await road.post(wazuh_alert())
            return answer.status_code == 202

        await eventually(takes, "the receiver takes alerts")
    await eventually(lambda: _all_finished(road, alert_ids), "all are finished", within=90)
    await road.settled()


async def _all_finished(road: Road, alert_ids: list[str]) -> bool:
    (row,) = await road.rows(
        "SELECT count(*) AS n FROM alerts WHERE id = ANY(:ids) AND state = 'finished'",
        ids=alert_ids,
    )
    return int(row.n) == len(alert_ids)


async def test_terminated_workflow_is_copied_to_its_row(road: Road) -> None:
    """A workflow that an operator terminates ends as failed, with the reason, in the books."""
    async with without(road, "inbox"):
        alert_id = await road.take(wazuh_alert(level=7))

        async def running() -> bool:
            return await road.state(alert_id) == "running"

        await eventually(running, "the notification waits for its receiver")
        client = await road.temporal()
        await client.get_workflow_handle(f"demo/{alert_id}").terminate(reason="enough")

        async def failed() -> bool:
            return await road.state(alert_id) == "failed"

        await eventually(failed, "the sweeper noticed")
    (row,) = await road.rows("SELECT error FROM alerts WHERE id = :id", id=alert_id)
    assert row.error == "terminated: enough"
    await road.settled()


async def test_receiver_that_was_away_hears_of_it_later(road: Road) -> None:
    """A notification whose receiver is away is delivered, once, when it is back."""
    async with without(road, "inbox"):
        alert_id = await road.take(wazuh_alert(level=7))

        async def tried() -> bool:
            rows = await road.rows(
                "SELECT attempts FROM notifications WHERE alert_id = :id", id=alert_id
            )
            return bool(rows) and rows[0].attempts >= 1

        await eventually(tried, "it was attempted")
    await road.finished(alert_id)
    assert await deliveries(road, [alert_id]) == {f"{alert_id}-0-post": 1}
