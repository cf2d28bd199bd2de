"""Whatever strangers post, no answer is a 500 and nothing acknowledged is lost."""

import gzip
import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.edge import CAPABILITY, MAX_BODY, MemoryBus, bearer, receiver, sender
from tocsin import bus as names

ANSWERS = {202, 400, 413}
ALERT = b'{"rule":{"id":"5716","level":3},"id":"1795187045.1","full_log":"x"}'
CORPUS: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \r\n\t ",
    "byte order mark": b"\xef\xbb\xbf" + ALERT,
    "UTF-16": ALERT.decode().encode("utf-16"),
    "no UTF-8": ALERT.replace(b"x", b"\xff\xfe\xc3"),
    "lone surrogate": ALERT.replace(b"x", rb"\ud800"),
    "lone surrogates in a list": b'{"rule":{"id":"1","groups":["\\udc00","\\ud800\\udc00"]}}',
    "NUL escaped": ALERT.replace(b"x", rb"\u0000"),
    "NUL bare": ALERT.replace(b"x", b"\0"),
    "NUL key": b'{"rule":{"id":"1"},"\\u0000":1}',
    "only NUL": b"\0" * 100,
    "deep array": b"[" * 1500 + b"]" * 1500,
    "deep object": b'{"a":' * 700 + b"1" + b"}" * 700,
    "deep and cut": b'{"rule":{"id":"1","a":' + b"[" * 3000,
    "huge integer": b'{"rule":{"id":"1","level":' + b"9" * 3900 + b"}}",
    "huge exponent": b'{"rule":{"id":"1","level":1e999999}}',
    "negative zero": b'{"rule":{"id":"1","level":-0.0}}',
    "NaN": b'{"rule":{"id":"1","level":NaN}}',
    "Infinity": b'{"rule":{"id":"1","level":-Infinity}}',
    "level as text": b'{"rule":{"id":1,"level":"ten"}}',
    "duplicated keys": b'{"rule":{"id":"1","id":"2"},"rule":{"id":"3"}}',
    "scalars": b"null",
    "string": b'"text"',
    "array of scalars": b'[1,null,true,"x",[],{}]',
    "empty array": b"[]",
    "empty object": b"{}",
    "nested empty arrays": b"[[],[[]]]",
    "cut string": b'{"rule":{"id":"1',
    "cut array": b"[" + ALERT + b"," + ALERT[:20],
    "trailing comma": b"[" + ALERT + b",]",
    "only brackets": b"{" * 500,
    "only quotes": b'"' * 4000,
    "gzip by itself": gzip.compress(ALERT),
    "gzip cut": gzip.compress(ALERT)[:-5],
    "gzip bomb": gzip.compress(b"[" * 10_000_000),
    "gzip of gzip": gzip.compress(gzip.compress(ALERT)),
    "gzip magic alone": b"\x1f\x8b",
    "form": b"payload=%7B%22rule%22%3A1%7D",
    "xml": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'a'>]><x>&a;</x>",
    "msgpack": b"\x82\xa4rule\x81\xa2id\xa11\xa2id\xa11",
    "strange hits": b'{"hits":{"hits":[null,1,"x",{"_source":1},{"_source":{"rule":{}}}]}}',
    "strange attachments": b'{"attachments":[{"fields":{"a":1},"ts":[],"title":{}}]}',
    "strange finding": b'{"wazuh":{"rule":[],"agent":1},"event":"x","@timestamp":1e308}',
    "strange time": b'{"rule":{"id":"1"},"timestamp":"0001-01-01T00:00:00+2359"}',
    "later than the calendar": b'{"rule":{"id":"1"},"timestamp":"9999-12-31T23:59:59-2359"}',
    "many hits": b'{"hits":[' + b",".join([b"{}"] * 1000) + b"]}",
}


def assert_answered(answer: httpx.Response, bus: MemoryBus) -> None:
    """An answer is one of those that bad input can get, and tells what is kept."""
    assert answer.status_code in ANSWERS, answer.text
    if answer.status_code != 202:
        assert answer.headers["content-type"] == "application/problem+json"
        return
    outcome = answer.json()
    total = outcome["accepted"] + outcome["duplicates"] + outcome["quarantined"]
    assert total == len(outcome["ids"])
    assert outcome["quarantined"] == outcome["ids"].count(None)
    ingested = sum(subject == "alerts.ingest.acme" for subject, _, _ in bus.kept)
    assert ingested == outcome["accepted"]


@pytest.mark.parametrize("source", ["wazuh", "generic"])
@pytest.mark.parametrize("name", CORPUS)
async def test_hostile_body_is_answered(name: str, source: str) -> None:
    """Each body that ever broke a receiver is taken, quarantined or refused."""
    bus = MemoryBus()
    async with sender(receiver(bus)) as client:
        body = CORPUS[name]
        answer = await client.post(f"/v1/alerts/{source}", content=body, headers=bearer())
    assert_answered(answer, bus)


@pytest.mark.parametrize("name", ["form", "xml", "UTF-16", "only NUL", "gzip cut", "cut string"])
async def test_what_is_no_json_is_kept_as_it_came(name: str) -> None:
    """A body without any JSON is a 400, and its bytes are in quarantine, once."""
    bus = MemoryBus()
    async with sender(receiver(bus)) as client:
        for _ in range(2):
            answer = await client.post("/v1/alerts/wazuh", content=CORPUS[name], headers=bearer())
            assert answer.status_code == 400
    assert [raw for _, raw, _ in bus.kept] == [CORPUS[name]]


DEEP = b'{"a":' * 102 + b"1" + b"}" * 102


@pytest.mark.parametrize("framing", [b"%s", b"[%s]", b"%s\n", b"[%s]\n[]", b'%s{"cut":', b"x\n%s"])
async def test_nesting_too_deep_is_quarantined_in_every_framing(framing: bytes) -> None:
    """An object that nests too deep is JSON: a 202 that counts it, and its letter says why."""
    bus = MemoryBus()
    async with sender(receiver(bus)) as client:
        answer = await client.post("/v1/alerts/wazuh", content=framing % DEEP, headers=bearer())
    assert answer.status_code == 202
    reasons = {raw: headers[names.REASON] for _, raw, headers in bus.kept}
    assert reasons[DEEP] == "It nests deeper than 100 levels"
    assert answer.json()["quarantined"] == len(bus.kept)


async def test_lines_of_scalars_are_quarantined() -> None:
    """NDJSON without an object is JSON that is no alert: each line is kept, with a 202."""
    bus = MemoryBus()
    async with sender(receiver(bus)) as client:
        answer = await client.post("/v1/alerts/wazuh", content=b"1\n2", headers=bearer())
    assert answer.json() == {"accepted": 0, "duplicates": 0, "quarantined": 2, "ids": [None, None]}
    assert [raw for _, raw, _ in bus.kept] == [b"1", b"2"]


@given(body=st.binary(max_size=200))
async def test_arbitrary_bytes_are_answered(body: bytes) -> None:
    """Arbitrary bytes never lead to a 500, and are kept when they are no JSON."""
    bus = MemoryBus()
    async with sender(receiver(bus)) as client:
        answer = await client.post(f"/v1/hook/{CAPABILITY}", content=body)
    assert_answered(answer, bus)
    if body.strip():
        assert bus.kept or answer.json().get("ids") == []


@given(
    document=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["rule", "id", "level", "_source", "hits", "message"])
                | st.text(max_size=3),
                inner,
                max_size=3,
            )
        ),
        max_leaves=15,
    ),
    at=st.integers(min_value=0, max_value=60),
)
async def test_json_with_a_hole_is_answered(document: Any, at: int) -> None:
    """JSON that lost a byte somewhere is answered like every other body."""
    body = json.dumps([document, {"rule": {"id": "1"}}]).encode()
    bus = MemoryBus()
    async with sender(receiver(bus)) as client:
        holed = body[:at] + body[at + 1 :]
        answer = await client.post("/v1/alerts/wazuh", content=holed, headers=bearer())
    assert_answered(answer, bus)


_VALUES = (b"", b"gzip", b"gzip, gzip", b"br", b"\xff", b"identity", b"-1", b"1e9", b"\xc2\xb2")
_NAMES = (b"content-encoding", b"content-length", b"content-type", b"expect", b"transfer-encoding")


@given(
    headers=st.dictionaries(
        st.sampled_from(_NAMES),
        st.sampled_from(_VALUES) | st.binary(max_size=8) | st.just(b"0" * 5000 + b"1"),
    )
)
async def test_arbitrary_headers_are_answered(headers: Mapping[bytes, bytes]) -> None:
    """No header leads to a 500."""
    sent: list[Mapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": ALERT, "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/v1/hook/{CAPABILITY}",
        "query_string": b"\xff=\xff",
        "headers": list(headers.items()),
    }
    await receiver(MemoryBus())(scope, receive, send)
    assert sent[0]["status"] in ANSWERS


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "x", "gzip;q=1"])
async def test_unknown_encoding_is_kept(encoding: str) -> None:
    """A body in an encoding that nobody here reads is a 400, and its bytes are in quarantine."""
    bus = MemoryBus()
    headers = {**bearer(), "Content-Encoding": encoding}
    async with sender(receiver(bus)) as client:
        answer = await client.post("/v1/alerts/wazuh", content=ALERT, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["type"] == "urn:tocsin:problem:not-json"
    assert [raw for _, raw, _ in bus.kept] == [ALERT]


@pytest.mark.parametrize("bundle", [b'{"hits":[%s]}', b"[%s]", b"%s"])
async def test_too_many_events_are_refused_whole(bundle: bytes) -> None:
    """A body with more events than one may carry is a 413, however they are bundled."""
    bus = MemoryBus()
    separator = b"\n" if bundle == b"%s" else b","
    body = bundle % separator.join([b"{}"] * 101)
    async with sender(receiver(bus, max_events=100)) as client:
        answer = await client.post("/v1/alerts/wazuh", content=body, headers=bearer())
    assert answer.status_code == 413
    assert bus.kept == []


@pytest.mark.parametrize("extra", [0, 1])
async def test_limit_is_exact(extra: int) -> None:
    """A body of exactly the limit is taken; with one byte more it is a 413, packed or not."""
    body = ALERT + b" " * (MAX_BODY - len(ALERT) + extra)
    packed = {**bearer(), "Content-Encoding": "gzip"}
    async with sender(receiver(MemoryBus())) as client:
        plain = await client.post("/v1/alerts/wazuh", content=body, headers=bearer())
        packed_too = await client.post(
            "/v1/alerts/wazuh", content=gzip.compress(body), headers=packed
        )
    expected = 413 if extra else 202
    assert (plain.status_code, packed_too.status_code) == (expected, expected)


async def test_event_that_the_bus_never_takes_is_too_large() -> None:
    """An event over the bus's own limit is a 413 that nobody repeats, and harms no readiness."""
    bus = MemoryBus(largest=10)
    async with sender(receiver(bus)) as client:
        answer = await client.post("/v1/alerts/wazuh", content=ALERT, headers=bearer())
    assert answer.status_code == 413
    assert bus.accepting
