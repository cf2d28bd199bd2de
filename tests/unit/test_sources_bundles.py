"""Bodies that bundle events: each event keeps the bytes that were sent, and reads the same."""

import json
import time
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest.body import MAX_DEPTH, split
from ingest.sources.alertmanager import Alertmanager
from ingest.sources.base import Event, Source
from ingest.sources.bundles import LARGEST_ENVELOPE, unbundle
from ingest.sources.wazuh import Wazuh
from tests.reading import RECEIPT, RECEIVED, read, read_body
from tests.unit.test_sources_alertmanager import a_body
from tests.unit.test_sources_alertmanager import an_alert as a_firing_alert
from tests.unit.test_sources_wazuh import an_alert
from tests.unit.test_sources_wazuh_shapes import FINDING, SHIPPED, SLACK, hit, pagerduty, shuffle

ALERTMANAGER = Alertmanager()
WAZUH = Wazuh()
ONE = b'{ "labels": {"alertname":"A","ratio":1.0}, "startsAt":"2026-11-17T08:17:37Z" }'
TWO = rb'{"labels":{"alertname":"B","x":"]}\"[{,"},"startsAt":"2026-11-17T08:17:37Z"}'
GROUP = b"""{
  "receiver": "tocsin", "status": "firing",
  "alerts": [%s ,
    %s],
  "groupLabels": {"alertname": "A"}, "commonLabels": {"ratio": 1.0},
  "commonAnnotations": {}, "externalURL": "http://a.example", "version": "4",
  "groupKey": "{}:{alertname=\\"A\\"}", "truncatedAlerts": 3
}"""
HITS = b'{"took":3,"hits":{"total":{"value":2},"hits":[%s,%s]},"timed_out":false}'
MONITOR = b'{"monitor":"m","trigger":"t","hits":[%s,%s]}'
HIT = b'{"_id":"%s", "_source":{"rule":{"id":"5710","level":5.0},"id":"1.%s"}}'


def events(source: Source, body: bytes) -> list[Event]:
    """The events of a body that is one JSON value."""
    (piece,) = split(body, max_events=1)
    return source.events(piece)


def raws(source: Source, body: bytes) -> list[bytes]:
    """Their bytes."""
    return [event.raw for event in events(source, body)]


def without(body: bytes, *parts: bytes) -> bytes:
    """A body with parts cut out."""
    for part in parts:
        assert part in body
        body = body.replace(part, b"")
    return body


def test_an_alert_of_a_group_keeps_every_byte_of_itself_and_of_the_group() -> None:
    """Each event is the body as it was sent, with the other alerts cut out."""
    first, second = raws(ALERTMANAGER, GROUP % (ONE, TWO))
    assert first == GROUP.replace(b"%s ,\n    %s", ONE)
    assert second == GROUP.replace(b"%s ,\n    %s", TWO)


@pytest.mark.parametrize("body", [HITS, MONITOR])
def test_a_hit_keeps_every_byte_of_itself_and_of_the_response(body: bytes) -> None:
    """Search responses, and monitors' messages by our template, come apart in the same way."""
    one, two = HIT % (b"a", b"1"), HIT % (b"b", b"2")
    assert raws(WAZUH, body % (one, two)) == [body.replace(b"%s,%s", each) for each in (one, two)]


@pytest.mark.parametrize(
    "alert",
    [
        pytest.param(ONE.replace(b'"A"', b'"\xff\xfe"'), id="no UTF-8"),
        pytest.param(ONE.replace(b'"A"', b'"A","alertname":"C"'), id="repeated keys"),
        pytest.param(ONE.replace(b'"A"', b'"a\nb\x01"'), id="bare control characters"),
        pytest.param(ONE.replace(b"1.0", b"NaN"), id="a constant that JSON lacks"),
        pytest.param(ONE.replace(b"1.0", b"1e999"), id="too big for a double"),
        pytest.param(ONE.replace(b'"A"', rb'"\ud800 \u0041"'), id="escapes"),
    ],
)
def test_odd_bytes_stay_as_they_are(alert: bytes) -> None:
    """What senders get wrong inside an alert is kept, and read as it is by itself."""
    body = GROUP % (alert, TWO)
    first, _ = raws(ALERTMANAGER, body)
    assert first == without(body, b" ,\n    " + TWO)
    alone = b'{"status":"firing","alerts":[%s]}' % alert
    assert read_body(ALERTMANAGER, body)[0].id == read(ALERTMANAGER, alone).id


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"alerts":[1,2],"alerts":[%s,%s]}', id="the last of repeated keys counts"),
        pytest.param(b'{"\\u0061lerts":[%s,%s]}', id="an escaped key"),
        pytest.param(b'{"\xff":"\xff","x":"alerts","alerts" :\n[ %s\t,%s ]}', id="odd bytes"),
        pytest.param(b' \n{"a":{"alerts":[1,2]},"alerts":[%s,%s]}\n', id="the key, deeper"),
    ],
)
def test_the_bundle_is_found_wherever_it_stands(body: bytes) -> None:
    """However the keys of the envelope are written, its alerts are found."""
    alerts = read_body(ALERTMANAGER, body % (ONE, TWO))
    assert [alert.rule.id for alert in alerts] == ["A", "B"]
    first, second = raws(ALERTMANAGER, body % (ONE, TWO))
    assert (ONE in first, TWO in second) == (True, True)


def test_an_event_has_one_id_alone_and_bundled() -> None:
    """However many alerts stand beside it and whatever the envelope says, it is the same event."""
    small, large = b"[%s]" % ONE, b'"filler":"%s","alerts":[%s,%s]' % (b"x" * 9999, TWO, ONE)
    bodies = [
        b'{"status":"firing","alerts":%s}' % small,
        GROUP % (ONE, TWO),
        GROUP % (TWO, ONE),
        b'{%s,"status":"firing"}' % large,
    ]
    later = replace(RECEIPT, received_at=RECEIVED + timedelta(hours=5))
    ids = [
        {
            ALERTMANAGER.read(each, later).id
            for each in events(ALERTMANAGER, body)
            if ONE in each.raw
        }
        for body in bodies
    ]
    assert len(set.union(*ids)) == 1


def test_a_hit_has_one_id_alone_and_bundled() -> None:
    """A hit by itself, alone in a response and beside another is the same event."""
    one, two = HIT % (b"a", b"1"), HIT % (b"b", b"2")
    bodies = [one, without(HITS, b",%s") % one, without(MONITOR, b",%s") % one, HITS % (one, two)]
    assert len({read_body(WAZUH, body)[0].id for body in bodies}) == 1


def test_a_large_envelope_is_kept_once() -> None:
    """The first event has all of the envelope; the others lack its largest members."""
    large = b'"commonAnnotations":{"runbook":"%s"}' % (b"x" * LARGEST_ENVELOPE)
    body = (GROUP % (ONE, TWO)).replace(b'"commonAnnotations": {}', large)
    first, second = raws(ALERTMANAGER, body)
    assert large in first
    expected = without(body, ONE, b" ,\n    ", b"\n  " + large + b",")
    assert second == expected.replace(b'\n  "alerts": [', b'"alerts":[')


def test_the_envelopes_of_a_large_group_are_bounded() -> None:
    """A body grows by no more than the bound for each of its events, whatever its envelope."""
    members = b",".join(b'"%d":"%s"' % (number, b"x" * 90) for number in range(5_000))
    body = b'{%s,"alerts":[%s]}' % (members, b",".join([ONE] * 1_000))
    found = raws(ALERTMANAGER, body)
    assert len(found[0]) > len(members)
    assert max(map(len, found[1:])) <= LARGEST_ENVELOPE + len(ONE) + len(b'{"alerts":[]}')


def test_a_small_body_that_bundles_thousands_stays_small() -> None:
    """What thousands of tiny elements cost is in proportion to their number, not to an envelope."""
    body = b'{"status":"firing","x":[%s],"alerts":[%s]}' % (
        b",".join([b"[]"] * 1_350),
        b",".join([b"1"] * 5_000),
    )
    started = time.process_time()
    found = raws(ALERTMANAGER, body)
    assert time.process_time() - started < 2
    assert found[-1] == b'{"status":"firing","alerts":[1]}'
    assert sum(map(len, found)) < 5_000 * 300


def test_as_deep_as_allowed_is_unbundled() -> None:
    """The deepest element that is taken at all comes out of its bundle whole."""
    deep = b"[" * (MAX_DEPTH - 2) + b"]" * (MAX_DEPTH - 2)
    assert (
        unbundle(b'{"alerts":[%s,%s]}' % (deep, deep), ("alerts",))
        == [b'{"alerts":[%s]}' % deep] * 2
    )


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
_envelopes = st.dictionaries(st.text(max_size=3) | st.just("hits"), _json, max_size=4)


@given(
    inner=_envelopes,
    outer=_envelopes,
    elements=st.lists(_json, min_size=2, max_size=5),
    indent=st.sampled_from([None, 1]),
)
def test_any_bundle_comes_apart(
    inner: dict[str, Any], outer: dict[str, Any], elements: list[Any], indent: int | None
) -> None:
    """Whatever JSON is bundled in whatever envelope, each event is the envelope with one of it."""

    def body(*bundled: Any) -> dict[str, Any]:
        return {**outer, "hits": {**inner, "hits": list(bundled)}}

    raw = json.dumps(body(*elements), indent=indent).encode()
    apart = [json.loads(each) for each in unbundle(raw, ("hits", "hits"))]
    assert json.dumps(apart) == json.dumps([body(element) for element in elements])


WHOLE, FOUND = "3beb0ba5f4a52a3fed699fdfd6b9a3df", "ddc8345d7f46e34f352b6da597e8a4d4"
FIRING, OLDER = "059834c2b81654c21f019ba07e432e0e", "5e7b75658d1c93ad37faae93527fa612"
RELEASED = {
    "alert": (WAZUH, an_alert(), [WHOLE]),
    "shuffle": (WAZUH, shuffle(an_alert()), [WHOLE]),
    "pagerduty": (WAZUH, pagerduty(an_alert()), [WHOLE]),
    "hit as Filebeat ships it": (WAZUH, hit({**an_alert(), **SHIPPED}), [WHOLE]),
    "search response": (WAZUH, {"hits": {"hits": [hit(an_alert()), hit(FINDING)]}}, [WHOLE, FOUND]),
    "monitor": (WAZUH, {"monitor": "m", "hits": [hit(FINDING)]}, [FOUND]),
    "finding": (WAZUH, FINDING, ["7acca066db249fe4ae64eee787b20df0"]),
    "slack": (WAZUH, SLACK, ["7a6a48e1a63bfd9bc74e4938d219ef39"]),
    "firing": (ALERTMANAGER, a_body(a_firing_alert()), [FIRING]),
    "group": (
        ALERTMANAGER,
        a_body(a_firing_alert(), a_firing_alert(status=None, fingerprint=None)),
        [FIRING, OLDER],
    ),
}


@pytest.mark.parametrize("shape", RELEASED)
def test_an_identity_stays_what_it_was(shape: str) -> None:
    """An id that was given once is given again: it is in streams, workflows and tables."""
    source, document, ids = RELEASED[shape]
    assert [alert.id for alert in read_body(source, json.dumps(document).encode())] == ids
