"""Alertmanager's webhook."""

import json
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from ingest.body import split
from ingest.sources.alertmanager import Alertmanager
from ingest.sources.base import MOST_BUNDLED
from tests.reading import RECEIPT, RECEIVED, read, read_body
from tocsin.domain.severity import Severity
from tocsin.errors import NotAnAlert, TooLarge

ALERTMANAGER = Alertmanager()


def an_alert(**changes: Any) -> dict[str, Any]:
    """One alert as it stands in `alerts`; a change of None leaves that part out."""
    alert = {
        "status": "firing",
        "labels": {
            "alertname": "DiskFull",
            "severity": "critical",
            "instance": "db-01.example:9100",
            "job": "node",
        },
        "annotations": {"summary": "Disk is full", "description": "/var has 1 % left"},
        "startsAt": "2026-11-17T08:17:37.804-04:00",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=up",
        "fingerprint": "c74ca6b6a0dd3b2f",
        **changes,
    }
    return {key: value for key, value in alert.items() if value is not None}


def a_body(*alerts: Any, **changes: Any) -> dict[str, Any]:
    """A webhook body."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="DiskFull"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "tocsin",
        "groupLabels": {"alertname": "DiskFull"},
        "commonLabels": {"severity": "critical"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "alerts": list(alerts),
        **changes,
    }


def test_a_firing_alert() -> None:
    """Labels and annotations become the fields of a normalized alert."""
    alert = read(ALERTMANAGER, a_body(an_alert()))
    assert (alert.source_event_id, alert.shape) == ("c74ca6b6a0dd3b2f", "alertmanager")
    assert (alert.rule.id, alert.rule.description) == ("DiskFull", "Disk is full")
    assert alert.rule.groups == ("instance=db-01.example:9100", "job=node")
    assert (alert.sender_severity, alert.severity) == ("critical", Severity.CRITICAL)
    assert (alert.agent.name, alert.location) == ("db-01.example:9100", "node")
    assert alert.message == "/var has 1 % left"
    assert alert.time.isoformat() == "2026-11-17T12:17:37.804000+00:00"
    assert [f"{o.type}:{o.value}" for o in alert.observables] == [
        "hostname:db-01.example",
        "url_string:http://prometheus.example:9090/graph?g0.expr=up",
    ]
    assert not alert.resolved


def test_a_resolved_alert() -> None:
    """The end of an alert is an event of its own, at the time it ended."""
    ended = an_alert(status="resolved", endsAt="2026-11-17T13:00:00Z")
    alert = read(ALERTMANAGER, a_body(ended, status="resolved"))
    assert alert.resolved
    assert alert.time.isoformat() == "2026-11-17T13:00:00+00:00"
    assert alert.id != read(ALERTMANAGER, a_body(an_alert())).id


def test_each_alert_of_a_notification_is_an_event() -> None:
    """A group comes apart, and each event is a body that can be read by itself."""
    body = a_body(an_alert(), an_alert(fingerprint="other"), "no alert", an_alert(labels=None))
    with pytest.raises(NotAnAlert):
        read_body(ALERTMANAGER, json.dumps(body).encode())
    body["alerts"] = body["alerts"][:2]
    first, second = read_body(ALERTMANAGER, json.dumps(body).encode())
    assert first.id == read(ALERTMANAGER, a_body(an_alert())).id
    assert first.id != second.id


def test_a_large_envelope_is_not_repeated() -> None:
    """What is common to a group is not multiplied by its alerts."""
    body = a_body(*[an_alert()] * 100, externalURL="x" * 100_000, commonLabels={"x": "y" * 10_000})
    (piece,) = split(json.dumps(body).encode(), max_events=1)
    _, *others = ALERTMANAGER.events(piece)
    assert sum(len(event.raw) for event in others) < len(others) * 1_000


def test_a_bundle_is_bounded() -> None:
    """One notification cannot become more events than a body may have."""
    with pytest.raises(TooLarge):
        read_body(ALERTMANAGER, json.dumps(a_body(*[{}] * (MOST_BUNDLED + 1))).encode())


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(an_alert(startsAt="2026-11-18T00:00:00Z"), id="fired again"),
        pytest.param(an_alert(fingerprint="other"), id="another fingerprint"),
        pytest.param(an_alert(status="resolved"), id="resolved"),
    ],
)
def test_different_events(other: dict[str, Any]) -> None:
    """Fingerprint, start and status make an event."""
    assert read(ALERTMANAGER, a_body(other)).id != read(ALERTMANAGER, a_body(an_alert())).id


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(a_body(an_alert(), receiver="other", groupKey="other"), id="another group"),
        pytest.param(a_body(an_alert(endsAt="2026-11-17T12:30:00Z")), id="a repeated notification"),
        pytest.param(a_body(an_alert(annotations={"summary": "new words"})), id="reworded"),
    ],
)
def test_the_same_event(same: dict[str, Any]) -> None:
    """A repeated notification of an alert that still fires is a duplicate."""
    assert read(ALERTMANAGER, same).id == read(ALERTMANAGER, a_body(an_alert())).id


def test_version_3_has_labels_for_a_fingerprint() -> None:
    """Without a fingerprint the labels identify an alert, in any order."""
    labels = an_alert()["labels"]
    backwards = {key: labels[key] for key in reversed(labels)}
    older = [
        an_alert(fingerprint=None, status=None, labels=labels),
        an_alert(fingerprint=None, status=None, labels=backwards),
        an_alert(fingerprint=None, status=None, labels={**labels, "instance": "db-02"}),
    ]
    first, same, other = (
        read(ALERTMANAGER, a_body(alert, version="3", status="resolved")) for alert in older
    )
    assert first.id == same.id != other.id
    assert first.resolved


def test_without_a_start_an_alert_is_new_every_hour() -> None:
    """An alert with neither fingerprint nor start is told apart by the hour of receipt."""
    body = a_body(an_alert(fingerprint=None, startsAt=None))
    later = replace(RECEIPT, received_at=RECEIVED + timedelta(hours=1))
    assert read(ALERTMANAGER, body).id != read(ALERTMANAGER, body, later).id


@pytest.mark.parametrize(
    "changes",
    [
        {"annotations": None},
        {"annotations": "x"},
        {"labels": {"x": 1, "y": None, "z": []}},
        {"startsAt": 17, "endsAt": []},
        {"generatorURL": {}, "fingerprint": 17},
    ],
)
def test_odd_alerts_are_read(changes: dict[str, Any]) -> None:
    """An alert with labels is an alert, whatever else is missing or odd."""
    assert read(ALERTMANAGER, a_body(an_alert(**changes))).id


@pytest.mark.parametrize(
    "document",
    [17, {}, {"alerts": []}, {"alerts": {}}, {"alerts": [{}]}, {"alerts": [{"labels": {}}]}],
)
def test_what_is_no_notification_is_said_to_be_none(document: Any) -> None:
    """JSON that is no Alertmanager body is refused with a reason."""
    with pytest.raises(NotAnAlert, match="alerts"):
        read(ALERTMANAGER, document)
