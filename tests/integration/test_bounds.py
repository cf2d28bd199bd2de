"""One tenant's flood: what is refused, what is not, and what gives way."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
import pytest_asyncio
import yaml

from console.embedded import configuration, state
from console.embedded.files import make_private_folder
from console.embedded.options import StackOptions
from console.processes.clients import Clients
from ingest.dispatcher.janitor import Janitor
from ingest.dispatcher.patience import Patience
from ingest.letters import Kind, Letter, Stage
from tests.integration.test_faults import without
from tests.integration.test_queue import Queue
from tests.road import DEMO, Road, eventually, wazuh_alert
from tests.stack import RunningStack, running_stack
from tocsin import bus as names
from tocsin.domain.alert import TenantName
from tocsin.settings import NatsSettings, load_settings

BOUND = 40
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
    settings["nats"]["max_messages_per_tenant"] = BOUND
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


async def quiet_post(road: Road) -> httpx.Response:
    """Post as the other tenant."""
    url = f"{road.stack.endpoints.receiver}/v1/alerts/wazuh"
    headers = {"X-API-Key": QUIET_TOKEN}
    return await road.web.post(url, json=wazuh_alert(), headers=headers)


def assert_full(answer: httpx.Response) -> None:
    """A refusal says that the tenant is full, and when to come back."""
    assert answer.json()["type"] == "urn:tocsin:problem:tenant-full"
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1


async def test_unprocessed_alerts_fill_one_tenant_only(narrow: Road) -> None:
    """At the bound a tenant gets 503 with Retry-After, another is taken; afterwards both are."""
    async with without(narrow, "worker"):
        bodies = alerts(BOUND + 5)
        assert_full(await until_refused(narrow, *bodies))
        assert (await quiet_post(narrow)).status_code == 202
        held = (await narrow.bus.holdings(names.ALERTS, names.INGEST_SUBJECTS)).messages
        assert held["alerts.ingest.demo"] == BOUND
        repeat = await narrow.post(bodies[0])
        assert repeat.json()["duplicates"] == 1
        ready = await narrow.web.get(f"{narrow.stack.endpoints.receiver}/readyz")
        assert ready.json()["dependencies"]["nats"] == "ok"

    async def taken() -> bool:
        return (await narrow.post(bodies[-1])).status_code == 202

    await eventually(taken, "the tenant is taken again")


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
        held = (await narrow.bus.holdings(names.ALERTS, names.INGEST_SUBJECTS)).messages
        return held.get("alerts.ingest.demo", 0) <= 0.7 * BOUND

    await eventually(roomy, "there is room again", within=5)


async def at_rest(road: Road) -> bool:
    """Whether every message is acknowledged and every alert finished."""
    consumer = await road.bus.consumer(names.ALERTS, names.dispatcher_consumer(DEMO))
    (row,) = await road.rows("SELECT count(*) AS n FROM alerts WHERE state <> 'finished'")
    return (
        bool(consumer and not consumer.num_pending and not consumer.num_ack_pending) and not row.n
    )


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


class Tenant(Queue):
    """A tenant on the shared stack, with a janitor of its own."""

    def janitor(self, *, bound: int = 8, keep: timedelta = timedelta(days=7)) -> Janitor:
        """A janitor for this tenant."""
        settings = NatsSettings(max_messages_per_tenant=bound, keep=keep)
        return Janitor(
            self.road.bus, self.road.database, [self.tenant], settings, Patience(asyncio.Event())
        )

    async def held(self) -> int:
        """How many messages the stream holds."""
        subject = names.ingest_subject(self.tenant)
        return (await self.road.bus.holdings(names.ALERTS, subject)).messages.get(subject, 0)

    async def finish(self, *sequences: int) -> None:
        """Finish the alerts of these messages."""
        await self.road.rows(
            "UPDATE alerts SET state = 'finished' WHERE sequence = ANY(:these) RETURNING id",
            these=list(sequences),
        )


@pytest.fixture
def tenant(road: Road) -> Tenant:
    """A tenant of its own."""
    return Tenant(road)


async def test_unfinished_message_is_never_purged(tenant: Tenant) -> None:
    """Past 70 % messages go up to the first unfinished one, and those behind it stay."""
    sequences = await tenant.publish(*(wazuh_alert() for _ in range(7)))
    async with tenant.running():
        await eventually(tenant.idle, "all are acknowledged")
        await tenant.finish(*sequences[:3], *sequences[4:])
        await tenant.janitor().make_room()
        assert await tenant.held() == 4
        assert await tenant.road.bus.message(names.ALERTS, sequences[2]) is None
        assert await tenant.road.bus.message(names.ALERTS, sequences[3]) is not None
        await tenant.finish(sequences[3])
        await tenant.janitor(bound=5).make_room()
        assert await tenant.held() == 0


async def test_unacknowledged_message_is_never_purged(tenant: Tenant) -> None:
    """While Temporal is away nothing is finished, and nothing goes however crowded it is."""
    tenant.engine.away.set()
    await tenant.publish(*(wazuh_alert() for _ in range(7)))
    async with tenant.running():

        async def recorded() -> bool:
            return len(await tenant.states()) == 7

        await eventually(recorded, "all are recorded")
        await tenant.janitor(keep=timedelta(milliseconds=1)).make_room()
        await tenant.janitor(keep=timedelta(milliseconds=1)).forget()
        assert await tenant.held() == 7
        tenant.engine.away.clear()
        await eventually(tenant.idle, "all are acknowledged")


async def test_processed_message_stays_while_there_is_room(tenant: Tenant) -> None:
    """Below 70 % finished messages stay for replay until they are older than `keep`."""
    sequences = await tenant.publish(*(wazuh_alert() for _ in range(5)))
    async with tenant.running():
        await eventually(tenant.idle, "all are acknowledged")
        await tenant.finish(*sequences)
        await tenant.janitor().make_room()
        await tenant.janitor().forget()
        assert await tenant.held() == 5
        await tenant.janitor(keep=timedelta(milliseconds=1)).forget()
        assert await tenant.held() == 0


async def test_other_tenants_keep_their_messages(road: Road, tenant: Tenant) -> None:
    """Making room for one tenant takes nothing from another."""
    other = Tenant(road)
    await other.publish(wazuh_alert())
    sequences = await tenant.publish(*(wazuh_alert() for _ in range(7)))
    async with tenant.running():
        await eventually(tenant.idle, "all are acknowledged")
        await tenant.finish(*sequences)
        await tenant.janitor().make_room()
    assert (await tenant.held(), await other.held()) == (0, 1)
    async with other.running():
        await eventually(other.idle, "the other one is taken off the books")


async def test_letter_stays_until_the_ledger_has_it(road: Road, tenant: Tenant) -> None:
    """Crowded letters go once they are in PostgreSQL, and never before."""
    subject = names.failed_subject(tenant.tenant)

    async def held() -> int:
        return (await road.bus.holdings(names.FAILED, subject)).messages.get(subject, 0)

    async def purged() -> bool:
        await tenant.janitor().make_room()
        return await held() == 0

    async with without(road, "worker"):
        for number in range(7):
            await letter(tenant.tenant, b"%d" % number).post(road.bus)
        await tenant.janitor().make_room()
        assert await held() == 7
    await eventually(purged, "the ledger has them, and they are gone")
    query = "SELECT id FROM dead_letters WHERE tenant = :tenant"
    assert len(await road.rows(query, tenant=tenant.tenant)) == 7


def letter(tenant: TenantName, raw: bytes) -> Letter:
    """A letter of a tenant."""
    return Letter(
        tenant=tenant,
        source="wazuh",
        kind=Kind.QUARANTINE,
        stage=Stage.RECEIVE,
        reason="it is no alert",
        received_at=datetime(2026, 11, 20, 15, 4, 5, tzinfo=UTC),
        raw=raw,
    )


async def test_alert_that_takes_long_refuses_nobody(narrow: Road) -> None:
    """While a receiver is away its alert waits, and full bounds behind it still pass."""
    await narrow.take(wazuh_alert(level=7))
    for _ in range(3):
        answer = await narrow.post(b"\n".join(alerts(BOUND - 1)))
        assert answer.status_code == 202, answer.text
        await eventually(lambda: acknowledged(narrow), "all are dispatched")


async def acknowledged(road: Road) -> bool:
    """Whether every message is dispatched."""
    consumer = await road.bus.consumer(names.ALERTS, names.dispatcher_consumer(DEMO))
    return bool(consumer and not consumer.num_pending and not consumer.num_ack_pending)
