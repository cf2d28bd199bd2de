"""Any JSON object, by a mapping of CEL expressions."""

import time
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from ingest.sources.base import Source
from ingest.sources.registry import open_source
from tests.reading import RECEIPT, RECEIVED, read
from tocsin.domain.alert import Agent
from tocsin.domain.severity import Severity
from tocsin.domain.vocabulary import MAPPED_FIELDS
from tocsin.errors import NotAnAlert
from tocsin.tenants import SourceConfig


def a_source(*identity: str, **mapping: str) -> Source:
    """A source with a mapping; a double underscore stands for the dot in a field's path."""
    paths = {key.replace("__", "."): value for key, value in mapping.items()}
    config = SourceConfig(name="falco", kind="generic", mapping=paths, identity=identity)
    return open_source(config)


FALCO = a_source(
    source_event_id="event.uuid",
    rule__id="event.rule",
    rule__description="event.rule + ' on ' + event.hostname",
    rule__groups="event.tags",
    rule__mitre="event.tags.filter(t, t.startsWith('T')).map(t, t)",
    severity="event.priority",
    message="event.output",
    location="event.source",
    agent__name="event.hostname",
    agent__id="event.output_fields['host.id']",
    time="event.time",
    source_address="event.output_fields['fd.rip']",
    observables__user_name="event.output_fields['user.name']",
    observables__process_name="[event.output_fields['proc.name'], event.output_fields['pname']]",
    resolved="event.state == 'ok'",
)
EVENT = {
    "uuid": "7ac62f3c",
    "rule": "Terminal shell in container",
    "hostname": "node-a",
    "tags": ["container", "T1059", "shell"],
    "priority": "Warning",
    "output": "A shell was spawned",
    "source": "syscall",
    "time": "2026-11-17T08:02:49.360123456Z",
    "output_fields": {"host.id": 7, "fd.rip": "203.0.113.5:99", "user.name": "root"},
}


def test_a_mapping_fills_an_alert() -> None:
    """Each field comes from its expression; what is missing stays empty."""
    alert = read(FALCO, EVENT)
    assert (alert.source_event_id, alert.shape) == ("7ac62f3c", "generic")
    assert alert.rule.id == "Terminal shell in container"
    assert alert.rule.description == "Terminal shell in container on node-a"
    assert alert.rule.groups == ("container", "T1059", "shell")
    assert alert.rule.mitre == ("T1059",)
    assert (alert.sender_severity, alert.severity) == ("Warning", Severity.MEDIUM)
    assert (alert.message, alert.location) == ("A shell was spawned", "syscall")
    assert alert.agent == Agent(id="7", name="node-a")
    assert alert.time.isoformat() == "2026-11-17T08:02:49.360123+00:00"
    assert alert.source_address == "203.0.113.5"
    assert [f"{o.type}:{o.value}" for o in alert.observables] == [
        "ip_address:203.0.113.5",
        "user_name:root",
    ]
    assert not alert.resolved


def test_without_a_mapping_the_message_is_the_event() -> None:
    """Any JSON object is an alert, even where nothing is known of it."""
    alert = read(a_source(), {"b": 1, "a": "x"})
    assert alert.message == '{"b":1,"a":"x"}'
    assert (alert.severity, alert.time) == (Severity.UNKNOWN, RECEIVED)


@pytest.mark.parametrize(
    ("value", "severity", "word"),
    [
        ("critical", Severity.CRITICAL, "critical"),
        ("WARNING", Severity.MEDIUM, "WARNING"),
        (4, Severity.HIGH, "4"),
        (2.0, Severity.LOW, "2"),
        (9, Severity.UNKNOWN, "9"),
        ("purple", Severity.UNKNOWN, "purple"),
        (None, Severity.UNKNOWN, ""),
    ],
)
def test_severities(value: Any, severity: Severity, word: str) -> None:
    """A severity is a word, or an OCSF severity_id."""
    alert = read(a_source(severity="event.s"), {"s": value})
    assert (alert.severity, alert.sender_severity) == (severity, word)


def test_a_level_alone_is_read_on_wazuhs_scale() -> None:
    """A mapping that knows only a level gives the severity of that level in Wazuh's table."""
    alert = read(a_source(level="event.level"), {"level": "12"})
    assert (alert.level, alert.severity) == (12, Severity.HIGH)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-17T08:02:49Z", "2026-11-17T08:02:49+00:00"),
        (1_794_902_569, "2026-11-17T08:02:49+00:00"),
        (1_794_902_569_360, "2026-11-17T08:02:49.360000+00:00"),
        (1_794_902_569.5, "2026-11-17T08:02:49.500000+00:00"),
        ("soon", RECEIVED.isoformat()),
        (1e300, RECEIVED.isoformat()),
        (-1, RECEIVED.isoformat()),
        (True, RECEIVED.isoformat()),
    ],
)
def test_times(value: Any, expected: str) -> None:
    """A time is ISO 8601 text, or seconds or milliseconds since 1970."""
    assert read(a_source(time="event.t"), {"t": value}).time.isoformat() == expected


def test_an_expression_may_give_a_timestamp() -> None:
    """CEL's own timestamps are times too."""
    alert = read(a_source(time="timestamp(event.day + 'T00:00:00Z')"), {"day": "2026-11-17"})
    assert alert.time.isoformat() == "2026-11-17T00:00:00+00:00"


@pytest.mark.parametrize(
    "expression", ["1 / event.zero", "event.a.b.c", "event.list[9]", "-event.a"]
)
def test_an_expression_that_fails_has_no_value(expression: str) -> None:
    """A mapping that an event does not fit leaves the field empty."""
    alert = read(a_source(location=expression), {"zero": 0, "a": "x", "list": []})
    assert alert.location == ""


def test_numbers_beyond_cel_do_no_harm() -> None:
    """A number that CEL cannot hold is text to the expressions, and the rest is read."""
    alert = read(
        a_source(message="event.m", location="event.n"), b'{"m":"x","n":%s}' % (b"9" * 999)
    )
    assert (alert.message, alert.location) == ("x", "9" * 999)


def _same(source: Source, one: dict[str, Any], other: dict[str, Any], hours: int = 0) -> bool:
    later = replace(RECEIPT, received_at=RECEIVED + timedelta(hours=hours))
    return read(source, one).id == read(source, other, later).id


def test_identity_expressions_identify() -> None:
    """Where they are configured, their values alone make the event, at any hour."""
    source = a_source("event.host", "event.number")
    event = {"host": "a", "number": 7, "noise": 1}
    assert _same(source, event, {**event, "noise": 2}, hours=5)
    assert not _same(source, event, {**event, "number": 8})


@pytest.mark.parametrize("missing", [{"host": "a"}, {"host": "a", "number": ""}])
def test_an_event_without_its_identity_is_its_content(missing: dict[str, Any]) -> None:
    """An event that lacks one of the identifying values is identified by all of it."""
    source = a_source("event.host", "event.number")
    assert _same(source, missing, dict(missing))
    assert not _same(source, missing, {**missing, "noise": 1})
    assert not _same(source, missing, missing, hours=1)


def test_the_mapped_id_identifies() -> None:
    """A sender's id is enough, at any hour and with any content."""
    assert _same(FALCO, EVENT, {**EVENT, "output": "other words"}, hours=5)
    assert not _same(FALCO, EVENT, {**EVENT, "uuid": "other"})


def test_content_identifies_within_its_hour() -> None:
    """An event with neither id nor time is told apart from its like by the hour of receipt."""
    source = a_source(message="event.m", time="event.t")
    assert _same(source, {"m": "x"}, {"m": "x"})
    assert not _same(source, {"m": "x"}, {"m": "x"}, hours=1)
    assert _same(source, {"m": "x", "t": 1794902569}, {"m": "x", "t": 1794902569}, hours=1)


def test_one_kind_of_identity_is_never_another() -> None:
    """A value that identifies by one means is no other event's identity by another."""
    by_id, by_expression = a_source(source_event_id="event.i"), a_source("event.i")
    assert read(by_id, {"i": "x"}).id != read(by_expression, {"i": "x"}).id


@pytest.mark.parametrize("document", [17, "x", None, True])
def test_only_objects_are_events(document: Any) -> None:
    """JSON that is no object is refused with a reason."""
    with pytest.raises(NotAnAlert, match="no JSON object"):
        read(FALCO, document)


@pytest.mark.parametrize("field", sorted(MAPPED_FIELDS))
def test_every_field_that_may_be_configured_is_filled(field: str) -> None:
    """A mapping onto any field that the configuration accepts changes what is read."""
    values = {
        "level": 7,
        "resolved": True,
        "rule.groups": ["web"],
        "rule.mitre": ["T1110"],
        "severity": "high",
        "source_address": "192.0.2.1",
        "time": "2026-11-20T14:00:00Z",
        "observables.email_address": "a@example.com",
        "observables.ip_address": "192.0.2.1",
        "observables.mac_address": "00:00:5e:00:53:01",
        "observables.url": "https://example.com/a",
    }
    event = {"v": values.get(field, "d41d8cd98f00b204e9800998ecf8427e")}
    config = SourceConfig(name="x", kind="generic", mapping={field: "event.v"})
    mapped = read(open_source(config), event)
    plain = read(open_source(SourceConfig(name="x", kind="generic")), event)
    assert replace(mapped, id=plain.id) != plain


@pytest.mark.parametrize(
    "expression",
    ["event.many.map(each, each.ip)", "event.all(key, key != '')", "event.many.exists(a, false)"],
)
def test_long_lists_hold_up_nobody(expression: str) -> None:
    """A body of a mebibyte costs a mapping over it no more than a moment."""
    many = [{"ip": "192.0.2.1"}] * 50_000
    document = {"many": many} | {str(n): n for n in range(50_000)}
    source = a_source(message="'seen'", observables__ip_address=expression)
    started = time.process_time()
    alert = read(source, document)
    assert time.process_time() - started < 2
    assert alert.message == "seen"
