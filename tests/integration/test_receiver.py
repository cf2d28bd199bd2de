"""Bodies of every shape, over HTTP, on the real servers, to their finished rows."""

import gzip
import json
import uuid
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.realdata import real
from tests.road import Road, eventually, wazuh_alert


def encode(*documents: Any, separator: bytes = b"\n") -> bytes:
    """Documents one after the other."""
    return separator.join(msgspec.json.encode(document) for document in documents)


def outcome(answer: Any) -> tuple[int, int, int]:
    """How many were accepted, duplicates and quarantined."""
    assert answer.status_code == 202, answer.text
    counts = answer.json()
    return counts["accepted"], counts["duplicates"], counts["quarantined"]


@pytest.mark.parametrize(
    "form", ["array", "NDJSON", "concatenated", "CRLF", "indented", "record separators"]
)
@pytest.mark.parametrize("packed", ["", "declared", "undeclared"])
async def test_body_of_several_events(road: Road, form: str, packed: str) -> None:
    """However events are put together and packed, each is one alert, in body order."""
    alerts = [wazuh_alert() for _ in range(3)]
    body = {
        "array": msgspec.json.encode(alerts),
        "NDJSON": encode(*alerts) + b"\n",
        "concatenated": encode(*alerts, separator=b""),
        "CRLF": encode(*alerts, separator=b"\r\n"),
        "indented": json.dumps(alerts, indent=2).encode(),
        "record separators": b"\x1e" + encode(*alerts, separator=b"\n\x1e"),
    }[form]
    headers = {"Content-Encoding": "gzip"} if packed == "declared" else {}
    answer = await road.post(gzip.compress(body) if packed else body, **headers)
    assert outcome(answer) == (3, 0, 0)
    again = [(await road.post(alert)).json()["ids"][0] for alert in alerts]
    assert answer.json()["ids"] == again


async def test_carriers_of_one_alert_are_one(road: Road) -> None:
    """The same alert raw, in a shuffle or PagerDuty envelope and in a search hit has one id."""
    alert = wazuh_alert()
    indexed = {**alert, "@timestamp": "2026-11-20T15:04:05.678Z", "input": {"type": "log"}}
    bodies = [
        alert,
        {"severity": 1, "title": "x", "id": alert["id"], "all_fields": alert},
        {"event_action": "trigger", "payload": {"summary": "x", "custom_details": alert}},
        {"_index": "wazuh-alerts", "_id": "abc", "_source": indexed, "sort": [1]},
        {"hits": {"total": 1, "hits": [{"_index": "x", "_id": "abc", "_source": indexed}]}},
    ]
    answers = [await road.post(body) for body in bodies]
    assert [outcome(answer) for answer in answers] == [(1, 0, 0)] + [(0, 1, 0)] * 4
    assert len({answer.json()["ids"][0] for answer in answers}) == 1


async def test_digest_is_an_alert_of_its_own(road: Road) -> None:
    """A slack digest is no duplicate of the alert that it tells of, and is linked by its id."""
    alert = wazuh_alert()
    alert_id = await road.take(alert)
    digest = {
        "attachments": [
            {
                "color": "warning",
                "title": alert["rule"]["description"],
                "text": alert["full_log"],
                "fields": [{"title": "Rule ID", "value": "5716 _(Level 3)_"}],
                "ts": alert["id"],
            }
        ]
    }
    answer = await road.post(digest)
    assert outcome(answer) == (1, 0, 0)
    await road.finished(answer.json()["ids"][0], alert_id)
    rows = await road.rows("SELECT id FROM alerts WHERE source_event_id = :id", id=alert["id"])
    assert {row.id for row in rows} == {alert_id, answer.json()["ids"][0]}


async def test_duplicates_inside_one_body(road: Road) -> None:
    """An alert that stands twice in a body is accepted once, and both places have its id."""
    alert, other = wazuh_alert(), wazuh_alert()
    answer = await road.post(encode(alert, other, alert))
    assert outcome(answer) == (2, 1, 0)
    ids = answer.json()["ids"]
    assert ids[0] == ids[2] != ids[1]


async def test_bad_line_is_quarantined_once(road: Road) -> None:
    """One bad line of NDJSON is kept, null among the ids, and the others are alerts."""
    bad = b'{"cut": "%s' % uuid.uuid4().hex.encode()
    body = b"\n".join([encode(wazuh_alert()), bad, encode(wazuh_alert())])
    for expected in ((2, 0, 1), (0, 2, 1)):
        answer = await road.post(body)
        assert outcome(answer) == expected
        assert [each is None for each in answer.json()["ids"]] == [False, True, False]
    await kept_once(road, bad)


async def test_cut_array_keeps_what_is_whole(road: Road) -> None:
    """Of an array that was cut, whole events are alerts and the rest is quarantined once."""
    marker = uuid.uuid4().hex
    whole, cut = [wazuh_alert(), wazuh_alert()], wazuh_alert(full_log=marker)
    body = msgspec.json.encode([*whole, cut])[:-40]
    answer = await road.post(body)
    assert outcome(answer) == (2, 0, 1)
    assert answer.json()["ids"][2] is None
    rest = body[body.rindex(msgspec.json.encode(cut)[:200]) :]

    async def kept() -> list[Any]:
        return await road.rows("SELECT raw FROM dead_letters WHERE raw = :raw", raw=b"," + rest)

    assert len(await eventually(kept, "the rest is in the ledger")) == 1


async def kept_once(road: Road, raw: bytes) -> None:
    """Bytes are in quarantine exactly once."""

    async def kept() -> list[Any]:
        return await road.rows("SELECT id FROM dead_letters WHERE raw = :raw", raw=raw)

    assert len(await eventually(kept, "it is in the ledger")) == 1


@pytest.mark.parametrize("body", [b"42", b'"text"', b"[1, null]", b"[[]]"])
async def test_json_without_an_event_is_quarantined(road: Road, body: bytes) -> None:
    """Scalars are JSON and no alerts: a 202 that counts them as quarantined."""
    accepted, duplicates, quarantined = outcome(await road.post(body))
    assert (accepted, duplicates) == (0, 0)
    assert quarantined >= 1


async def test_empty_array_holds_nothing(road: Road) -> None:
    """An empty array is a 202 that kept nothing, because there was nothing."""
    answer = await road.post(b"[]")
    assert outcome(answer) == (0, 0, 0)
    assert answer.json()["ids"] == []


@pytest.mark.parametrize("body", [b"", b" \r\n"])
async def test_empty_body_is_refused(road: Road, body: bytes) -> None:
    """A body without a byte is a 400, and there is nothing to keep."""
    await road.settled()
    before = (await road.bus.stock.stream("FAILED")).state.last_seq
    answer = await road.post(body)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:tocsin:problem:not-json")
    assert (await road.bus.stock.stream("FAILED")).state.last_seq == before


async def test_alertmanager_group_is_one_alert_each(road: Road) -> None:
    """Each alert of a group is one; in the next post of the group it is a duplicate."""
    path = real("alerta-webhooks", "prometheus_v4_alert.txt")
    group = json.loads(path.read_bytes())
    (alert,) = group["alerts"]
    fresh = [deepcopy(alert) for _ in range(3)]
    for each in fresh:
        each["labels"]["instance"] = uuid.uuid4().hex
    first = await road.post({**group, "alerts": fresh[:2]}, "alertmanager")
    assert outcome(first) == (2, 0, 0)
    second = await road.post({**group, "alerts": fresh}, "alertmanager")
    assert outcome(second) == (1, 2, 0)
    assert second.json()["ids"][:2] == first.json()["ids"]
    resolved = {**fresh[0], "status": "resolved", "endsAt": "2017-08-03T16:17:37.804-04:00"}
    assert outcome(await road.post({**group, "alerts": [resolved]}, "alertmanager")) == (1, 0, 0)
    await road.finished(*second.json()["ids"])


async def test_generic_event_is_mapped(road: Road) -> None:
    """Any JSON object is an alert of a generic source, read by the source's mapping."""
    event = {"id": uuid.uuid4().hex, "title": "disk full", "severity": "high", "host": "db-1"}
    answer = await road.post(event, "generic")
    assert outcome(answer) == (1, 0, 0)
    assert outcome(await road.post({**event, "title": "disk fuller"}, "generic")) == (0, 1, 0)
    (alert_id,) = answer.json()["ids"]
    await road.finished(alert_id)
    (row,) = await road.rows("SELECT severity, alert FROM alerts WHERE id = :id", id=alert_id)
    assert row.severity == "high"
    assert row.alert["agent"]["name"] == "db-1"


NASTY = {
    "no UTF-8": b'"full_log":"\xff\xfe caf\xe9"',
    "NUL": rb'"full_log":"a\u0000b","\u0000":"\u0000"',
    "lone surrogates": rb'"full_log":"\ud800 \udc00","groups":["\udfff"]',
    "deep": b'"full_log":"x","data":' + b'{"a":' * 90 + b"1" + b"}" * 90,
    "huge numbers": b'"full_log":"x","data":{"a":1e999,"b":-1e-999,"c":%s}' % (b"9" * 5000),
    "duplicated keys": b'"full_log":"x","data":{"srcip":"192.0.2.1","srcip":"192.0.2.2"}',
    "control characters": b'"full_log":"a\x01\x1b[31mb\x7f\xc2\x85"',
    "long text": b'"full_log":"%s"' % (b"x" * 500_000),
    "many observables": b'"full_log":"%s"' % b" ".join(b"192.0.2.%d" % n for n in range(256)),
    "time beyond the calendar": b'"timestamp":"9999-12-31T23:59:59.999-2359"',
    "time before the calendar": b'"timestamp":"0001-01-01T00:00:00.000+2359"',
    "quotes": rb'"full_log":"\u0027; DROP TABLE alerts; -- {{x}} %s \\"',
}


@pytest.mark.parametrize("name", NASTY)
async def test_nasty_alert_finishes(road: Road, name: str) -> None:
    """What stands in an alert is data: it finishes, and its bytes are kept as they came."""
    event_id = f"{datetime.now(UTC).timestamp():.0f}.{uuid.uuid4().int % 10**9}".encode()
    body = b'{"id":"%s","rule":{"id":"5716","level":7},%s}' % (event_id, NASTY[name])
    answer = await road.post(body)
    assert outcome(answer) == (1, 0, 0)
    (alert_id,) = answer.json()["ids"]
    await road.finished(alert_id)
    (event,) = await road.rows("SELECT raw FROM events WHERE alert_id = :id", id=alert_id)
    assert bytes(event.raw) == body
    assert len(await road.arrived(alert_id)) == 1


async def test_nested_too_deep_is_quarantined(road: Road) -> None:
    """A depth bomb is kept with its reason, beside the alert that came with it."""
    bomb = b'{"x":"%s","a":%s1%s}' % (uuid.uuid4().hex.encode(), b"[" * 5000, b"]" * 5000)
    answer = await road.post(encode(wazuh_alert()) + b"\n" + bomb)
    assert outcome(answer) == (1, 0, 1)
    await kept_once(road, bomb)


async def test_event_of_the_whole_limit_finishes(road: Road) -> None:
    """An alert of exactly 1 MiB goes all the way; with one byte more it is a 413."""
    alert = wazuh_alert()
    room = 1024**2 - len(msgspec.json.encode({**alert, "full_log": ""}))
    answer = await road.post({**alert, "full_log": "x" * room})
    assert outcome(answer) == (1, 0, 0)
    await road.finished(answer.json()["ids"][0])
    assert (await road.post({**alert, "full_log": "x" * (room + 1)})).status_code == 413


async def test_gzip_bomb_is_refused(road: Road) -> None:
    """A body that unpacks to more than the limit is a 413, whatever it says of itself."""
    bomb = gzip.compress(b" " * 50_000_000)
    for headers in ({"Content-Encoding": "gzip"}, {}):
        answer = await road.post(bomb, **headers)
        assert answer.status_code == 413
        assert answer.json()["type"] == "urn:tocsin:problem:too-large"


async def test_body_of_very_many_events_is_taken(road: Road) -> None:
    """Five thousand events in one body are acknowledged before the answer; one more is a 413."""
    events = [{"id": uuid.uuid4().hex} for _ in range(10)] * 500
    assert (await road.post(encode(*events, {}), "generic")).status_code == 413
    answer = await road.post(encode(*events), "generic")
    assert outcome(answer) == (10, 4990, 0)
    assert len(answer.json()["ids"]) == 5000
