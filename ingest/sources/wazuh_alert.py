"""A whole Wazuh 3.x or 4.x alert, as `alerts.json` has it (W:src/analysisd/format/to_json.c)."""

from datetime import datetime
from typing import Any

from ingest.sources.base import Reading
from ingest.sources.fields import child, instant, integer, text, texts
from ingest.sources.harvest import Harvest
from ingest.sources.wazuh_fields import ATTACKER_PATHS, OBSERVABLE_PATHS
from tocsin.domain.alert import Agent, Observable, ObservableType, Rule
from tocsin.domain.severity import from_wazuh_level
from tocsin.errors import NotAnAlert

HIGHEST_LEVEL = 16
_HARVEST = Harvest(OBSERVABLE_PATHS)
_PADDED = 3

_SHIPPED_TIME = "@timestamp"
_SHIPPER_KEYS = frozenset(
    {
        _SHIPPED_TIME,
        "@version",
        "GeoLocation",
        "beat",
        "count",
        "ecs",
        "event",
        "fields",
        "fileset",
        "host",
        "input",
        "input_type",
        "log",
        "message",
        "offset",
        "prospector",
        "service",
        "source",
        "tags",
        "type",
    }
)
"""Top-level keys of Filebeat, Logstash and the indexer's pipeline; Wazuh writes none of them."""

_SHIPPER_AGENT_KEYS = frozenset({"ephemeral_id", "hostname", "type", "version"})
_AWS_COPIES = (("region", "awsRegion"), ("accountId", "aws_account_id"))


def read_alert(alert: dict[str, Any], shape: str) -> Reading:
    """Read a whole alert; its identity is all of it but what shippers add on the way.

    Raises:
        NotAnAlert: Its rule says neither which it is nor what it found.
    """
    rule = child(alert, "rule")
    rule_id, description = text(rule.get("id")), text(rule.get("description"))
    if not rule_id and not description:
        raise NotAnAlert("The Wazuh alert's rule has neither id nor description")
    level = integer(rule.get("level", 0), 0, HIGHEST_LEVEL)
    observables = _HARVEST.observables(alert)
    return Reading(
        identity=("alert", essence(alert)),
        source_event_id=text(alert.get("id")),
        shape=shape,
        rule=Rule(
            id=rule_id,
            description=description,
            groups=texts(rule.get("groups")),
            mitre=texts(child(rule, "mitre").get("id")),
        ),
        level=level,
        severity=from_wazuh_level(level),
        agent=_agent(alert),
        observables=observables,
        source_address=_attacker(observables),
        time=_time(alert),
        location=text(alert.get("location")),
        message=_message(alert) or description,
    )


def essence(alert: dict[str, Any]) -> dict[str, Any]:
    """The alert as the manager wrote it, without what Filebeat, Logstash or the indexer added."""
    kept = {key: value for key, value in alert.items() if key not in _SHIPPER_KEYS}
    if _SHIPPED_TIME in alert and not alert.get("timestamp"):
        kept[_SHIPPED_TIME] = alert[_SHIPPED_TIME]
    agent = child(alert, "agent")
    if not _SHIPPER_AGENT_KEYS.isdisjoint(agent):
        kept["agent"] = {k: v for k, v in agent.items() if k not in _SHIPPER_AGENT_KEYS}
        if "agentless" in alert:
            del kept["agent"]
    aws = child(alert, "data", "aws")
    copies = [
        copy for copy, original in _AWS_COPIES if copy in aws and aws[copy] == aws.get(original)
    ]
    if copies:
        pruned = {key: value for key, value in aws.items() if key not in copies}
        kept["data"] = {**alert["data"], "aws": pruned}
    return kept


def wazuh_instant(stamp: str) -> datetime | None:
    """Read a Wazuh `timestamp` of any version.

    Versions 3.3 to 3.9.3 wrote milliseconds without padding: `.5+0000` is 5 ms.
    """
    whole, point, fraction = stamp.partition(".")
    digits = len(fraction) - len(fraction.lstrip("0123456789"))
    if point and digits < _PADDED:
        stamp = f"{whole}.{fraction[:digits]:0>{_PADDED}}{fraction[digits:]}"
    return instant(stamp)


def _time(alert: dict[str, Any]) -> datetime | None:
    """When it happened; the 3.x pipeline of Logstash puts `@timestamp` in place of `timestamp`."""
    if stamp := alert.get("timestamp"):
        return wazuh_instant(text(stamp))
    return instant(alert.get(_SHIPPED_TIME))


def _agent(alert: dict[str, Any]) -> Agent:
    if device := child(alert, "agentless"):
        return Agent(name=text(device.get("host")))
    agent = child(alert, "agent")
    ip = text(agent.get("ip"))
    return Agent(
        id=text(agent.get("id")),
        name=text(agent.get("name")),
        ip="" if ip == "any" else ip,
    )


def _message(alert: dict[str, Any]) -> str:
    windows = text(child(alert, "data", "win", "system").get("message"))
    return text(alert.get("full_log")) or windows.strip('"')


def _attacker(observables: tuple[Observable, ...]) -> str:
    return next(
        (
            observable.value
            for observable in observables
            if observable.type is ObservableType.IP_ADDRESS and observable.name in ATTACKER_PATHS
        ),
        "",
    )
