"""One tenant's flood: what is refused, what is not, and what gives way."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
import yaml

from console.embedded import configuration, state
from console.embedded.files import make_private_folder
from console.embedded.options import StackOptions
from console.processes.clients import Clients
from tests.integration.test_faults import without
from tests.road import DEMO, Road, eventually, wazuh_alert
from tests.stack import RunningStack, running_stack
from tocsin import bus as names
from tocsin.settings import load_settings

BOUND = 40
ROOM = 1024**2
LARGE = "x" * (ROOM // 5)
"""Few of these fill a stream, long before a tenant's bound is reached."""
QUIET_TOKEN = "token-of-the-quiet-tenant"
QUIET = {
    "tenant": "quiet",
    "sources": [
        {"name": "wazuh", "kind": "wazuh", "tokens": [state.fingerprint(QUIET_TOKEN)]},
    ],
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack with two tenants and room for few of their messages."""
    folder = tmp_path_factory.mktemp("small") / "data"
    write_configuration(folder)
    absent = frozenset({"vault", "inbox", "api"})
    with running_stack(StackOptions(data_dir=folder, without=absent)) as running:
        yield running


def write_configuration(folder: Path) -> None:
    """Write what the operator of the small stack chose."""
    make_private_folder(folder)
    kept = state.load(folder, ["demo", "quiet"])
    settings = configuration.stack_settings(kept)
    settings["nats"] |= {"max_messages_per_tenant": BOUND, "max_bytes": ROOM}
    (folder / "tocsin.yaml").write_text(yaml.safe_dump(settings))
    (folder / "tenants").mkdir()
    (folder / "tenants" / "quiet.yaml").write_text(yaml.safe_dump(QUIET))


@pytest_asyncio.fixture(loop_scope="session")
async def narrow(small: RunningStack) -> AsyncIterator[Road]:
    """The road of the small stack."""
    settings = load_settings(Path(small.endpoints.configuration))
    async with (
        httpx.AsyncClient(timeout=20, trust_env=False) as web,
        Clients(settings, "tests") as clients,
    ):
        yield Road(small, web, await clients.bus(), await clients.database())


async def until_refused(road: Road, *bodies: bytes) -> httpx.Response:
    """Post until a post is refused, and give the refusal."""
    for body in bodies:
        answer = await road.post(body)
        if answer.status_code == 503:
            return answer
    pytest.fail("nothing was refused")


def alerts(count: int) -> list[bytes]:
    """Bodies of alerts that no other test has."""
    return [msgspec.json.encode(wazuh_alert()) for _ in range(count)]


async def quiet_post(road: Road, **more: Any) -> httpx.Response:
    """Post as the other tenant."""
    url = f"{road.stack.endpoints.receiver}/v1/alerts/wazuh"
    headers = {"X-API-Key": QUIET_TOKEN}
    return await road.web.post(url, json=wazuh_alert(**more), headers=headers)


async def readiness(road: Road) -> tuple[int, str]:
    """What the receiver says of itself, and of NATS."""
    ready = await road.web.get(f"{road.stack.endpoints.receiver}/readyz")
    return ready.status_code, ready.json()["dependencies"]["nats"]


def assert_full(answer: httpx.Response, who: str = "tenant") -> None:
    """A refusal says that the tenant, or the stream, is full, and when to come back."""
    assert answer.status_code == 503
    assert answer.json()["type"] == f"urn:tocsin:problem:{who}-full"
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1


async def test_unprocessed_alerts_fill_one_tenant_only(narrow: Road) -> None:
    """At the bound a tenant gets 503 with Retry-After, another is taken; afterwards both are."""
    async with without(narrow, "worker"):
        bodies = alerts(BOUND + 5)
        assert_full(await until_refused(narrow, *bodies))
        assert (await quiet_post(narrow)).status_code == 202
        held = (await narrow.bus.stock.holdings(names.ALERTS, names.INGEST_SUBJECTS)).messages
        assert held["alerts.ingest.demo"] == BOUND
        repeat = await narrow.post(bodies[0])
        assert repeat.json()["duplicates"] == 1
        assert await readiness(narrow) == (200, "ok")

    async def taken() -> bool:
        return (await narrow.post(bodies[-1])).status_code == 202

    await eventually(taken, "the tenant is taken again")


async def test_unprocessed_bytes_fill_the_stream_for_everybody(narrow: Road) -> None:
    """A full stream is said to be one, to each tenant and in `/readyz`, until there is room."""
    await eventually(lambda: at_rest(narrow), "nothing is left to do")
    bodies = [msgspec.json.encode(wazuh_alert(full_log=LARGE)) for _ in range(8)]
    async with without(narrow, "worker"):
        refusal = await until_refused(narrow, *bodies)
        assert_full(refusal, "stream")
        assert "unprocessed alerts of any tenant" in refusal.json()["detail"]
        assert_full(await quiet_post(narrow, full_log=LARGE), "stream")
        assert await readiness(narrow) == (503, "full")

    async def taken() -> bool:
        return (await narrow.post(bodies[-1])).status_code == 202

    await eventually(taken, "there is room again")
    assert await readiness(narrow) == (200, "ok")


async def test_processed_bytes_give_way(narrow: Road) -> None:
    """While the worker keeps up, more than fills the stream passes without a refusal."""
    for _ in range(10):
        await eventually(lambda: at_rest(narrow), "nothing is left to do")
        await narrow.finished(await narrow.take(wazuh_alert(full_log=LARGE)))


async def test_full_quarantine_refuses_no_alert(narrow: Road) -> None:
    """When nobody reads the letters, what is no alert is refused in its own words, and no alert."""
    bodies = [b"no json %d %s" % (number, LARGE.encode()[: ROOM // 20]) for number in range(8)]
    async with without(narrow, "worker"):
        refusal = await until_refused(narrow, *bodies)
        assert_full(refusal, "stream")
        assert "quarantined bodies" in refusal.json()["detail"]
        assert (await narrow.post(wazuh_alert())).status_code == 202
        assert await readiness(narrow) == (200, "ok")

    async def kept() -> bool:
        return (await narrow.post(bodies[-1])).status_code == 400

    await eventually(kept, "quarantine has room again")


async def test_processed_alerts_give_way(narrow: Road) -> None:
    """While the worker keeps up, a full bound at once passes again and again without a refusal."""
    await eventually(lambda: at_rest(narrow), "nothing is left to do")
    for _ in range(4):
        answers = await asyncio.gather(*(narrow.post(body) for body in alerts(BOUND)))
        assert [answer.status_code for answer in answers] == [202] * BOUND
        await narrow.finished(*(answer.json()["ids"][0] for answer in answers))
        await eventually(lambda: at_rest(narrow), "nothing is left to do")


async def test_room_is_made_before_it_is_needed(narrow: Road) -> None:
    """Past 70 % of the bound finished alerts give way although nobody asks."""
    await eventually(lambda: at_rest(narrow), "nothing is left to do")
    answers = await asyncio.gather(*(narrow.post(body) for body in alerts(BOUND)))
    assert {answer.status_code for answer in answers} == {202}

    async def roomy() -> bool:
        held = (await narrow.bus.stock.holdings(names.ALERTS, names.INGEST_SUBJECTS)).messages
        return held.get("alerts.ingest.demo", 0) <= 0.7 * BOUND

    await eventually(roomy, "there is room again")


async def at_rest(road: Road) -> bool:
    """Whether every message is acknowledged and no alert is worked on."""
    at_work = await road.rows("SELECT id FROM alerts WHERE state IN ('received', 'running')")
    return await acknowledged(road) and not at_work


async def test_flood_is_taken_in_the_end(narrow: Road) -> None:
    """A body with more alerts than there is room for is repeated, and taken without loss."""
    alerts_of_flood = [wazuh_alert() for _ in range(BOUND * 2)]
    body = msgspec.json.encode(alerts_of_flood)
    outcome: dict[str, int] = {}

    async def taken() -> bool:
        answer = await narrow.post(body)
        if answer.status_code == 503:
            assert_full(answer)
            return False
        outcome.update(answer.json())
        return True

    await eventually(taken, "the flood is taken", within=30)
    assert outcome["accepted"] + outcome["duplicates"] == len(alerts_of_flood)

    async def finished() -> bool:
        ids = [each["id"] for each in alerts_of_flood]
        query = "SELECT id FROM alerts WHERE source_event_id = ANY(:ids) AND state = 'finished'"
        return len(await narrow.rows(query, ids=ids)) == len(ids)

    await eventually(finished, "every alert of the flood is finished once")


async def test_letters_fill_and_give_way_too(narrow: Road) -> None:
    """Quarantine is bounded like alerts: full while nobody reads it, with room again afterwards."""
    async with without(narrow, "worker"):
        bodies = [b"no json %d" % number for number in range(BOUND + 1)]
        assert_full(await until_refused(narrow, *bodies))
        assert (await narrow.post(wazuh_alert())).status_code == 202

    async def taken() -> bool:
        return (await narrow.post(bodies[-1])).status_code == 400

    await eventually(taken, "quarantine has room again")


async def test_alert_that_takes_long_refuses_nobody(narrow: Road) -> None:
    """While a receiver is away its alert waits, and full bounds behind it still pass."""
    await eventually(lambda: at_rest(narrow), "nothing is left to do")
    waiting = await narrow.take(wazuh_alert(level=7))
    try:
        for _ in range(3):
            answer = await narrow.post(b"\n".join(alerts(BOUND - 1)))
            assert answer.status_code == 202, answer.text
            await eventually(lambda: acknowledged(narrow), "all are dispatched")
        assert await narrow.state(waiting) == "running"
    finally:
        await give_up(narrow, waiting)


async def give_up(road: Road, alert_id: str) -> None:
    """End an alert whose receiver never comes back."""

    async def started() -> bool:
        return await road.state(alert_id) == "running"

    async def ended() -> bool:
        return await road.state(alert_id) == "failed"

    await eventually(started, "its workflow is there")
    client = await road.temporal()
    await client.get_workflow_handle(f"{DEMO}/{alert_id}").terminate()
    await eventually(ended, "the sweeper found its end")


async def acknowledged(road: Road) -> bool:
    """Whether every message is dispatched."""
    consumer = await road.bus.stock.consumer(names.ALERTS, names.dispatcher_consumer(DEMO))
    return bool(consumer and not consumer.num_pending and not consumer.num_ack_pending)
