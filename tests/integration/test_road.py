"""One alert from the post to its notification, on the real servers."""

import asyncio
import uuid
from typing import Any

import msgspec
import nats
import nats.aio.msg
import pytest

from tests.road import Road, eventually, wazuh_alert
from tocsin import bus as names
from tocsin.domain.alert import TenantName
from tocsin.jetstream import INBOX_PREFIX


async def test_alert_is_stored_judged_and_finished(road: Road) -> None:
    """A quiet alert ends finished, with its bytes, its normalized form and a verdict."""
    alert = wazuh_alert(level=3)
    body = msgspec.json.encode(alert)
    answer = await road.post(body)
    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 1,
        "duplicates": 0,
        "quarantined": 0,
        "ids": [answer.json()["ids"][0]],
    }
    alert_id = answer.json()["ids"][0]
    await road.finished(alert_id)
    (event,) = await road.rows("SELECT raw FROM events WHERE alert_id = :id", id=alert_id)
    assert bytes(event.raw) == body
    (row,) = await road.rows("SELECT * FROM alerts WHERE id = :id", id=alert_id)
    assert (row.level, row.severity, row.route) == (3, "informational", "store")
    assert row.alert["source_address"] == "198.51.100.9"
    assert row.received_at <= row.started_at <= row.finished_at
    (verdict,) = await road.rows("SELECT * FROM verdicts WHERE alert_id = :id", id=alert_id)
    assert (verdict.given_by, verdict.severity) == ("sender", "informational")


@pytest.mark.parametrize(
    ("level", "route", "receivers"),
    [(3, "store", []), (6, "store", []), (7, "post", ["post"]), (10, "page", ["mail", "page"])],
)
async def test_route_follows_the_level(
    road: Road, level: int, route: str, receivers: list[str]
) -> None:
    """Level 10 and above pages by webhook and mail, 7 to 9 posts, anything below is stored."""
    alert_id = await road.take(wazuh_alert(level=level))
    await road.finished(alert_id)
    (row,) = await road.rows("SELECT route FROM alerts WHERE id = :id", id=alert_id)
    assert row.route == route
    arrived = await road.arrived(alert_id)
    assert sorted(each["key"] for each in arrived) == [f"{alert_id}-0-{r}" for r in receivers]


async def test_same_alert_twice_is_one(road: Road) -> None:
    """A redelivered alert is answered as a duplicate with the same id, and adds nothing."""
    alert = wazuh_alert(level=10)
    first = (await road.post(alert)).json()
    before = (await road.settled()).received
    second = (await road.post(alert)).json()
    assert (second["accepted"], second["duplicates"]) == (0, 1)
    assert first["ids"] == second["ids"]
    await road.finished(first["ids"][0])
    assert (await road.settled()).received == before
    assert len(await road.arrived(first["ids"][0])) == 2


async def test_repeat_that_the_stream_forgot_is_a_duplicate(road: Road) -> None:
    """A repeat with another message id, as after the duplicate window, starts no second run."""
    alert = wazuh_alert(level=10)
    alert_id = await road.take(alert)
    await road.finished(alert_id)
    duplicates = (await road.settled()).duplicates
    raw = msgspec.json.encode(alert)
    headers = {names.SOURCE: "wazuh", names.MESSAGE_ID: uuid.uuid4().hex[:8]}
    await road.bus.publish(names.ingest_subject(TenantName("demo")), raw, headers)

    async def counted() -> bool:
        return (await road.books()).duplicates == duplicates + 1

    await eventually(counted, "the repeat is in the books")
    runs = await road.rows("SELECT run FROM alerts WHERE id = :id", id=alert_id)
    assert len(runs) == 1
    assert len(await road.arrived(alert_id)) == 2


async def test_capability_url_takes_the_builtin_senders(road: Road) -> None:
    """A post to the capability URL needs no header, and a shuffle copy is the same alert."""
    alert = wazuh_alert()
    alert_id = await road.take(alert)
    envelope = {"severity": 1, "title": "x", "id": alert["id"], "all_fields": alert}
    answer = await road.web.post(road.stack.endpoints.hook, json=envelope)
    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 0,
        "duplicates": 1,
        "quarantined": 0,
        "ids": [alert_id],
    }


async def test_alert_published_by_another_service_needs_no_header(road: Road) -> None:
    """A service that publishes raw bytes to its tenant's subject gets the same treatment."""
    alert = wazuh_alert()
    raw = msgspec.json.encode(alert)
    await road.bus.publish(names.ingest_subject(TenantName("demo")), raw, {})

    async def seen() -> list[str]:
        return [
            row.id
            for row in await road.rows(
                "SELECT id FROM alerts WHERE source_event_id = :id", id=alert["id"]
            )
        ]

    (alert_id,) = await eventually(seen, "the alert is recorded")
    assert (await road.post(alert)).json()["ids"] == [alert_id]


async def test_garbage_is_answered_400_and_kept(road: Road) -> None:
    """What is no JSON at all gets a problem document, and its bytes go to quarantine."""
    garbage = f"\xff\x00 not json {uuid.uuid4()}".encode("latin-1")
    answer = await road.post(garbage)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:tocsin:problem:not-json"

    async def kept() -> list[Any]:
        return await road.rows("SELECT * FROM dead_letters WHERE raw = :raw", raw=garbage)

    (letter,) = await eventually(kept, "the letter is in the ledger")
    assert (letter.kind, letter.stage, letter.sequence) == ("quarantine", "receive", 0)


async def test_json_that_is_no_alert_is_quarantined_beside_the_others(road: Road) -> None:
    """One event of a body that is no alert is counted in the 202, with null for its id."""
    stranger = {"hello": str(uuid.uuid4())}
    body = msgspec.json.encode([wazuh_alert(), stranger, wazuh_alert()])
    answer = await road.post(body)
    assert answer.status_code == 202
    outcome = answer.json()
    assert (outcome["accepted"], outcome["quarantined"]) == (2, 1)
    assert outcome["ids"][1] is None

    async def kept() -> list[Any]:
        raw = msgspec.json.encode(stranger)
        return await road.rows("SELECT reason FROM dead_letters WHERE raw = :raw", raw=raw)

    (letter,) = await eventually(kept, "the letter is in the ledger")
    assert letter.reason


async def test_poison_on_the_subject_goes_to_quarantine_and_blocks_nobody(road: Road) -> None:
    """Bytes that no source can read are kept with reason and sequence; alerts behind them pass."""
    poison = uuid.uuid4().bytes
    subject = names.ingest_subject(TenantName("demo"))
    ack = await road.bus.publish(subject, poison, {names.SOURCE: "wazuh"})
    await road.finished(await road.take(wazuh_alert()))

    async def kept() -> list[Any]:
        return await road.rows("SELECT * FROM dead_letters WHERE raw = :raw", raw=poison)

    (letter,) = await eventually(kept, "the letter is in the ledger")
    assert (letter.kind, letter.stage) == ("quarantine", "dispatch")
    assert letter.sequence == ack.sequence


async def test_failed_stream_holds_original_bytes_and_reason(road: Road) -> None:
    """A quarantined body is on the FAILED stream byte for byte, with its reason in a header."""
    garbage = b"no json " + uuid.uuid4().bytes
    await road.post(garbage)
    last = (await road.bus.stock.stream(names.FAILED)).state.last_seq
    messages = [
        await road.bus.stock.message(names.FAILED, n) for n in range(max(1, last - 20), last + 1)
    ]
    (kept,) = [each for each in messages if each and each.data == garbage]
    assert (kept.headers or {})[names.STAGE] == "receive"
    assert (kept.headers or {})[names.REASON]


async def test_publisher_of_its_own_reads_nothing(road: Road) -> None:
    """The NATS user of a tenant's publisher sees nothing of what is delivered to us."""
    url = road.stack.endpoints.nats_ingest["demo"]
    spy = await nats.connect(url, error_cb=_ignore)
    heard: list[bytes] = []

    async def hear(message: nats.aio.msg.Msg) -> None:
        heard.append(message.data)

    try:
        for subject in ("_INBOX.>", f"{INBOX_PREFIX}.>", ">"):
            await spy.subscribe(subject, cb=hear)
        await spy.flush()
        alert = wazuh_alert(level=7)
        await road.finished(await road.take(alert))
        await spy.flush()
    finally:
        await spy.close()
    assert [each for each in heard if alert["id"].encode() in each] == []


async def _ignore(_error: Exception) -> None:
    """The server refuses two of the three subscriptions, as it should."""


async def test_subscribers_hear_of_alerts_and_notifications(road: Road) -> None:
    """Finished alerts and attempts to notify are told on their subjects."""
    told: dict[str, list[bytes]] = {"alerts.enriched.demo": [], "notify.demo.webhook": []}

    async def listen(subject: str) -> None:
        async for data in road.bus.listen(subject):
            told[subject].append(data)

    listeners = [asyncio.create_task(listen(subject)) for subject in told]
    await road.bus.client.flush()
    alert_id = await road.take(wazuh_alert(level=7))
    await road.finished(alert_id)

    async def heard() -> bool:
        return all(any(alert_id.encode() in each for each in heard) for heard in told.values())

    await eventually(heard, "both were told")
    for listener in listeners:
        listener.cancel()


async def test_books_balance_after_all_that(road: Road) -> None:
    """Every sequence is in exactly one column of the books, and nothing is lost."""
    assert (await road.settled()).lost == ()
