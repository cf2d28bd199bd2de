"""Redrive: what went wrong goes on its way again, and the books stay balanced."""

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from ingest.envelope import headers
from ingest.letters import Kind, Letter, Stage
from ingest.redrive import Redriver
from ingest.sources.base import Event, Receipt
from ingest.sources.wazuh import Wazuh
from tests.edge import MemoryBus
from tests.road import DEMO, Road, eventually, wazuh_alert
from tocsin.bus import SOURCE, ingest_subject
from tocsin.domain.alert import AlertRef
from tocsin.errors import BusFull
from tocsin.settings import load_settings
from tocsin.store.dead_letters import load
from tocsin.tenant_files import load_tenants


async def finished_alert(road: Road) -> tuple[str, bytes]:
    """An alert that is done, and its bytes."""
    body = msgspec.json.encode(wazuh_alert())
    id_ = (await road.post(body)).json()["ids"][0]
    await road.finished(id_)
    return id_, body


async def end_badly(road: Road, id_: str, state: str) -> None:
    """Make a finished alert one that ended badly."""
    await road.rows(
        "UPDATE alerts SET state = :state, error = 'for a test' WHERE id = :id RETURNING id",
        id=id_,
        state=state,
    )


async def bury(road: Road, id_: str, body: bytes) -> Letter:
    """Write the dead letter of an alert, as the dispatcher does."""
    (row,) = await road.rows(
        "SELECT epoch, sequence, received_at FROM events WHERE alert_id = :id", id=id_
    )
    letter = Letter(
        tenant=DEMO,
        source="wazuh",
        kind=Kind.DEAD,
        stage=Stage.DISPATCH,
        reason="for a test",
        received_at=row.received_at,
        raw=body,
        attempts=5,
        alert_id=id_,
        epoch=row.epoch,
        sequence=row.sequence,
    )
    await letter.post(road.bus)
    return letter


async def quarantine(road: Road, body: bytes) -> Letter:
    """Write the letter of a body that the receiver could not read, as it does."""
    letter = Letter(
        tenant=DEMO,
        source="wazuh",
        kind=Kind.QUARANTINE,
        stage=Stage.RECEIVE,
        reason="for a test",
        received_at=datetime.now(UTC),
        raw=body,
    )
    await letter.post(road.bus)
    return letter


async def kept(operators: httpx.AsyncClient, id_: str) -> dict[str, Any]:
    """A letter, as soon as the ledger has it."""

    async def look() -> dict[str, Any] | None:
        answer = await operators.get(f"/v1/dead-letters/{id_}")
        return answer.json() if answer.status_code == 200 else None

    return await eventually(look, "the letter is kept")


async def test_failed_alert_runs_again(road: Road, operators: httpx.AsyncClient) -> None:
    """A failed alert becomes its next run, and the run that failed is listed no more."""
    id_, body = await finished_alert(road)
    await end_badly(road, id_, "failed")
    before = await road.settled()
    answer = await operators.post(f"/v1/alerts/{id_}/redrive")
    assert answer.json() == {"redriven": [{"id": id_, "run": 1}]}
    await eventually(lambda: is_finished(road, id_, 1), "the next run is done")
    after = await road.settled()
    assert (after.failed, after.duplicates) == (before.failed - 1, before.duplicates + 1)
    page = (await operators.get("/v1/alerts", params={"since": "10m", "limit": 1000})).json()
    items = [item for item in page["items"] if item["id"] == id_]
    assert [(item["run"], item["status"]) for item in items] == [(1, "finished")]
    shown = (await operators.get(f"/v1/alerts/{id_}")).json()
    assert shown["workflow"]["id"] == f"demo/{id_}/1"
    assert [(run["run"], run["status"], run["error"]) for run in shown["runs"]] == [
        (0, "superseded", "for a test")
    ]
    assert msgspec.json.decode(shown["raw"]["text"]) == msgspec.json.decode(body)


async def is_finished(road: Road, id_: str, run: int) -> bool:
    """Whether a run is done."""
    return await road.state(id_, run) == "finished"


async def test_finished_alert_does_not(road: Road, operators: httpx.AsyncClient) -> None:
    """An alert that is done is not redriven, and nothing changes."""
    id_, _ = await finished_alert(road)
    answer = await operators.post(f"/v1/alerts/{id_}/redrive")
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:tocsin:problem:not-redrivable"
    assert "finished" in answer.json()["detail"]
    assert await road.state(id_, 1) is None


async def test_dead_alert_runs_again(road: Road, operators: httpx.AsyncClient) -> None:
    """Redriving a dead alert settles its letter: dead goes down by one, duplicates up by one."""
    id_, body = await finished_alert(road)
    await end_badly(road, id_, "dead")
    letter = await bury(road, id_, body)
    assert (await kept(operators, letter.id))["redriven_at"] is None
    before = await road.settled()
    answer = await operators.post(f"/v1/alerts/{id_}/redrive")
    assert answer.json() == {"redriven": [{"id": id_, "run": 1}]}
    await eventually(lambda: is_finished(road, id_, 1), "the next run is done")
    after = await road.settled()
    assert (after.dead, after.duplicates) == (before.dead - 1, before.duplicates + 1)
    assert (await kept(operators, letter.id))["redriven_at"]


async def test_letter_of_a_live_alert_is_settled(road: Road, operators: httpx.AsyncClient) -> None:
    """A dead letter whose alert went through meanwhile starts nothing, and is open no more."""
    id_, body = await finished_alert(road)
    letter = await bury(road, id_, body)
    await kept(operators, letter.id)
    answer = await operators.post(f"/v1/dead-letters/{letter.id}/redrive")
    assert answer.json() == {"redriven": [{"id": id_, "run": 0}]}
    assert (await kept(operators, letter.id))["redriven_at"]
    await road.settled()
    assert await road.state(id_, 1) is None


async def test_quarantined_body_is_read_again(road: Road, operators: httpx.AsyncClient) -> None:
    """Every event of a quarantined body that reads now starts; what does not is kept apart."""
    good = [wazuh_alert(), wazuh_alert()]
    rest = f"neither JSON nor an alert {uuid.uuid4()}".encode()
    body = b"\n".join([msgspec.json.encode(good[0]), rest, msgspec.json.encode(good[1])])
    letter = await quarantine(road, body)
    await kept(operators, letter.id)
    before = await road.settled()
    answer = await operators.post(f"/v1/dead-letters/{letter.id}/redrive")
    runs = answer.json()["redriven"]
    assert [run["run"] for run in runs] == [0, 0]
    await road.finished(*(run["id"] for run in runs))
    after = await road.settled()
    assert after.quarantined == before.quarantined
    assert after.duplicates == before.duplicates + 1
    assert after.stored == before.stored + 2
    assert (await kept(operators, letter.id))["redriven_at"]
    page = (await operators.get("/v1/dead-letters", params={"kind": "quarantine"})).json()
    (left,) = [item for item in page["items"] if item["received_at"] == iso(letter.received_at)]
    assert (await kept(operators, left["id"]))["raw"]["text"] == rest.decode()


def iso(time: datetime) -> str:
    """A time as the interface writes it."""
    return time.isoformat().replace("+00:00", "Z")


async def test_interrupted_redrive_is_done_again(road: Road, operators: httpx.AsyncClient) -> None:
    """A letter stays open until all of it is on the bus, so that a second try brings the rest."""
    body = b"\n".join(msgspec.json.encode(wazuh_alert()) for _ in range(3))
    letter = await quarantine(road, body)
    await kept(operators, letter.id)
    stored = await load(road.database, letter.id)
    assert stored
    tenants = load_tenants(load_settings(Path(road.stack.endpoints.configuration)).tenants)
    interrupted = Redriver(MemoryBus(bound=1), road.database, tenants, max_events=10)
    with pytest.raises(BusFull):
        await interrupted.redrive_letter(stored)
    assert (await kept(operators, letter.id))["redriven_at"] is None
    answer = await operators.post(f"/v1/dead-letters/{letter.id}/redrive")
    await road.finished(*(run["id"] for run in answer.json()["redriven"]))
    assert len(answer.json()["redriven"]) == 3
    assert (await kept(operators, letter.id))["redriven_at"]
    await road.settled()


@pytest.mark.parametrize("shape", ["raw", "search response"])
async def test_whatever_is_dispatched_can_be_redriven(
    road: Road, operators: httpx.AsyncClient, shape: str
) -> None:
    """A failed alert is read for its next run as it was for its first, in any shape."""
    alert = wazuh_alert()
    found = {"hits": {"hits": [{"_index": "wazuh-alerts", "_source": alert}]}}
    body = msgspec.json.encode(alert if shape == "raw" else found)
    await road.bus.publish(ingest_subject(DEMO), body, {SOURCE: "wazuh"})

    async def done() -> str | None:
        rows = await road.rows(
            "SELECT id FROM alerts WHERE source_event_id = :id AND state = 'finished'",
            id=alert["id"],
        )
        return rows[0].id if rows else None

    id_ = await eventually(done, "it is finished")
    await end_badly(road, id_, "failed")
    answer = await operators.post(f"/v1/alerts/{id_}/redrive")
    assert answer.json() == {"redriven": [{"id": id_, "run": 1}]}
    await eventually(lambda: is_finished(road, id_, 1), "the next run is done")


async def test_nothing_to_read_changes_nothing(road: Road, operators: httpx.AsyncClient) -> None:
    """A body that still holds no alert stays where it is, and the answer says why."""
    letter = await quarantine(road, f"still no JSON {uuid.uuid4()}".encode())
    await kept(operators, letter.id)
    before = await road.settled()
    answer = await operators.post(f"/v1/dead-letters/{letter.id}/redrive")
    assert answer.status_code == 409
    assert "no JSON" in answer.json()["detail"]
    assert await road.settled() == before
    assert (await kept(operators, letter.id))["redriven_at"] is None


async def test_event_that_is_here_already_settles_its_letter(
    road: Road, operators: httpx.AsyncClient
) -> None:
    """A quarantined body whose event came again meanwhile starts no second workflow."""
    id_, body = await finished_alert(road)
    letter = await quarantine(road, body)
    await kept(operators, letter.id)
    answer = await operators.post(f"/v1/dead-letters/{letter.id}/redrive")
    assert answer.json() == {"redriven": [{"id": id_, "run": 0}]}
    assert (await kept(operators, letter.id))["redriven_at"]
    assert await road.state(id_, 1) is None
    await road.settled()


async def test_quarantined_message_gets_past_its_own_id(
    road: Road, operators: httpx.AsyncClient
) -> None:
    """A message that the dispatcher quarantined is redriven although JetStream knows its id."""
    body, now = msgspec.json.encode(wazuh_alert()), datetime.now(UTC)
    event = Event(body, msgspec.json.decode(body))
    id_ = Wazuh().read(event, Receipt(DEMO, "wazuh", now)).id
    given = headers("a-source-to-come", now, AlertRef(tenant=DEMO, alert_id=id_))
    ack = await road.bus.publish(ingest_subject(DEMO), body, given)
    letter = await by_sequence(operators, ack.sequence)
    refused = await operators.post(f"/v1/dead-letters/{letter}/redrive")
    assert refused.status_code == 409
    assert "a-source-to-come" in refused.json()["detail"]
    await road.rows(
        "UPDATE dead_letters SET source = 'wazuh' WHERE id = :id RETURNING id", id=letter
    )
    answer = await operators.post(f"/v1/dead-letters/{letter}/redrive")
    assert answer.json() == {"redriven": [{"id": id_, "run": 1}]}
    await eventually(lambda: is_finished(road, id_, 1), "it is done")
    await road.settled()


async def by_sequence(operators: httpx.AsyncClient, sequence: int) -> str:
    """The id of the letter of a message, as soon as the ledger has it."""

    async def look() -> str | None:
        page = (await operators.get("/v1/dead-letters")).json()
        return next((item["id"] for item in page["items"] if item["sequence"] == sequence), None)

    return await eventually(look, "the message is in quarantine")
