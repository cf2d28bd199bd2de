"""OCSF 1.9.0 Detection Finding as published, as far as our export uses it.

Transcribed from https://github.com/ocsf/ocsf-schema, tag v1.9.0: `events/base_event.json`,
`events/findings/finding.json`, `events/findings/detection_finding.json`, `profiles/incident.json`,
`dictionary.json` and the objects named below. Every required attribute of the class and of these
objects is here, and every value of the class's own enumerations. Optional attributes, and values
of the objects' enumerations, that the export does not use are left out, so that using one fails
until it is transcribed.
"""

import re
from collections.abc import Iterator
from typing import Any

ACTIVITIES = {0: "Unknown", 1: "Create", 2: "Update", 3: "Close", 99: "Other"}
SEVERITIES = {
    0: "Unknown",
    1: "Informational",
    2: "Low",
    3: "Medium",
    4: "High",
    5: "Critical",
    6: "Fatal",
    99: "Other",
}
STATUSES = {
    0: "Unknown",
    1: "New",
    2: "In Progress",
    3: "Suppressed",
    4: "Resolved",
    5: "Archived",
    6: "Deleted",
    99: "Other",
}
VERDICTS = {
    0: "Unknown",
    1: "False Positive",
    2: "True Positive",
    3: "Disregard",
    4: "Suspicious",
    5: "Benign",
    6: "Test",
    7: "Insufficient Data",
    8: "Security Risk",
    9: "Managed Externally",
    10: "Duplicate",
    99: "Other",
}
# The observable types whose value is a string that stands for itself.
OBSERVABLE_TYPES = {
    0: "Unknown",
    1: "Hostname",
    2: "IP Address",
    3: "MAC Address",
    4: "User Name",
    5: "Email Address",
    6: "URL String",
    7: "File Name",
    8: "Hash",
    9: "Process Name",
    10: "Resource UID",
    99: "Other",
}
ANALYTIC_TYPES = {0: "Unknown", 1: "Rule", 2: "Behavioral", 3: "Statistical", 99: "Other"}
DEVICE_TYPES = {0: "Unknown", 1: "Server", 2: "Desktop", 3: "Laptop", 99: "Other"}

# Attribute -> type: a Python type, the name of an object, `[...]` for an array, or an enumeration.
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "detection_finding": {
        "activity_id": ACTIVITIES,
        "activity_name": str,
        "category_name": str,
        "category_uid": {2: "Findings"},
        "class_name": str,
        "class_uid": {2004: "Detection Finding"},
        "device": "device",
        "evidences": ["evidences"],
        "finding_info": "finding_info",
        "is_alert": bool,
        "message": str,
        "metadata": "metadata",
        "observables": ["observable"],
        "raw_data": str,
        "raw_data_size": int,
        "severity": str,
        "severity_id": SEVERITIES,
        "status": str,
        "status_id": STATUSES,
        "time": int,
        "type_name": str,
        "type_uid": {
            200400 + number: f"Detection Finding: {name}" for number, name in ACTIVITIES.items()
        },
        "unmapped": dict,
        "verdict": str,
        "verdict_id": VERDICTS,
    },
    "metadata": {
        "log_name": str,
        "log_provider": str,
        "logged_time": int,
        "original_event_uid": str,
        "product": "product",
        "profiles": [str],
        "tenant_uid": str,
        "uid": str,
        "version": str,
    },
    "product": {"name": str, "vendor_name": str, "uid": str, "version": str},
    "finding_info": {
        "analytic": "analytic",
        "attacks": ["attack"],
        "created_time": int,
        "desc": str,
        "title": str,
        "types": [str],
        "uid": str,
    },
    "analytic": {"name": str, "uid": str, "type": str, "type_id": ANALYTIC_TYPES},
    "attack": {"technique": "technique", "sub_technique": "technique"},
    "technique": {"name": str, "uid": str},
    "observable": {"name": str, "type": str, "type_id": OBSERVABLE_TYPES, "value": str},
    "device": {"ip": str, "name": str, "type": str, "type_id": DEVICE_TYPES, "uid": str},
    "evidences": {"src_endpoint": "network_endpoint"},
    "network_endpoint": {"ip": str},
}
REQUIRED = {
    "detection_finding": {
        "activity_id",
        "category_uid",
        "class_uid",
        "finding_info",
        "metadata",
        "severity_id",
        "time",
        "type_uid",
    },
    "metadata": {"product", "version"},
    "finding_info": {"uid"},
    "analytic": {"type_id"},
    "observable": {"type_id"},
    "device": {"type_id"},
}
AT_LEAST_ONE = {
    "product": {"name", "uid"},
    "analytic": {"name", "uid"},
    "attack": {"tactic", "technique", "sub_technique"},
    "technique": {"name", "uid"},
    "device": {"ip", "uid", "name", "hostname"},
    "evidences": {"src_endpoint"},
    "network_endpoint": {"ip"},
}
# The caption that belongs to an enumerated attribute stands in its sibling.
SIBLINGS = {
    "activity_id": "activity_name",
    "category_uid": "category_name",
    "class_uid": "class_name",
    "severity_id": "severity",
    "status_id": "status",
    "type_uid": "type_name",
    "verdict_id": "verdict",
    "type_id": "type",
}
PROFILES = {"verdict_id": "incident", "verdict": "incident"}
PATTERNS = {"ip": re.compile(r"[0-9a-f:.]+")}


def violations(event: dict[str, Any]) -> list[str]:
    """Everything in which an event departs from the schema."""
    found = list(_object("detection_finding", event, "event"))
    applied = event.get("metadata", {}).get("profiles", [])
    found += [
        f"{name} needs the profile {profile}"
        for name, profile in PROFILES.items()
        if name in event and profile not in applied
    ]
    return found


def _object(kind: str, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} is no object"
        return
    for name in REQUIRED.get(kind, set()) - value.keys():
        yield f"{path}.{name} is missing"
    if kind in AT_LEAST_ONE and not AT_LEAST_ONE[kind] & value.keys():
        yield f"{path} has none of {sorted(AT_LEAST_ONE[kind])}"
    for name, item in value.items():
        expected = ATTRIBUTES[kind].get(name)
        if expected is None:
            yield f"{path}.{name} is not in the schema"
            continue
        yield from _attribute(expected, item, f"{path}.{name}")
        if isinstance(expected, dict):
            caption = value.get(SIBLINGS[name])
            if caption != expected.get(item):
                yield f"{path}.{SIBLINGS[name]} is {caption!r} beside {item}"
        if name in PATTERNS and not PATTERNS[name].fullmatch(str(item)):
            yield f"{path}.{name} is no {name}"


def _attribute(expected: Any, item: Any, path: str) -> Iterator[str]:
    if isinstance(expected, list):
        if not isinstance(item, list):
            yield f"{path} is no array"
            return
        for number, element in enumerate(item):
            yield from _attribute(expected[0], element, f"{path}[{number}]")
    elif isinstance(expected, str):
        yield from _object(expected, item, path)
    elif isinstance(expected, dict):
        if item not in expected:
            yield f"{path} has no value {item!r}"
    elif type(item) is not expected:
        yield f"{path} is {type(item).__name__}"
