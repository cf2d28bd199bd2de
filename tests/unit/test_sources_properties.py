"""Promises that every source keeps, whatever is posted to it."""

import json
import re
from collections.abc import Iterator
from datetime import UTC
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.body import decode, split
from ingest.sources.base import (
    LONGEST_MESSAGE,
    LONGEST_NAME,
    LONGEST_TEXT,
    MOST_LABELS,
    MOST_OBSERVABLES,
    Event,
    Reading,
    Source,
)
from ingest.sources.harvest import Harvest
from ingest.sources.registry import open_source
from ingest.sources.wazuh_fields import OBSERVABLE_PATHS
from tests.reading import RECEIPT
from tocsin.domain.alert import Alert
from tocsin.domain.vocabulary import MAPPED_FIELDS
from tocsin.errors import NotAnAlert
from tocsin.tenants import SourceConfig

SOURCES = {
    "wazuh": open_source(SourceConfig(name="wazuh", kind="wazuh")),
    "alertmanager": open_source(SourceConfig(name="alertmanager", kind="alertmanager")),
    "generic": open_source(
        SourceConfig(
            name="generic",
            kind="generic",
            mapping=dict.fromkeys(sorted(MAPPED_FIELDS), "event.rule"),
            identity=("event.id", "event.labels.x"),
        )
    ),
}

_MORE_KEYS = (
    "id rule level description groups mitre technique timestamp @timestamp agent agentless name ip "
    "host hostname full_log message location all_fields payload custom_details _source _id hits "
    "attachments fields title value text ts alerts labels annotations status startsAt endsAt "
    "fingerprint generatorURL wazuh event kind original created_at severity"
)
KEYS = sorted(
    {step for path in OBSERVABLE_PATHS for step in path.split(".")}
    | set(re.split(" +", _MORE_KEYS))
)
WORDS = (
    "null",
    "-",
    "2026-11-17T08:02:49.5+0000",
    "9999-12-31T23:59:59-2359",
    "1.2.3.4:80",
    "[::1",
    "fe80::1%",
    "::ffff:1.2.3.4",
    "Rule ID 1\nLevel x\nFull Log ",
    "Rule ID",
    "7 _(Level 3",
    "alert",
    "resolved",
    "\0",
    "T1110.001",
    "a@b.c",
    "\u0660",
)
_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(WORDS)
)
_documents = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=40,
)


def _readings(source: Source, raw: bytes) -> list[Alert]:
    """All alerts of a body; each is read twice, the second time from its bytes alone."""
    alerts = []
    for piece in split(raw, max_events=10_000):
        for event in source.events(piece):
            try:
                alert = source.read(event, RECEIPT)
            except NotAnAlert as reason:
                if reason.__cause__ is not None:
                    raise  # a parser that broke, not one that decided
                continue
            assert source.read(Event(event.raw, decode(event.raw)), RECEIPT) == alert
            alerts.append(alert)
    return alerts


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _assert_sound(alert: Alert) -> None:
    assert not any("\0" in text for text in _strings(msgspec.to_builtins(alert)))
    assert len(alert.id) == 32
    assert alert.time.tzinfo is UTC
    assert len(alert.message) <= LONGEST_MESSAGE
    assert max(map(len, (alert.location, alert.rule.description))) <= LONGEST_TEXT
    assert max(map(len, (alert.source_event_id, alert.rule.id, alert.agent.name))) <= LONGEST_NAME
    assert max(map(len, (alert.rule.groups, alert.rule.mitre))) <= MOST_LABELS
    assert len(alert.observables) <= MOST_OBSERVABLES
    assert all(0 < len(observable.value) <= LONGEST_TEXT for observable in alert.observables)


@pytest.mark.parametrize("kind", SOURCES)
@given(document=_documents)
def test_no_json_breaks_a_source(kind: str, document: Any) -> None:
    """Arbitrary JSON is an alert or is said to be none, and an alert is always sound."""
    for alert in _readings(SOURCES[kind], json.dumps(document).encode()):
        _assert_sound(alert)


@pytest.mark.parametrize("kind", SOURCES)
@given(raw=st.binary(max_size=60))
def test_no_bytes_break_a_source(kind: str, raw: bytes) -> None:
    """Bytes inside an otherwise sound alert are kept out of the normalized text."""
    body = b'{"rule":{"id":"1","description":"%s"},"alerts":[{"labels":{"x":"%s"}}]}' % (raw, raw)
    for alert in _readings(SOURCES[kind], body):
        _assert_sound(alert)


@pytest.mark.parametrize("kind", SOURCES)
@settings(deadline=None)  # The text is long, and the machine may be busy.
@given(unit=st.text(max_size=3))
def test_no_text_is_too_long(kind: str, unit: str) -> None:
    """Whatever the length of what was posted, the normalized text is bounded."""
    value = unit * 5_000
    rule = {"id": value, "description": value, "groups": [value] * 9, "mitre": {"id": [value]}}
    document = {
        "id": value,
        "rule": rule,
        "agent": {"id": value, "name": value, "ip": value},
        "data": {"srcip": value, "srcuser": [value] * 9, "url": value},
        "full_log": value,
        "location": value,
        "labels": {},
        "alerts": [{"labels": {value or "x": value}, "annotations": {"summary": value}}],
    }
    for alert in _readings(SOURCES[kind], json.dumps(document).encode()):
        _assert_sound(alert)


def test_a_harvest_costs_what_its_table_names() -> None:
    """A document with far more in it than is looked for is walked only where the table leads."""
    harvest = Harvest(OBSERVABLE_PATHS)
    document = {"noise": [{"srcip": "192.0.2.1"}] * 9, "data": {"srcip": "192.0.2.2", "x": {}}}
    assert [found.value for found in harvest.observables(document)] == ["192.0.2.2"]


class _Broken(Source):
    """A parser with a bug."""

    def parse(self, document: Any) -> Reading:
        """Break."""
        raise ZeroDivisionError(document)


def test_parser_that_breaks_costs_one_event_its_reading() -> None:
    """A bug in a parser sends the event to quarantine with the error's name, and no further."""
    with pytest.raises(NotAnAlert, match="ZeroDivisionError"):
        _Broken().read(Event(b"{}", {}), RECEIPT)
