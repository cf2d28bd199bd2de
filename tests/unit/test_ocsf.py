"""The export as OCSF Detection Finding."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from ingest.sources.wazuh import Wazuh
from tests.ocsf import violations
from tests.reading import read_body
from tocsin.domain.alert import (
    Agent,
    Alert,
    AlertId,
    Observable,
    ObservableType,
    Rule,
    TenantName,
)
from tocsin.domain.ocsf import detection_finding
from tocsin.domain.severity import Severity
from tocsin.domain.verdict import Disposition, Giver, Verdict

SAMPLES = Path(__file__).parents[2] / "console" / "samples" / "wazuh.ndjson"
PLAIN = Alert(tenant=TenantName("acme"), source="wazuh", id=AlertId("0" * 32))
VERDICT = Verdict(
    severity=Severity.CRITICAL,
    disposition=Disposition.MALICIOUS,
    given_by=Giver.RULES,
    reasons=("web shell",),
)

_short = st.text(max_size=8)
_moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive
_alerts = st.builds(
    Alert,
    tenant=st.just("acme"),
    source=_short,
    id=st.just("0" * 32),
    source_event_id=_short,
    rule=st.builds(
        Rule,
        id=_short,
        description=_short,
        groups=st.lists(_short, max_size=3).map(tuple),
        mitre=st.lists(st.sampled_from(["T1110", "T1110.001", ".", "", "x"])).map(tuple),
    ),
    level=st.none() | st.integers(0, 16),
    severity=st.sampled_from(Severity),
    agent=st.builds(Agent, id=_short, name=_short, ip=_short | st.just("10.0.0.1")),
    observables=st.lists(
        st.builds(Observable, name=_short, type=st.sampled_from(ObservableType), value=_short),
        max_size=3,
    ).map(tuple),
    source_address=st.sampled_from(["", "192.0.2.1", "2001:db8::1"]),
    time=_moments,
    received_at=_moments,
    message=_short,
    resolved=st.booleans(),
)
_verdicts = st.none() | st.builds(
    Verdict,
    severity=st.sampled_from(Severity),
    disposition=st.sampled_from(Disposition),
    given_by=st.sampled_from(Giver),
    reasons=st.lists(_short, max_size=2).map(tuple),
)


def test_samples_are_valid() -> None:
    """Every sample alert, with a verdict and without, is a valid Detection Finding."""
    alerts = read_body(Wazuh(), SAMPLES.read_bytes())
    assert len(alerts) >= 24
    for alert in alerts:
        assert violations(detection_finding(alert)) == []
        assert violations(detection_finding(alert, VERDICT, raw=b"{}")) == []


@given(_alerts, _verdicts, st.none() | st.binary(max_size=8))
def test_any_alert_is_valid(alert: Alert, verdict: Verdict | None, raw: bytes | None) -> None:
    """Whatever is in an alert, its export is valid and can be written as JSON."""
    event = detection_finding(alert, verdict, raw=raw)
    assert violations(event) == []
    assert json.loads(json.dumps(event)) == event


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"class_uid": 2005}, "event.class_uid has no value 2005"),
        ({"severity": "Bad"}, "event.severity is 'Bad' beside 0"),
        ({"time": "now"}, "event.time is str"),
        ({"observables": [{"name": "x"}]}, "event.observables[0].type_id is missing"),
        ({"evidences": [{}]}, "event.evidences[0] has none of ['src_endpoint']"),
        ({"colour": "red"}, "event.colour is not in the schema"),
        ({"verdict_id": 2, "verdict": "True Positive"}, "verdict_id needs the profile incident"),
    ],
)
def test_the_schema_finds_what_is_wrong(change: dict[str, Any], expected: str) -> None:
    """An event that departs from the schema is told so."""
    assert expected in violations({**detection_finding(PLAIN), **change})


def test_a_new_alert_is_created_and_a_resolved_one_closed() -> None:
    """The activity and the status follow whether the sender says that it is over."""
    new = detection_finding(PLAIN)
    assert (new["type_uid"], new["status"], new["is_alert"]) == (200401, "New", True)
    closed = detection_finding(Alert(tenant=PLAIN.tenant, source="a", id=PLAIN.id, resolved=True))
    assert (closed["type_uid"], closed["status"], closed["is_alert"]) == (200403, "Resolved", False)


def test_the_verdict_stands_over_the_alert() -> None:
    """Severity and verdict are the effective ones, and who gave them is told."""
    event = detection_finding(PLAIN, VERDICT)
    assert (event["severity_id"], event["verdict"]) == (5, "True Positive")
    assert event["metadata"]["profiles"] == ["incident"]
    assert event["unmapped"] == {"verdict_given_by": "rules", "verdict_reasons": ["web shell"]}


def test_times_are_milliseconds() -> None:
    """OCSF counts time in milliseconds since 1970."""
    moment = datetime(2026, 11, 17, 8, 2, 49, 360_999, UTC)
    alert = Alert(tenant=PLAIN.tenant, source="a", id=PLAIN.id, time=moment, received_at=moment)
    assert detection_finding(alert)["time"] == 1_794_902_569_360


def test_raw_bytes_come_along_on_request() -> None:
    """The posted bytes are carried as text, their true size beside them."""
    event = detection_finding(PLAIN, raw=b'{"a":"\xff"}')
    assert (event["raw_data"], event["raw_data_size"]) == ('{"a":"\ufffd"}', 9)


def test_a_sub_technique_names_its_technique() -> None:
    """`T1110.001` is a sub-technique of `T1110`."""
    rule = Rule(mitre=("T1110.001", "T1078"))
    event = detection_finding(Alert(tenant=PLAIN.tenant, source="a", id=PLAIN.id, rule=rule))
    assert event["finding_info"]["attacks"] == [
        {"technique": {"uid": "T1110"}, "sub_technique": {"uid": "T1110.001"}},
        {"technique": {"uid": "T1078"}},
    ]


@pytest.fixture(scope="module")
def published() -> Validator:
    """The class as OCSF publishes it, compiled; 1.8.0 is the newest version that is packaged."""
    schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.8.0"))
    return Draft202012Validator(schemas.get_class_schema("detection_finding", ["incident"]))


@pytest.mark.parametrize("verdict", [None, VERDICT], ids=["unjudged", "judged"])
def test_export_fits_the_published_schema(published: Validator, verdict: Verdict | None) -> None:
    """The export of every sample alert validates against the schema that OCSF compiles."""
    for alert in read_body(Wazuh(), SAMPLES.read_bytes()):
        document = json.loads(json.dumps(detection_finding(alert, verdict)))
        assert [error.message for error in published.iter_errors(document)] == []


def test_published_schema_refuses_another_class(published: Validator) -> None:
    """The check can fail: a wrong class and a missing time are found."""
    document = json.loads(json.dumps(detection_finding(PLAIN, None)))
    document["class_uid"] = 2001
    del document["time"]
    messages = " ".join(error.message for error in published.iter_errors(document))
    assert "2004 was expected" in messages
    assert "'time' is a required property" in messages
