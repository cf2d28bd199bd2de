"""Tenants whose file is gone while work of theirs waits."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from structlog.testing import capture_logs

from console.checkup import check_up
from ingest.dispatcher.deserted import tell_deserted
from ingest.dispatcher.patience import Patience
from tests.road import DEMO, Road, eventually
from tocsin.domain.alert import Alert, AlertId, AlertRef, TenantName
from tocsin.domain.severity import Severity
from tocsin.domain.verdict import Verdict
from tocsin.settings import load_settings
from tocsin.store import alerts
from tocsin.store.alerts import Decision, Outboxed
from tocsin.store.events import Arrival, record
from tocsin.store.tenants import Deserted, find_deserted


@asynccontextmanager
async def deserted(road: Road, *receivers: str) -> AsyncIterator[AlertRef]:
    """A tenant without a file, and an alert of it that waits for its receivers to be told."""
    tenant = TenantName(f"gone-{uuid.uuid4().hex[:8]}")
    ref = AlertRef(tenant=tenant, alert_id=AlertId(uuid.uuid4().hex))
    now = datetime.now(UTC)
    arrival = Arrival(
        sequence=uuid.uuid4().int % 2**60,
        source="wazuh",
        ref=ref,
        received_at=now,
        raw=b"{}",
        alert=Alert(tenant=tenant, source="wazuh", id=ref.alert_id, received_at=now),
    )
    outbox = tuple(
        Outboxed(id=f"{ref.alert_id}-0-{each}", receiver=each, channel="webhook")
        for each in receivers
    )
    decision = Decision(verdict=Verdict(severity=Severity.HIGH), route="page", outbox=outbox)
    await record(road.database, tenant, 1, [arrival])
    try:
        await alerts.save(road.database, ref, decision, workflow_run_id="run")
        yield ref
    finally:
        await alerts.mark_finished(road.database, ref)


async def found(road: Road, *described: TenantName) -> list[Deserted]:
    """Those without a file, as the database knows them."""
    return await find_deserted(road.database, [DEMO, *described])


async def test_what_waits_of_a_tenant_without_a_file_is_counted(road: Road) -> None:
    """Unfinished alerts count, and of their notifications those that are pending or sending."""
    async with deserted(road, "one", "two", "three") as ref:
        for receiver, status in (("two", "sending"), ("three", "delivered")):
            await road.rows(
                "UPDATE notifications SET status = :status WHERE id = :id RETURNING id",
                id=f"{ref.alert_id}-0-{receiver}",
                status=status,
            )
        assert Deserted(tenant=ref.tenant, alerts=1, notifications=2) in await found(road)


async def test_alert_that_nobody_was_to_hear_of_yet_is_counted(road: Road) -> None:
    """An alert that was only received waits too."""
    async with deserted(road, "one") as ref:
        await road.rows("DELETE FROM notifications WHERE tenant = :it RETURNING id", it=ref.tenant)
        assert Deserted(tenant=ref.tenant, alerts=1, notifications=0) in await found(road)


async def test_tenant_with_a_file_is_not_deserted(road: Road) -> None:
    """Whoever has a sound file is worked off."""
    async with deserted(road, "one") as ref:
        assert ref.tenant not in {each.tenant for each in await found(road, ref.tenant)}


async def test_tenant_without_work_is_not_missed(road: Road) -> None:
    """A tenant that was drained before its file went is not told of."""
    async with deserted(road, "one") as ref:
        pass
    assert ref.tenant not in {each.tenant for each in await found(road)}


async def test_worker_logs_a_tenant_without_a_file(road: Road) -> None:
    """What waits is told as one warning per tenant."""
    stopping = asyncio.Event()
    stopping.set()
    async with deserted(road, "one") as ref:
        with capture_logs() as logs:
            await tell_deserted(road.database, [DEMO], Patience(stopping))
    assert {
        "event": "tenant_without_file",
        "log_level": "warning",
        "tenant": ref.tenant,
        "alerts": 1,
        "notifications": 1,
    } in logs


async def test_started_worker_tells(road: Road) -> None:
    """The worker of a stack looks at its start."""
    log = road.stack.data_dir / "log" / "worker.log"
    async with deserted(road, "one") as ref:
        await asyncio.to_thread(road.stack.restart, "worker")

        async def told() -> bool:
            lines = (await asyncio.to_thread(log.read_text)).splitlines()
            return any("tenant_without_file" in line and ref.tenant in line for line in lines)

        await eventually(told, "the worker logs the tenant")


async def test_doctor_names_a_tenant_without_a_file(road: Road) -> None:
    """Its finding about the tenants is wrong, says what waits, and what to do."""
    settings = load_settings(Path(road.stack.endpoints.configuration))
    async with deserted(road, "one") as ref:
        findings = await check_up(settings)
    (finding,) = (each for each in findings if each.check == "tenants")
    assert not finding.ok
    assert (
        f"no sound file for {ref.tenant}, of whom wait: alerts 1, notifications 1" in finding.found
    )
    assert finding.advice.startswith("restore the file")
