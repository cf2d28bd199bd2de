"""Whole Wazuh 3.x and 4.x alerts: one row per trap, and identity."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from ingest.sources.base import LONGEST_MESSAGE, MOST_OBSERVABLES
from ingest.sources.wazuh import Wazuh
from tests.reading import RECEIPT, RECEIVED, read
from tocsin.domain.alert import Agent, Alert
from tocsin.domain.severity import Severity
from tocsin.errors import NotAnAlert

WAZUH = Wazuh()


def an_alert(**changes: Any) -> dict[str, Any]:
    """A plain sshd alert; a change of None leaves that part out."""
    alert: dict[str, Any] = {
        "timestamp": "2026-11-17T08:02:49.360+0000",
        "rule": {
            "level": 5,
            "description": "sshd: Attempt to login using a non-existent user",
            "id": "5710",
            "mitre": {"id": ["T1110.001"], "tactic": ["Credential Access"], "technique": ["x"]},
            "firedtimes": 1,
            "mail": False,
            "groups": ["syslog", "sshd"],
        },
        "agent": {"id": "001", "name": "web-01", "ip": "10.20.1.11"},
        "manager": {"name": "wazuh-manager"},
        "id": "1794902569.104233",
        "full_log": "Invalid user oracle from 203.0.113.77 port 40112",
        "decoder": {"parent": "sshd", "name": "sshd"},
        "data": {"srcip": "203.0.113.77", "srcuser": "oracle"},
        "location": "/var/log/auth.log",
    }
    return {key: value for key, value in {**alert, **changes}.items() if value is not None}


def with_rule(**changes: Any) -> dict[str, Any]:
    """The same alert, its rule changed."""
    rule = {**an_alert()["rule"], **changes}
    return an_alert(rule={key: value for key, value in rule.items() if value is not None})


def with_data(**data: Any) -> dict[str, Any]:
    """The same alert with other decoded fields."""
    return an_alert(data=data)


def test_a_plain_alert() -> None:
    """Everything an alert says about itself is in its normalized form."""
    alert = read(WAZUH, an_alert())
    assert (alert.tenant, alert.source, alert.shape) == ("acme", "a-source", "alert")
    assert alert.source_event_id == "1794902569.104233"
    assert (alert.rule.id, alert.rule.mitre) == ("5710", ("T1110.001",))
    assert alert.rule.description == "sshd: Attempt to login using a non-existent user"
    assert alert.rule.groups == ("syslog", "sshd")
    assert (alert.level, alert.severity) == (5, Severity.LOW)
    assert alert.agent == Agent(id="001", name="web-01", ip="10.20.1.11")
    assert alert.source_address == "203.0.113.77"
    assert [(o.name, o.type, o.value) for o in alert.observables] == [
        ("data.srcip", "ip_address", "203.0.113.77"),
        ("data.srcuser", "user_name", "oracle"),
    ]
    assert alert.time == datetime(2026, 11, 17, 8, 2, 49, 360_000, UTC)
    assert alert.received_at == RECEIVED
    assert alert.location == "/var/log/auth.log"
    assert alert.message == "Invalid user oracle from 203.0.113.77 port 40112"
    assert not alert.resolved


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        pytest.param("2026-11-17T08:02:49.360+0000", "08:02:49.360000", id="4.x"),
        pytest.param("2026-11-17T10:02:49.360+0200", "08:02:49.360000", id="a manager in Berlin"),
        pytest.param("2026-11-17T04:02:49.360-0400", "08:02:49.360000", id="a manager in Boston"),
        pytest.param("2026-11-17T08:02:49+0000", "08:02:49", id="up to 3.2: no milliseconds"),
        pytest.param("2026-11-17T08:02:49.5+0000", "08:02:49.005000", id="3.3 to 3.9.3: 5 ms"),
        pytest.param("2026-11-17T08:02:49.45+0000", "08:02:49.045000", id="3.3 to 3.9.3: 45 ms"),
        pytest.param("2026-11-17T08:02:49.450+0000", "08:02:49.450000", id="450 ms"),
        pytest.param("2026-11-17T08:02:49.764000Z", "08:02:49.764000", id="logtest"),
        pytest.param("2026-11-17T08:02:49.347123+00:00", "08:02:49.347123", id="microseconds"),
        pytest.param("2026-11-17T08:02:49", "08:02:49", id="no zone is UTC"),
        pytest.param("yesterday", "", id="no time"),
        pytest.param("0001-01-01T00:00:00+0500", "", id="before the calendar"),
        pytest.param(17, "", id="a number"),
        pytest.param(None, "", id="missing"),
    ],
)
def test_timestamps_of_every_version(stamp: Any, expected: str) -> None:
    """Each version's way to write the time is read; what is no time is the time of receipt."""
    alert = read(WAZUH, an_alert(timestamp=stamp))
    assert alert.time.utcoffset() == timedelta()
    if not expected:
        assert alert.time == RECEIVED
    else:
        assert alert.time.time().isoformat() == expected


@pytest.mark.parametrize(
    ("stamp", "shipped", "expected"),
    [
        pytest.param(None, "2026-11-17T08:02:49.360Z", "08:02:49.360000", id="3.x by Logstash"),
        pytest.param(
            "2026-11-17T08:02:49.360+0000",
            "2026-11-17T08:03:00Z",
            "08:02:49.360000",
            id="4.x by Filebeat",
        ),
    ],
)
def test_the_shippers_time_stands_in_for_the_managers(
    stamp: str | None, shipped: str, expected: str
) -> None:
    """The 3.x pipeline of Logstash leaves only `@timestamp`; beside `timestamp` it says nothing."""
    alert = read(WAZUH, an_alert(timestamp=stamp, **{"@timestamp": shipped}))
    assert alert.time.time().isoformat() == expected


def test_alerts_that_only_their_shipper_dated_are_told_apart() -> None:
    """Without id and `timestamp`, `@timestamp` makes two alerts of the same words two alerts."""
    first, again, later = (
        read(WAZUH, an_alert(id=None, timestamp=None, **{"@timestamp": f"2026-11-17T08:{minute}Z"}))
        for minute in ("02:49", "02:49", "12:49")
    )
    assert first.id == again.id != later.id


@pytest.mark.parametrize(
    ("level", "expected", "severity"),
    [
        (None, 0, Severity.UNKNOWN),
        (0, 0, Severity.UNKNOWN),
        (1, 1, Severity.INFORMATIONAL),
        (3, 3, Severity.INFORMATIONAL),
        (4, 4, Severity.LOW),
        (6, 6, Severity.LOW),
        (7, 7, Severity.MEDIUM),
        (9, 9, Severity.MEDIUM),
        (10, 10, Severity.HIGH),
        (13, 13, Severity.HIGH),
        (14, 14, Severity.CRITICAL),
        (16, 16, Severity.CRITICAL),
        ("12", 12, Severity.HIGH),
        (12.0, 12, Severity.HIGH),
        (17, None, Severity.UNKNOWN),
        (-1, None, Severity.UNKNOWN),
        (True, None, Severity.UNKNOWN),
        ("high", None, Severity.UNKNOWN),
    ],
)
def test_levels(level: Any, expected: int | None, severity: Severity) -> None:
    """The level keeps its number and gets the severity of Wazuh's own table; a 0 is left out."""
    alert = read(WAZUH, with_rule(level=level))
    assert (alert.level, alert.severity) == (expected, severity)


@pytest.mark.parametrize(
    ("document", "field", "expected"),
    [
        pytest.param(with_rule(id=5710), "rule.id", "5710", id="rule id as a number"),
        pytest.param(with_rule(description=None), "rule.description", "", id="no description"),
        pytest.param(
            with_rule(groups=["windows", "\n      authentication_success", "\n    ", "windows"]),
            "rule.groups",
            ("windows", "authentication_success"),
            id="groups from sloppy XML",
        ),
        pytest.param(
            with_rule(groups="syslog,sshd,"), "rule.groups", ("syslog", "sshd"), id="groups as text"
        ),
        pytest.param(
            with_rule(mitre={"id": ["T1021", "T1021", "T1078"]}),
            "rule.mitre",
            ("T1021", "T1078"),
            id="techniques once each",
        ),
        pytest.param(with_rule(mitre=None), "rule.mitre", (), id="no mitre"),
        pytest.param(
            an_alert(agent={"id": "000", "name": "manager"}),
            "agent",
            Agent(id="000", name="manager"),
            id="the manager itself has no address",
        ),
        pytest.param(
            an_alert(agent={"id": "007", "ip": "any"}), "agent", Agent(id="007"), id="any address"
        ),
        pytest.param(
            an_alert(agent=None, agentless={"script": "x", "user": "u", "host": "fw-edge"}),
            "agent",
            Agent(name="fw-edge"),
            id="agentless",
        ),
        pytest.param(an_alert(agent=None), "agent", Agent(), id="no agent at all"),
        pytest.param(an_alert(decoder={}), "location", "/var/log/auth.log", id="empty decoder"),
        pytest.param(an_alert(data=None), "observables", (), id="no data"),
        pytest.param(an_alert(data="null"), "observables", (), id="data is text"),
        pytest.param(
            an_alert(full_log=None),
            "message",
            "sshd: Attempt to login using a non-existent user",
            id="no full_log: the description",
        ),
        pytest.param(
            an_alert(full_log=None, data={"win": {"system": {"message": '"A.\r\n\tB"'}}}),
            "message",
            "A.\r\n\tB",
            id="no full_log: Windows' own words, out of their quotes",
        ),
        pytest.param(an_alert(full_log="a\0b"), "message", "a\ufffdb", id="NUL"),
        pytest.param(
            an_alert(full_log="x" * 100_000), "message", "x" * LONGEST_MESSAGE, id="too long"
        ),
        pytest.param(
            an_alert(id=1794902569.5), "source_event_id", "1794902569.5", id="id a number"
        ),
        pytest.param(
            an_alert(id="1" * 17), "source_event_id", "1" * 17, id="id cut to 17 characters"
        ),
        pytest.param(an_alert(location=None), "location", "", id="no location"),
        pytest.param(an_alert(location=["x"]), "location", "", id="location is no text"),
    ],
)
def test_fields(document: dict[str, Any], field: str, expected: Any) -> None:
    """A field that is missing, of another type or overlong gives something sound."""
    value: Any = read(WAZUH, document)
    for step in field.split("."):
        value = getattr(value, step)
    assert value == expected


@pytest.mark.parametrize(
    ("document", "expected", "source_address"),
    [
        pytest.param(
            with_data(dstip="192.168.10.122:80"),
            ["ip_address:192.168.10.122"],
            "",
            id="an address with its port",
        ),
        pytest.param(
            with_data(srcip="2001:DB8::1"), ["ip_address:2001:db8::1"], "2001:db8::1", id="IPv6"
        ),
        pytest.param(
            with_data(srcip="[2001:db8::1]:443"),
            ["ip_address:2001:db8::1"],
            "2001:db8::1",
            id="IPv6 with its port",
        ),
        pytest.param(
            with_data(srcip="fe80::1%eth0"), ["ip_address:fe80::1"], "fe80::1", id="with its zone"
        ),
        pytest.param(
            with_data(srcip="::ffff:192.0.2.66"),
            ["ip_address:192.0.2.66"],
            "192.0.2.66",
            id="IPv4 in IPv6",
        ),
        pytest.param(
            with_data(srcip="scanner.Example.NET"),
            ["hostname:scanner.example.net"],
            "",
            id="a name where an address belongs",
        ),
        pytest.param(
            with_data(srcip="192.0.2.1, 198.51.100.2"),
            ["ip_address:192.0.2.1", "ip_address:198.51.100.2"],
            "192.0.2.1",
            id="a list of addresses",
        ),
        pytest.param(with_data(srcip="null", srcuser="NULL"), [], "", id="the word null"),
        pytest.param(with_data(srcip="", srcuser="-"), [], "", id="a dash"),
        pytest.param(with_data(srcip=None, srcuser=7, url=["x"]), ["url_string:x"], "", id="types"),
        pytest.param(with_data(srcip="999.1.1.1/x"), [], "", id="no address"),
        pytest.param(
            with_data(dstuser="root(uid=0)"), ["user_name:root"], "", id="a user with its uid"
        ),
        pytest.param(
            with_data(srcuser="a@shop.example.com"),
            ["email_address:a@shop.example.com"],
            "",
            id="a user who is an address",
        ),
        pytest.param(
            with_data(src_ip="192.0.2.9", dest_ip="10.0.0.1", http={"hostname": "shop.example"}),
            ["ip_address:192.0.2.9", "ip_address:10.0.0.1", "hostname:shop.example"],
            "192.0.2.9",
            id="Suricata",
        ),
        pytest.param(
            with_data(
                win={
                    "eventdata": {
                        "subjectUserName": "-",
                        "targetUserName": "j.meier",
                        "workstationName": "KALI",
                        "ipAddress": "192.0.2.66",
                    }
                }
            ),
            ["user_name:j.meier", "hostname:kali", "ip_address:192.0.2.66"],
            "192.0.2.66",
            id="Windows logon",
        ),
        pytest.param(
            with_data(win={"eventdata": {"hashes": f"SHA1={'A' * 40},MD5={'b' * 32},IMPHASH=0"}}),
            [f"hash:{'a' * 40}", f"hash:{'b' * 32}"],
            "",
            id="Sysmon hashes",
        ),
        pytest.param(
            an_alert(
                data=None,
                syscheck={"path": "/etc/passwd", "md5_after": "0" * 32, "sha256_after": "-"},
            ),
            ["file_name:/etc/passwd", f"hash:{'0' * 32}"],
            "",
            id="FIM",
        ),
        pytest.param(
            with_data(
                aws={
                    "service": {
                        "action": {
                            "portProbeAction": {
                                "portProbeDetails": [
                                    {"remoteIpDetails": {"ipAddressV4": "192.0.2.3"}},
                                    {"remoteIpDetails": {"ipAddressV4": "192.0.2.4"}},
                                ]
                            }
                        }
                    }
                }
            ),
            ["ip_address:192.0.2.3", "ip_address:192.0.2.4"],
            "192.0.2.3",
            id="an array on the way",
        ),
        pytest.param(
            an_alert(predecoder={"hostname": "192.0.2.7"}, data={"srcip": "192.0.2.7"}, agent=None),
            ["ip_address:192.0.2.7"],
            "192.0.2.7",
            id="once each, and still the source",
        ),
        pytest.param(with_data(url="x" * 2_000), [], "", id="overlong is no observable"),
        pytest.param(with_data(url="/a\0b"), ["url_string:/a\ufffdb"], "", id="NUL"),
    ],
)
def test_observables(document: dict[str, Any], expected: list[str], source_address: str) -> None:
    """What can be looked up elsewhere comes out typed and clean."""
    alert = read(WAZUH, document)
    assert [f"{o.type}:{o.value}" for o in alert.observables] == expected
    assert alert.source_address == source_address


def test_observables_are_bounded() -> None:
    """However many there are, an alert stays small."""
    users = [f"user{number}" for number in range(1_000)]
    assert len(read(WAZUH, with_data(srcuser=users)).observables) == MOST_OBSERVABLES


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (17, "no JSON object"),
        ("text", "no JSON object"),
        (None, "no JSON object"),
        ({}, "no `rule` object"),
        ({"rule": "5710"}, "no `rule` object"),
        ({"rule": {}}, "neither id nor description"),
        ({"rule": {"level": 3}}, "neither id nor description"),
        ({"all_fields": {"id": "1.2"}}, "no `rule` object"),
        ({"_source": {"agent": {}}}, "no `rule` object"),
        ({"attachments": [{"title": "a build is green"}]}, "no `rule` object"),
        ({"command": "add", "parameters": {"alert": {"rule": {"id": "1"}}}}, "no `rule` object"),
    ],
)
def test_what_is_no_alert_is_said_to_be_none(document: Any, reason: str) -> None:
    """JSON that is no Wazuh alert is refused with a reason for its quarantine."""
    with pytest.raises(NotAnAlert, match=reason):
        read(WAZUH, document)


def test_the_order_of_keys_does_not_matter() -> None:
    """An alert that was parsed and written again is still the same."""
    document = an_alert()
    backwards = {key: document[key] for key in reversed(document)}
    assert read(WAZUH, document).id == read(WAZUH, backwards).id


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(an_alert(manager={"name": "other-manager"}), id="another manager"),
        pytest.param(an_alert(cluster={"name": "wazuh", "node": "b"}), id="another node"),
        pytest.param(an_alert(id="1794902569.104234"), id="another id"),
        pytest.param(an_alert(full_log="Invalid user admin"), id="the same id, other content"),
        pytest.param(with_data(srcip="203.0.113.78"), id="another attacker"),
    ],
)
def test_different_alerts_have_different_ids(other: dict[str, Any]) -> None:
    """The sender's id is unique per node and day at best, so all of an alert counts."""
    assert read(WAZUH, other).id != read(WAZUH, an_alert()).id


def test_id_does_not_depend_on_the_receipt() -> None:
    """A redelivery hours later is the same alert."""
    later = replace(RECEIPT, received_at=RECEIVED + timedelta(hours=5))
    assert read(WAZUH, an_alert(), later).id == read(WAZUH, an_alert()).id


def _ids_over_an_hour(document: dict[str, Any]) -> tuple[str, str, str]:
    moments = (RECEIVED, RECEIVED + timedelta(minutes=9), RECEIVED + timedelta(hours=1))
    first, soon, later = (
        read(WAZUH, document, replace(RECEIPT, received_at=moment)) for moment in moments
    )
    return first.id, soon.id, later.id


def test_an_alert_without_id_and_time_is_new_every_hour() -> None:
    """What names neither itself nor its time is told apart by the hour it was received in."""
    first, soon, later = _ids_over_an_hour(an_alert(id=None, timestamp=None))
    assert first == soon != later


@pytest.mark.parametrize("missing", ["id", "timestamp"])
def test_an_id_or_a_time_is_enough(missing: str) -> None:
    """With either of them the hour of receipt plays no part."""
    assert len(set(_ids_over_an_hour(an_alert(**{missing: None})))) == 1


@pytest.mark.parametrize(("field", "value"), [("tenant", "other"), ("source", "other")])
def test_tenants_and_sources_have_ids_of_their_own(field: str, value: str) -> None:
    """The same alert of two tenants is two alerts."""
    other: Alert = read(WAZUH, an_alert(), replace(RECEIPT, **{field: value}))
    assert other.id != read(WAZUH, an_alert()).id
