"""Export as OCSF 1.9 Detection Finding (class 2004), https://schema.ocsf.io/1.9.0.

What OCSF has a name for stands there; the rest of the alert stands in `unmapped`. The verdict uses
the `incident` profile. Times are milliseconds since 1970.
"""

from datetime import datetime
from typing import Any

from tocsin.domain.alert import Agent, Alert, Observable, ObservableType
from tocsin.domain.observables import address
from tocsin.domain.verdict import Disposition, Verdict

VERSION = "1.9.0"

_CATEGORY, _CLASS = 2, 2004
_CREATE, _CLOSE = (1, "Create"), (3, "Close")
_NEW, _RESOLVED = (1, "New"), (4, "Resolved")
_RULE = (1, "Rule")

_OBSERVABLE_TYPES = {
    ObservableType.HOSTNAME: (1, "Hostname"),
    ObservableType.IP_ADDRESS: (2, "IP Address"),
    ObservableType.MAC_ADDRESS: (3, "MAC Address"),
    ObservableType.USER_NAME: (4, "User Name"),
    ObservableType.EMAIL_ADDRESS: (5, "Email Address"),
    ObservableType.URL: (6, "URL String"),
    ObservableType.FILE_NAME: (7, "File Name"),
    ObservableType.HASH: (8, "Hash"),
    ObservableType.PROCESS_NAME: (9, "Process Name"),
}

_VERDICTS = {
    Disposition.UNDECIDED: (0, "Unknown"),
    Disposition.MALICIOUS: (2, "True Positive"),
    Disposition.SUSPICIOUS: (4, "Suspicious"),
    Disposition.BENIGN: (5, "Benign"),
}


def detection_finding(
    alert: Alert, verdict: Verdict | None = None, *, raw: bytes | None = None
) -> dict[str, Any]:
    """Write an alert as an OCSF Detection Finding.

    Args:
        alert: The alert.
        verdict: Its effective verdict, whose severity then stands for the alert's own.
        raw: The bytes the sender posted, to carry along as `raw_data`.

    Returns:
        A JSON object; attributes without a value are left out.
    """
    activity_id, activity = _CLOSE if alert.resolved else _CREATE
    status_id, status = _RESOLVED if alert.resolved else _NEW
    severity = verdict.severity if verdict else alert.severity
    return _present(
        activity_id=activity_id,
        activity_name=activity,
        category_uid=_CATEGORY,
        category_name="Findings",
        class_uid=_CLASS,
        class_name="Detection Finding",
        type_uid=_CLASS * 100 + activity_id,
        type_name=f"Detection Finding: {activity}",
        time=_milliseconds(alert.time),
        severity_id=severity.id,
        severity=severity.caption,
        status_id=status_id,
        status=status,
        is_alert=not alert.resolved,
        message=alert.message,
        metadata=_metadata(alert, verdict),
        finding_info=_finding_info(alert),
        device=_device(alert.agent),
        evidences=_evidences(alert),
        observables=[_observable(observable) for observable in alert.observables],
        unmapped=_unmapped(alert, verdict),
        **_verdict(verdict),
        **_raw_data(raw),
    )


def _metadata(alert: Alert, verdict: Verdict | None) -> dict[str, Any]:
    return _present(
        version=VERSION,
        product={"name": "tocsin", "vendor_name": "tocsin"},
        profiles=["incident"] if verdict else [],
        uid=alert.id,
        original_event_uid=alert.source_event_id,
        tenant_uid=alert.tenant,
        log_provider=alert.source,
        log_name=alert.location,
        logged_time=_milliseconds(alert.received_at),
    )


def _finding_info(alert: Alert) -> dict[str, Any]:
    type_id, type_name = _RULE
    rule = _present(uid=alert.rule.id, name=alert.rule.description)
    return _present(
        uid=alert.id,
        title=alert.rule.description or alert.rule.id,
        desc=alert.message,
        created_time=_milliseconds(alert.time),
        types=list(alert.rule.groups),
        attacks=[_attack(technique) for technique in alert.rule.mitre],
        analytic={**rule, "type_id": type_id, "type": type_name} if rule else None,
    )


def _attack(technique: str) -> dict[str, Any]:
    parent, dot, _ = technique.partition(".")
    attack = {"technique": {"uid": parent or technique}}
    return {**attack, "sub_technique": {"uid": technique}} if dot and parent else attack


def _device(agent: Agent) -> dict[str, Any] | None:
    device = _present(uid=agent.id, name=agent.name, ip=address(agent.ip))
    return {**device, "type_id": 0, "type": "Unknown"} if device else None


def _evidences(alert: Alert) -> list[dict[str, Any]]:
    return [{"src_endpoint": {"ip": alert.source_address}}] if alert.source_address else []


def _observable(observable: Observable) -> dict[str, Any]:
    type_id, caption = _OBSERVABLE_TYPES[observable.type]
    return {
        "name": observable.name,
        "type_id": type_id,
        "type": caption,
        "value": observable.value,
    }


def _verdict(verdict: Verdict | None) -> dict[str, Any]:
    if verdict is None:
        return {}
    verdict_id, caption = _VERDICTS[verdict.disposition]
    return {"verdict_id": verdict_id, "verdict": caption}


def _unmapped(alert: Alert, verdict: Verdict | None) -> dict[str, Any]:
    return _present(
        shape=alert.shape,
        level=alert.level,
        sender_severity=alert.sender_severity,
        verdict_given_by=verdict.given_by.value if verdict else None,
        verdict_reasons=list(verdict.reasons) if verdict else [],
    )


def _raw_data(raw: bytes | None) -> dict[str, Any]:
    if raw is None:
        return {}
    return {"raw_data": raw.decode(errors="replace"), "raw_data_size": len(raw)}


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _present(**attributes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """The attributes that have a value; 0 and False are values."""
    return {key: value for key, value in attributes.items() if value not in (None, "", [], {})}
