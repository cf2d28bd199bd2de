"""The shapes in which Wazuh alerts travel, and which of them are the same alert."""

import json
from pathlib import Path
from typing import Any

import pytest

from ingest.sources.base import MOST_BUNDLED
from ingest.sources.wazuh import Wazuh
from tests.reading import read, read_body
from tests.unit.test_sources_wazuh import an_alert
from tocsin.domain.alert import Agent
from tocsin.domain.severity import Severity
from tocsin.errors import TooLarge

WAZUH = Wazuh()
TEMPLATE = Path(__file__).parents[2] / "integrations" / "wazuh" / "wazuh5-monitor.mustache.json"


def shuffle(alert: dict[str, Any]) -> dict[str, Any]:
    """The envelope of the built-in `shuffle` sender."""
    return {
        "severity": 2,
        "pretext": "WAZUH Alert",
        "title": alert["rule"]["description"],
        "text": alert.get("full_log"),
        "rule_id": alert["rule"]["id"],
        "timestamp": alert["timestamp"],
        "id": alert["id"],
        "all_fields": alert,
    }


def pagerduty(alert: dict[str, Any]) -> dict[str, Any]:
    """The body of the built-in `pagerduty` sender."""
    return {
        "routing_key": "r",
        "event_action": "trigger",
        "payload": {"summary": "s", "severity": "warning", "custom_details": alert},
        "client": "Wazuh",
    }


def hit(source: dict[str, Any]) -> dict[str, Any]:
    """A search hit."""
    return {
        "_index": "wazuh-alerts-4.x-2026.11.17",
        "_id": "LUAtjp4BCf0Lqs7QkDzK",
        "_score": None,
        "_source": source,
        "fields": {"timestamp": ["2026-11-17T08:02:49.360Z"]},
        "sort": [1794902569360],
    }


SHIPPED = {
    "@timestamp": "2026-11-17T08:02:49.360Z",
    "@version": "1",
    "GeoLocation": {"country_name": "Nowhere", "location": {"lat": 1.5, "lon": 2.0}},
    "input": {"type": "log"},
    "ecs": {"version": "1.6.0"},
    "host": {"name": "wazuh-manager"},
    "fields": {"index_prefix": "wazuh-alerts-4.x-"},
    "log": {"offset": 17, "file": {"path": "/var/ossec/logs/alerts/alerts.json"}},
    "tags": ["beats_input_codec_plain_applied"],
}
FILEBEAT_AGENT = {"ephemeral_id": "e", "hostname": "h", "type": "filebeat", "version": "7.10.2"}
AWS = {"awsRegion": "eu-central-1", "aws_account_id": "1", "sourceIPAddress": "192.0.2.1"}


@pytest.mark.parametrize(
    ("alert", "carried"),
    [
        pytest.param(an_alert(), shuffle(an_alert()), id="shuffle"),
        pytest.param(an_alert(), {**shuffle(an_alert()), "more": 1}, id="shuffle with options"),
        pytest.param(an_alert(), pagerduty(an_alert()), id="pagerduty"),
        pytest.param(an_alert(), hit(an_alert()), id="hit"),
        pytest.param(an_alert(), hit({**an_alert(), **SHIPPED}), id="hit as Filebeat ships it"),
        pytest.param(an_alert(), {**an_alert(), **SHIPPED}, id="Logstash's http output"),
        pytest.param(
            an_alert(),
            hit(an_alert(agent={**an_alert()["agent"], **FILEBEAT_AGENT})),
            id="agent merged with Filebeat's",
        ),
        pytest.param(
            an_alert(agent=None, agentless={"host": "fw"}),
            hit(an_alert(agent={"id": "f", **FILEBEAT_AGENT}, agentless={"host": "fw"})),
            id="agentless, with Filebeat's agent",
        ),
        pytest.param(
            an_alert(data={"aws": AWS}),
            hit(an_alert(data={"aws": {**AWS, "region": "eu-central-1", "accountId": "1"}})),
            id="copies made by the ingest pipeline",
        ),
        pytest.param(
            an_alert(number=3, half=0.5), an_alert(number=3.0, half=0.50), id="numbers rewritten"
        ),
    ],
)
def test_the_same_alert_has_one_id(alert: dict[str, Any], carried: dict[str, Any]) -> None:
    """Every shape that carries the whole alert gives its identity, and reads the same."""
    direct, through = read(WAZUH, alert), read(WAZUH, carried)
    assert through.id == direct.id
    assert (through.rule, through.agent, through.time) == (direct.rule, direct.agent, direct.time)
    assert through.observables == direct.observables


def test_shapes_are_named() -> None:
    """An alert says in which shape it came."""
    carriers = (an_alert(), shuffle(an_alert()), pagerduty(an_alert()), hit(an_alert()))
    shapes = [read(WAZUH, document).shape for document in carriers]
    assert shapes == ["alert", "shuffle", "pagerduty", "hit"]


SLACK = {
    "attachments": [
        {
            "color": "warning",
            "pretext": "WAZUH Alert",
            "title": "PAM: User login failed.",
            "text": "Nov 17 08:05:21 web-01 sshd[20377]: pam_unix",
            "fields": [
                {"title": "Agent", "value": "(000) - user-0"},
                {"title": "Location", "value": "/var/log/auth.log"},
                {"title": "Rule ID", "value": "5503 _(Level 5)_"},
            ],
            "ts": "1794902721.118007",
        }
    ]
}


def test_a_slack_digest_is_read_from_its_text() -> None:
    """Rule, level and agent stand in words; the time is that of the sender's id."""
    alert = read(WAZUH, SLACK)
    assert (alert.shape, alert.rule.id, alert.level) == ("slack", "5503", 5)
    assert (alert.severity, alert.agent) == (Severity.LOW, Agent(id="000", name="user-0"))
    assert alert.rule.description == "PAM: User login failed."
    assert alert.message == "Nov 17 08:05:21 web-01 sshd[20377]: pam_unix"
    assert alert.location == "/var/log/auth.log"
    assert alert.time.isoformat() == "2026-11-17T08:05:21+00:00"


def test_a_digest_has_an_id_of_its_own_and_names_its_alert() -> None:
    """A digest is no duplicate of the alert it tells of, and is linked to it by the sender's id."""
    whole = read(WAZUH, an_alert(id="1794902721.118007"))
    digest = read(WAZUH, SLACK)
    assert digest.id != whole.id
    assert digest.source_event_id == whole.source_event_id


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([{"title": "Rule ID", "value": "5503"}], id="no level"),
        pytest.param([{"title": "Rule ID", "value": "5503 _(Level x)_"}, 7, {}], id="odd fields"),
    ],
)
def test_a_slack_digest_with_less_in_it(fields: list[Any]) -> None:
    """What a digest does not say stays empty."""
    alert = read(WAZUH, {"attachments": [{"fields": fields, "title": "t"}]})
    assert (alert.rule.id, alert.level, alert.agent) == ("5503", None, Agent())
    assert alert.message == "t"


def test_an_agentless_slack_digest_names_the_host() -> None:
    """An agentless device stands in a field of its own."""
    fields = [{"title": "Agentless Host", "value": "fw"}, {"title": "Rule ID", "value": "555"}]
    assert read(WAZUH, {"attachments": [{"fields": fields}]}).agent == Agent(name="fw")


def test_a_digest_in_lines() -> None:
    """A digest with a field per line is read, its odd zone too."""
    alert = read(
        WAZUH,
        {
            "message": "A package was installed.",
            "severity": "info",
            "description": "Rule ID 2902\nLevel 7\nAgent ID 001\nAgent Name web\nTitle A package"
            " was installed.\nFull Log 2026-11-17 08:00:00 status installed\nrsync\n",
            "created_at": "2026-11-17T09:00:00.853014+01.00",
        },
    )
    assert (alert.rule.id, alert.level, alert.severity) == ("2902", 7, Severity.MEDIUM)
    assert (alert.agent, alert.sender_severity) == (Agent(id="001", name="web"), "info")
    assert alert.message == "2026-11-17 08:00:00 status installed\nrsync"
    assert alert.time.isoformat() == "2026-11-17T08:00:00.853014+00:00"


FINDING = {
    "@timestamp": "2026-11-17T08:14:02.551Z",
    "event": {"original": 'Failed "password" for root', "kind": "alert", "id": "e-1"},
    "source": {"ip": "203.0.113.9", "port": 4711},
    "user": {"name": "root"},
    "file": {"path": "/etc/shadow", "hash": {"sha256": "A" * 64}},
    "wazuh": {
        "rule": {
            "id": "0b7c7f5e-5a3e-4b7b-9f0a-3f0a5a3e4b7b",
            "title": "SSH brute force",
            "level": "high",
            "tags": ["attack.credential-access", "attack.t1110"],
            "mitre": {"technique": ["T1110"], "subtechnique": ["T1110.001"], "tactic": ["TA0006"]},
        },
        "agent": {"id": "002", "name": "rocky-8", "host": {"hostname": "rocky-8.example"}},
        "integration": {"name": "sshd"},
        "protocol": {"location": "/var/log/secure"},
    },
}


def test_a_finding_of_wazuh_5() -> None:
    """A finding is read from the Wazuh Common Schema."""
    alert = read(WAZUH, FINDING)
    assert (alert.shape, alert.source_event_id) == ("finding", "e-1")
    assert (alert.rule.description, alert.rule.mitre) == ("SSH brute force", ("T1110", "T1110.001"))
    assert (alert.sender_severity, alert.severity, alert.level) == ("high", Severity.HIGH, None)
    assert alert.agent == Agent(id="002", name="rocky-8")
    assert (alert.source_address, alert.location) == ("203.0.113.9", "/var/log/secure")
    assert [o.type for o in alert.observables] == ["ip_address", "user_name", "file_name", "hash"]
    assert alert.message == 'Failed "password" for root'


@pytest.mark.parametrize(
    "mitre", [{"technique": {"id": ["T1"]}}, {"id": "T1"}, {"technique": "T1"}]
)
def test_techniques_in_every_form_seen(mitre: dict[str, Any]) -> None:
    """The techniques of a finding stand in one of several places."""
    rule = {**FINDING["wazuh"]["rule"], "mitre": mitre}  # type: ignore[index]
    document = {**FINDING, "wazuh": {"rule": rule}}
    assert read(WAZUH, document).rule.mitre == ("T1",)


def test_our_template_for_wazuh_5_monitors_renders_to_findings() -> None:
    """Each hit in a monitor's message by our template is an event with the document's identity."""
    hits = [{**hit(FINDING), "_id": "a"}, {**hit(FINDING), "_id": "b"}, hit(an_alert())]
    body = (
        TEMPLATE.read_text()
        .replace("{{#toJson}}ctx.results.0.hits.hits{{/toJson}}", json.dumps(hits))
        .replace("{{ctx.monitor.name}}", 'the \\"monitor\\"')
        .replace("{{ctx.trigger.name}}", "the trigger")
    )
    assert "{{" not in body
    first, second, third = read_body(WAZUH, body.encode())
    assert [first.source_event_id, second.source_event_id] == ["a", "b"]
    assert first.id == read(WAZUH, {**hit(FINDING), "_id": "a"}).id != second.id
    assert third.id == read(WAZUH, an_alert()).id


def test_a_search_response_is_its_hits() -> None:
    """The answer of a search can be posted as it is."""
    response = {"took": 3, "hits": {"total": {"value": 2}, "hits": [hit(an_alert()), hit(FINDING)]}}
    assert [alert.shape for alert in read_body(WAZUH, json.dumps(response).encode())] == [
        "hit",
        "hit",
    ]


def test_a_bundle_is_bounded() -> None:
    """One JSON value cannot become more events than a body may have."""
    body = json.dumps({"hits": [{}] * (MOST_BUNDLED + 1)}).encode()
    with pytest.raises(TooLarge):
        read_body(WAZUH, body)
