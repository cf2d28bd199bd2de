"""Digests of Wazuh alerts: bodies that tell of an alert without carrying it.

A digest has an identity of its own and keeps the sender's id, by which it is linked to the alert.
"""

from datetime import datetime
from typing import Any

from ingest.sources.base import Reading
from ingest.sources.fields import instant, integer, text
from ingest.sources.wazuh_alert import HIGHEST_LEVEL
from tocsin.domain.alert import Agent, Rule
from tocsin.domain.severity import from_wazuh_level

_RULE_FIELD = "Rule ID"
_LEVEL_MARK = "_(Level "
_LOG_MARK = "\nFull Log "


def read_slack(document: dict[str, Any]) -> Reading | None:
    """Read the body of the `slack` sender (W:integrations/slack.py); None when it is another's.

    Everything stands in text: the rule as `5503 _(Level 5)_`, the agent as `(000) - user-0`.
    """
    attachments = document.get("attachments")
    attachment = attachments[0] if isinstance(attachments, list) and attachments else None
    if not isinstance(attachment, dict):
        return None
    fields = _slack_fields(attachment.get("fields"))
    if _RULE_FIELD not in fields:
        return None
    rule_id, _, rest = fields[_RULE_FIELD].partition(_LEVEL_MARK)
    level = integer(rest.partition(")")[0], 0, HIGHEST_LEVEL)
    agent_id, _, agent_name = fields.get("Agent", "").removeprefix("(").partition(") - ")
    event_id = text(attachment.get("ts"))
    title = text(attachment.get("title"))
    return Reading(
        identity=("digest", event_id, attachment),
        source_event_id=event_id,
        shape="slack",
        rule=Rule(id=rule_id.strip(), description=title),
        level=level,
        severity=from_wazuh_level(level),
        agent=Agent(id=agent_id, name=agent_name or fields.get("Agentless Host", "")),
        time=_second_of(event_id),
        location=fields.get("Location", ""),
        message=text(attachment.get("text")) or title,
    )


def read_lines(document: dict[str, Any]) -> Reading | None:
    """Read a digest whose `description` has a line per field; None when it is another's.

    The form comes from a widely copied custom integration (keephq/keep `custom-keep.py`): its
    `created_at` has a zone with a dot (`+01.00`), and there is no id at all.
    """
    description = text(document.get("description"))
    if not description.startswith(_RULE_FIELD):
        return None
    head, _, log = description.partition(_LOG_MARK)
    fields = {name: _after(head, name) for name in (_RULE_FIELD, "Level", "Agent ID", "Agent Name")}
    level = integer(fields["Level"], 0, HIGHEST_LEVEL)
    return Reading(
        identity=("digest", document),
        shape="digest",
        rule=Rule(id=fields[_RULE_FIELD], description=text(document.get("message"))),
        level=level,
        sender_severity=text(document.get("severity")),
        severity=from_wazuh_level(level),
        agent=Agent(id=fields["Agent ID"], name=fields["Agent Name"]),
        time=_dotted_zone(text(document.get("created_at"))),
        message=log.strip() or description,
    )


def _slack_fields(fields: Any) -> dict[str, str]:  # noqa: ANN401 - JSON
    items = fields if isinstance(fields, list) else []
    return {
        text(item.get("title")): text(item.get("value")) for item in items if isinstance(item, dict)
    }


def _second_of(event_id: str) -> datetime | None:
    """The time in a Wazuh id, `<epoch>.<offset in the log file>`."""
    second = integer(event_id.partition(".")[0], 0, 2**40)
    return None if second is None else instant(second)


def _after(head: str, name: str) -> str:
    lines = (line for line in head.splitlines() if line.startswith(f"{name} "))
    return next(lines, "").removeprefix(f"{name} ")


def _dotted_zone(stamp: str) -> datetime | None:
    return instant(stamp) or instant(f"{stamp[:-3]}:{stamp[-2:]}")
