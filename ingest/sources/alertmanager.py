"""Prometheus Alertmanager: the body of its `webhook_config`, version 4, and what resembles it.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. Grafana's unified
alerting and the older version 3 send the same `alerts` array.
"""

from datetime import datetime
from typing import Any

from ingest.sources.base import Reading, Source
from ingest.sources.fields import child, instant, text
from ingest.sources.harvest import Harvest
from tocsin.domain.alert import Agent, ObservableType, Rule
from tocsin.domain.observables import address
from tocsin.domain.severity import from_word
from tocsin.errors import NotAnAlert

_HOST_LABELS = ("instance", "host", "hostname", "node", "nodename")
_RULE_LABELS = frozenset({"alertname", "severity"})
_TITLE_ANNOTATIONS = ("summary", "title")
_MESSAGE_ANNOTATIONS = ("description", "message", "summary")
_HARVEST = Harvest(
    {
        **{f"labels.{label}": ObservableType.HOSTNAME for label in _HOST_LABELS},
        "generatorURL": ObservableType.URL,
    }
)


class Alertmanager(Source):
    """Alertmanager's webhook: a notification bundles the alerts of one group."""

    bundles = (("alerts",),)

    def parse(self, document: Any) -> Reading:  # noqa: ANN401 - JSON
        """Read the one alert of a body."""
        _, alerts = self._bundled(document)
        alert = alerts[0] if alerts else None
        if not isinstance(alert, dict) or not (labels := child(alert, "labels")):
            raise NotAnAlert("It has no `alerts` array of alerts with labels")
        return _read(alert, labels, text(alert.get("status")) or text(document.get("status")))


def _read(alert: dict[str, Any], labels: dict[str, Any], status: str) -> Reading:
    annotations = child(alert, "annotations")
    fingerprint = text(alert.get("fingerprint"))
    name = text(labels.get("alertname"))
    resolved = status == "resolved"
    title = _first(annotations, _TITLE_ANNOTATIONS)
    word = text(labels.get("severity"))
    return Reading(
        identity=("alert", fingerprint or labels, text(alert.get("startsAt")), status),
        source_event_id=fingerprint,
        shape="alertmanager",
        rule=Rule(
            id=name,
            description=title or name,
            groups=tuple(
                f"{key}={text(value)}"
                for key, value in sorted(labels.items())
                if key not in _RULE_LABELS
            ),
        ),
        sender_severity=word,
        severity=from_word(word),
        agent=_agent(labels),
        observables=_HARVEST.observables(alert),
        time=_time(alert, resolved=resolved),
        location=text(labels.get("job")) or text(alert.get("generatorURL")),
        message=_first(annotations, _MESSAGE_ANNOTATIONS) or title or name,
        resolved=resolved,
    )


def _first(mapping: dict[str, Any], keys: tuple[str, ...]) -> str:
    return next((found for found in (text(mapping.get(key)) for key in keys) if found), "")


def _agent(labels: dict[str, Any]) -> Agent:
    instance = _first(labels, _HOST_LABELS)
    return Agent(name=instance, ip=address(instance))


def _time(alert: dict[str, Any], *, resolved: bool) -> datetime | None:
    """When it started, or when it ended; a firing alert's `endsAt` is only its time-out."""
    ended = instant(alert.get("endsAt")) if resolved else None
    return ended or instant(alert.get("startsAt"))
