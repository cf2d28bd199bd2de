"""Real alerts of senders that nobody here wrote."""

import json
from pathlib import Path

import pytest

from ingest.sources.alertmanager import Alertmanager
from ingest.sources.wazuh import Wazuh
from tests.reading import read, read_body
from tests.realdata import real
from tocsin.domain.alert import Alert
from tocsin.errors import NotAnAlert

WAZUH = Wazuh()


def _aecid() -> list[Alert]:
    path = real("copyleft", "ait-aecid-wazuh-alerts", "ossec_spiral.json")
    return read_body(WAZUH, path.read_bytes())


def _captured(sender: str) -> list[Path]:
    return sorted(real("copyleft", "captured-wazuh-sender-requests").glob(f"*-{sender}.http"))


def _body(request: Path) -> bytes:
    return request.read_bytes().partition(b"\r\n\r\n")[2]


def test_all_865_alerts_are_read() -> None:
    """Every real alert is one, has an id of its own, and says where, when and what."""
    alerts = _aecid()
    assert len(alerts) == 865
    assert len({alert.id for alert in alerts}) == 865
    assert all(alert.rule.id and alert.level and alert.location for alert in alerts)
    assert {alert.time.year for alert in alerts} == {2020}
    assert sum(bool(alert.source_address) for alert in alerts) >= 600


def test_reading_them_again_gives_the_same_ids() -> None:
    """Identity does not depend on when or how often an alert is read."""
    assert [alert.id for alert in _aecid()] == [alert.id for alert in _aecid()]


def test_captured_shuffle_requests_are_their_alerts() -> None:
    """What the real shuffle sender posts has the identity of the alert it was given."""
    ids = {alert.id for alert in _aecid()}
    requests = _captured("shuffle")
    assert len(requests) == 12
    for request in requests:
        (alert,) = read_body(WAZUH, _body(request))
        assert (alert.shape, alert.id in ids) == ("shuffle", True)


def test_captured_slack_requests_are_linked_to_their_alerts() -> None:
    """What the real slack sender posts names the alert that it tells of."""
    whole = {alert.source_event_id: alert for alert in _aecid()}
    requests = _captured("slack")
    assert len(requests) == 12
    for request in requests:
        (digest,) = read_body(WAZUH, _body(request))
        alert = whole[digest.source_event_id]
        assert digest.id != alert.id
        assert (digest.rule.id, digest.level) == (alert.rule.id, alert.level)
        assert (digest.agent, digest.location) == (alert.agent, alert.location)


def test_documented_hits_are_read() -> None:
    """Indexed alerts of Wazuh's documentation are alerts; other documents of it are not."""
    blocks = sorted(real("copyleft", "wazuh-docs-json-blocks").glob("*.json"))
    read_as: dict[str, int] = {}
    for block in blocks:
        document = json.loads(block.read_bytes())
        try:
            shape = read(WAZUH, document).shape
        except NotAnAlert:
            shape = "none"
        read_as[shape] = read_as.get(shape, 0) + 1
        assert (shape == "hit") == document.get("_index", "").startswith("wazuh-alerts-")
    assert read_as == {"hit": 4, "finding": 4, "none": 10}


def test_a_widely_copied_custom_digest_is_read() -> None:
    """The digest of an open-source custom integration is understood."""
    alert = read(WAZUH, real("keep-provider-mocks", "wazuh_provider.ALERTS.json").read_bytes())
    assert (alert.rule.id, alert.level, alert.agent.name) == ("2902", 7, "test")
    assert alert.time.isoformat() == "2025-02-03T20:41:42.853014+00:00"


def test_a_real_alertmanager_notification_is_read() -> None:
    """A webhook body from another project's tests is an alert."""
    path = real("alerta-webhooks", "prometheus_v4_alert.txt")
    (alert,) = read_body(Alertmanager(), path.read_bytes())
    assert (alert.rule.id, alert.sender_severity) == ("thing_dead", "critical")
    assert alert.time.isoformat() == "2017-08-03T19:17:37.804000+00:00"


@pytest.mark.parametrize("name", ["grafana_6.txt", "pingdom_up.txt", "pagerduty_alert.txt"])
def test_bodies_of_other_senders_are_no_alerts(name: str) -> None:
    """What another kind of sender posts is refused by each source with a reason."""
    body = real("alerta-webhooks", name).read_bytes()
    for source in (WAZUH, Alertmanager()):
        with pytest.raises(NotAnAlert):
            read_body(source, body)
