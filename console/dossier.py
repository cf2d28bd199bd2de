"""One alert, or one letter, as commands show it to people."""

from typing import Any

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from console.printing import block, facts, moment, shown


def describe(alert: dict[str, Any]) -> RenderableType:
    """All that is known of one alert.

    Args:
        alert: The answer of `/v1/alerts/{id}`.
    """
    return Group(
        _head(alert),
        Text(),
        facts(_alert(alert)),
        *_notifications(alert["notifications"]),
        *_runs(alert["runs"]),
        *_section("what the sender posted", block(alert["raw"]["text"])),
    )


def describe_letter(letter: dict[str, Any]) -> RenderableType:
    """One letter with its bytes.

    Args:
        letter: The answer of `/v1/dead-letters/{id}`.
    """
    return Group(
        facts(
            {
                "letter": shown(letter["id"]),
                "kind": shown(f"{letter['kind']} at {letter['stage']}"),
                "reason": shown(letter["reason"], limit=500),
                "tenant": shown(letter["tenant"]),
                "source": shown(letter["source"]),
                "attempts": shown(letter["attempts"]),
                "alert": shown(letter["alert_id"]),
                "received": moment(letter["received_at"]),
                "redriven": moment(letter["redriven_at"]),
            }
        ),
        *_section("what the sender posted", block(letter["raw"]["text"])),
    )


def _head(alert: dict[str, Any]) -> Text:
    what = alert["alert"]["rule"]["description"] or alert["alert"]["message"] or "no description"
    return Text.assemble(shown(alert["severity"]), "  ", shown(what), "  ", shown(alert["status"]))


def _alert(item: dict[str, Any]) -> dict[str, Text]:
    alert, rule, verdict = item["alert"], item["alert"]["rule"], item["verdict"]
    observables = "; ".join(f"{each['name']}={each['value']}" for each in alert["observables"])
    values = {
        "alert": shown(item["id"]),
        "run": shown(item["run"]),
        "tenant": shown(item["tenant"]),
        "source": shown(f"{item['source']} ({alert['shape']})"),
        "sender's id": shown(item["source_event_id"]),
        "rule": shown(f"{rule['id']} {rule['description']}"),
        "MITRE ATT&CK": shown(", ".join(rule["mitre"])),
        "level": shown(item["level"]),
        "agent": shown(" ".join(alert["agent"][key] for key in ("id", "name", "ip"))),
        "from": shown(alert["source_address"]),
        "observables": shown(observables, limit=1000),
        "happened": moment(alert["time"]),
        "received": moment(item["received_at"]),
        "finished": moment(item["finished_at"]),
        "verdict": shown(_verdict(verdict), limit=500) if verdict else shown(None),
        "route": shown(item["route"]),
        "workflow": shown(item["workflow"]["url"] or item["workflow"]["id"], limit=500),
        "sequence": shown(item["sequence"]),
        "notes": shown("; ".join(item["notes"]), limit=1000),
        "error": shown(item["error"], limit=1000),
    }
    return {name: value for name, value in values.items() if value.plain not in {"-", ""}}


def _verdict(verdict: dict[str, Any]) -> str:
    reasons = f": {', '.join(verdict['reasons'])}" if verdict["reasons"] else ""
    return f"{verdict['severity']}, {verdict['disposition']}, by {verdict['given_by']}{reasons}"


def _notifications(rows: list[dict[str, Any]]) -> list[RenderableType]:
    told = {
        row["receiver"]: Text.assemble(
            shown(row["status"]),
            f" by {row['channel']}, attempts: {row['attempts']} ",
            shown(row["error"], limit=500) if row["error"] else "",
        )
        for row in rows
    }
    return _section("notifications", facts(told)) if told else []


def _runs(runs: list[dict[str, Any]]) -> list[RenderableType]:
    ended = {
        f"run {run['run']}": Text.assemble(
            shown(run["status"]), " ", shown(run["error"], limit=500)
        )
        for run in runs
    }
    return _section("other runs", facts(ended)) if ended else []


def _section(title: str, content: RenderableType) -> list[RenderableType]:
    return [Text(), Rule(Text(title), align="left", style="dim"), content]
