"""The sweeper, on rows and workflows of its own."""

import uuid
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from temporalio.client import Client

from tests.road import Road, eventually, wazuh_alert
from tocsin.domain.alert import Alert, AlertId, AlertRef, TenantName
from tocsin.domain.work import AlertStart
from tocsin.store import alerts
from tocsin.store.alerts import Place
from tocsin.store.events import Arrival, record
from workflows.alert import AlertWorkflow

TENANT = TenantName("sweeper-test")


async def running(road: Road, *, for_: timedelta) -> AlertRef:
    """The row of an alert that has been running for a while."""
    ref = AlertRef(tenant=TENANT, alert_id=AlertId(uuid.uuid4().hex))
    now = datetime.now(UTC)
    alert = Alert(tenant=TENANT, source="wazuh", id=ref.alert_id, received_at=now)
    arrival = Arrival(
        sequence=uuid.uuid4().int % 2**60,
        source="wazuh",
        ref=ref,
        received_at=now,
        raw=b"",
        alert=alert,
    )
    await record(road.database, TENANT, 1, [arrival])
    await alerts.mark_started(road.database, TENANT, [(ref, "run")])
    async with road.database.transaction() as connection:
        await connection.execute(
            text("UPDATE alerts SET started_at = :at WHERE id = :id"),
            {"at": now - for_, "id": ref.alert_id},
        )
    return ref


async def start(client: Client, ref: AlertRef) -> None:
    """Start its workflow where no worker will ever take it up."""
    await client.start_workflow(
        AlertWorkflow.run, AlertStart(ref=ref), id=ref.workflow_id, task_queue="nobody"
    )


async def test_those_that_wait_hide_nobody(road: Road) -> None:
    """Look by look the sweeper sees every alert that runs for long, and begins again."""
    client = await road.temporal()
    waiting = [await running(road, for_=timedelta(days=9 - n)) for n in range(5)]
    for ref in waiting:
        await start(client, ref)
    seen: list[AlertRef] = []
    place, looks = Place(), 0
    while looks == 0 or place != Place():
        refs, place = await alerts.still_open(
            road.database, age=timedelta(days=1).total_seconds(), after=place, limit=2
        )
        assert len(refs) <= 2
        seen += refs
        looks += 1
    assert [ref for ref in seen if ref in waiting] == waiting
    for ref in waiting:
        await client.get_workflow_handle(ref.workflow_id).terminate()

    async def swept() -> bool:
        return {await road.state(ref.alert_id) for ref in waiting} == {"failed"}

    await eventually(swept, "the worker's own sweeper found all of them")


async def test_alert_whose_workflow_is_unknown_fails_with_that_reason(road: Road) -> None:
    """An alert that runs for nobody, as after Temporal lost its data, ends as failed."""
    ref = await running(road, for_=timedelta(minutes=1))

    async def failed() -> str | None:
        rows = await road.rows(
            "SELECT error FROM alerts WHERE id = :id AND state = 'failed'", id=ref.alert_id
        )
        return rows[0].error if rows else None

    error = await eventually(failed, "the sweeper found it")
    assert error == "Temporal does not know its workflow any more"


async def test_alert_whose_workflow_is_done_is_finished(road: Road) -> None:
    """An alert whose workflow completed without a word to its row is finished by the sweeper."""
    id_ = await road.take(wazuh_alert())
    await road.finished(id_)
    await road.rows(
        "UPDATE alerts SET state = 'running', finished_at = NULL,"
        " started_at = now() - interval '1 minute' WHERE id = :id RETURNING id",
        id=id_,
    )
    await road.finished(id_)
    (row,) = await road.rows("SELECT finished_at FROM alerts WHERE id = :id", id=id_)
    assert row.finished_at
