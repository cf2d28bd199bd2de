"""`SaveToPostgres`: the first writer wins, and subscribers are told when they can be."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from prometheus_client import REGISTRY
from temporalio.testing import ActivityEnvironment

from activities.save import Saving
from tests.edge import MemoryBus
from tests.road import Road
from tocsin.domain.alert import Alert, AlertId, AlertRef, TenantName
from tocsin.domain.severity import Severity
from tocsin.domain.verdict import Giver, Verdict
from tocsin.domain.work import Saved, SaveRequest
from tocsin.errors import BusUnavailable, ConfigError
from tocsin.jetstream import Bus
from tocsin.store import alerts
from tocsin.store.events import Arrival, record
from tocsin.store.recent import RecentAlerts
from tocsin.tenants import TenantConfig

TENANT = TenantName("save-test")
CONFIG = TenantConfig.model_validate(
    {
        "tenant": TENANT,
        "receivers": [
            {"name": "page", "webhook": {"url": "http://192.0.2.1/"}},
            {"name": "post", "webhook": {"url": "http://192.0.2.1/"}},
        ],
    }
)


class Deaf(MemoryBus):
    """A bus on which nobody can be told anything."""

    async def tell(self, subject: str, data: bytes) -> None:
        """Refuse."""
        raise BusUnavailable(f"{subject}: {len(data)}")


def saving(road: Road, bus: Bus | None = None, *, known: bool = True) -> Saving:
    """The activities, with or without the tenant's file."""
    tenants = {TENANT: CONFIG} if known else {}
    routers = {TENANT: CONFIG.router()} if known else {}
    recent = RecentAlerts(road.database)
    return Saving(road.database, recent, tenants, routers, bus or road.bus)


@pytest.fixture
async def ref(road: Road) -> AsyncIterator[AlertRef]:
    """An alert that is recorded and waits for its verdict; after the test it is finished."""
    ref = AlertRef(tenant=TENANT, alert_id=AlertId(uuid.uuid4().hex))
    now = datetime.now(UTC)
    arrival = Arrival(
        sequence=uuid.uuid4().int % 2**60,
        source="wazuh",
        ref=ref,
        received_at=now,
        raw=b"{}",
        alert=Alert(tenant=TENANT, source="wazuh", id=ref.alert_id, received_at=now),
    )
    await record(road.database, TENANT, 1, [arrival])
    yield ref
    await alerts.mark_finished(road.database, ref)


async def save(activities: Saving, ref: AlertRef, severity: Severity = Severity.HIGH) -> Saved:
    """Save a verdict of the rules."""
    verdict = Verdict(severity=severity, given_by=Giver.RULES)
    return await ActivityEnvironment().run(activities.save, SaveRequest(ref=ref, verdict=verdict))


async def test_first_writer_wins(road: Road, ref: AlertRef) -> None:
    """A repeat with another verdict changes nothing, and is told what was stored."""
    first = await save(saving(road), ref, Severity.HIGH)
    assert (first.route, first.notifications) == ("page", (f"{ref.alert_id}-0-page",))
    assert await save(saving(road), ref, Severity.LOW) == first
    verdicts = await road.rows("SELECT * FROM verdicts WHERE alert_id = :id", id=ref.alert_id)
    assert [row.severity for row in verdicts] == ["high"]
    outbox = await road.rows("SELECT id FROM notifications WHERE alert_id = :id", id=ref.alert_id)
    assert [row.id for row in outbox] == list(first.notifications)


async def test_alert_that_everybody_heard_of_is_finished(road: Road, ref: AlertRef) -> None:
    """An alert with receivers runs until it is said that all of them were told."""
    await save(saving(road), ref)
    assert await road.state(ref.alert_id) == "running"
    await saving(road).finish(ref)
    assert await road.state(ref.alert_id) == "finished"


async def test_alert_for_nobody_is_finished_by_saving(road: Road, ref: AlertRef) -> None:
    """Where the route has no receivers the same statement finishes the alert."""
    assert (await save(saving(road), ref, Severity.LOW)).notifications == ()
    assert await road.state(ref.alert_id) == "finished"


async def test_subscribers_that_cannot_be_told_stop_nothing(road: Road, ref: AlertRef) -> None:
    """An event that cannot be published is counted, and the alert goes on."""
    metric, labels = "tocsin_events_untold_total", {"tenant": str(TENANT)}
    before = REGISTRY.get_sample_value(metric, labels) or 0
    await save(saving(road, Deaf()), ref, Severity.LOW)
    assert await road.state(ref.alert_id) == "finished"
    assert REGISTRY.get_sample_value(metric, labels) == before + 1


async def test_alert_whose_tenant_file_is_gone_fails_for_good(road: Road, ref: AlertRef) -> None:
    """Without its tenant's file an alert is not routed by guess; it fails, and can be redriven."""
    with pytest.raises(ConfigError, match="save-test"):
        await save(saving(road, known=False), ref)
