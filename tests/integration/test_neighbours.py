"""What one tenant's flood, or its silent receiver, does to the pages of another: nothing."""

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from temporalio.client import Client

from console.embedded.options import StackOptions
from console.embedded.state import fingerprint
from console.processes.clients import Clients
from tests.integration.listener import answer, listening
from tests.road import Road, eventually, wazuh_alert
from tests.stack import running_stack
from tocsin.settings import load_settings

# 25 senders try the silent receiver for 17 s each, and get an answer of the slow one in 10 s: the
# last of those that wait has its turn after more than a minute.
FLOOD = 200
WAITING = 150
SLOW = 10.0
PAGED_WITHIN = 60.0


def tenant_file(name: str, receiver: str) -> str:
    """A tenant whose token is its name, and who is paged of everything; JSON is YAML, too."""
    source = {"name": "wazuh", "kind": "wazuh", "tokens": [fingerprint(name)]}
    routes = [{"name": "page", "when": "true", "receivers": ["page"]}]
    page = {"name": "page", "webhook": {"url": receiver}}
    return json.dumps({"tenant": name, "sources": [source], "receivers": [page], "routes": routes})


@asynccontextmanager
async def stack_of(folder: Path, **receivers: str) -> AsyncIterator[Road]:
    """A stack with more tenants than the demo's, each with the receiver it pages."""
    (folder / "tenants").mkdir()
    for name, url in receivers.items():
        (folder / "tenants" / f"{name}.yaml").write_text(tenant_file(name, url))
    with running_stack(StackOptions(data_dir=folder)) as running:
        settings = load_settings(Path(running.endpoints.configuration))
        async with (
            Clients(settings, "tests") as clients,
            httpx.AsyncClient(timeout=20, trust_env=False) as web,
        ):
            yield Road(running, web, await clients.bus(), await clients.database())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def neighbours(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Road]:
    """A stack whose tenant `silent` has a receiver that hangs; that of `slow` answers in time."""
    folder = tmp_path_factory.mktemp("neighbours")
    async with (
        listening(None) as silent,
        listening(answer(204), takes=SLOW) as slow,
        stack_of(folder, silent=silent.url, slow=slow.url) as road,
    ):
        yield road


async def flood(road: Road, tenant: str) -> None:
    """Post many alerts of a tenant that page."""
    alerts = b"\n".join(json.dumps(wazuh_alert(level=12)).encode() for _ in range(FLOOD))
    posted = await road.post(alerts, Authorization=f"Bearer {tenant}")
    assert posted.status_code == 202, posted.text


async def waiting(road: Road, tenant: str) -> set[str]:
    """Alerts of a tenant whose notification nobody has begun to send."""
    rows = await road.rows(
        "SELECT alert_id FROM notifications"
        " WHERE tenant = :tenant AND status = 'pending' AND attempts = 0",
        tenant=tenant,
    )
    return {row.alert_id for row in rows}


async def paged(road: Road) -> None:
    """Post an alert of the demo tenant and wait until its pager has it."""
    alert_id = await road.take(wazuh_alert(level=12))

    async def heard() -> bool:
        return any(each["key"].endswith("-page") for each in await road.arrived(alert_id))

    await eventually(heard, "the page of another tenant arrives", within=PAGED_WITHIN)


async def attempts_in_vain(
    road: Road, client: Client, tenant: str, alert_ids: Iterable[str]
) -> list[str]:
    """Alerts of a tenant whose notification Temporal attempted more often than it was sent."""
    attempted = {}
    for alert_id in alert_ids:
        description = await client.get_workflow_handle(f"{tenant}/{alert_id}").describe()
        for pending in description.raw_description.pending_activities:
            attempted[alert_id] = pending.attempt
    rows = await road.rows(
        "SELECT alert_id, attempts FROM notifications WHERE tenant = :tenant", tenant=tenant
    )
    sent = {row.alert_id: row.attempts for row in rows}
    return [each for each, attempt in attempted.items() if attempt > sent[each] + 1]


@pytest.mark.parametrize("tenant", ["slow", "silent"])
async def test_page_overtakes_the_flood_of_another_tenant(neighbours: Road, tenant: str) -> None:
    """A page arrives before most that waited before it, and waiting costs no attempt."""
    await flood(neighbours, tenant)

    async def enough() -> set[str] | None:
        found = await waiting(neighbours, tenant)
        return found if len(found) >= WAITING else None

    before = await eventually(enough, "the other's notifications wait", within=60)
    await paged(neighbours)
    after = await waiting(neighbours, tenant)
    assert len(before & after) > len(before) * 2 / 3
    client = await neighbours.temporal()
    assert not await attempts_in_vain(neighbours, client, tenant, list(before)[:50])
