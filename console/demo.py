"""The demo: alerts posted as a Wazuh manager would, followed until they are delivered."""

import asyncio
import time
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Final

import httpx
import msgspec
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from console.client import Client
from console.embedded.endpoints import Endpoints
from console.printing import shown
from console.sending import receiver_client
from tocsin.domain.text import one_line

_PATIENCE: Final = 60.0
_LOOK_EVERY: Final = 0.3


class Row(msgspec.Struct, kw_only=True):
    """One alert on its way.

    Attributes:
        id: Its alert id; empty until the receiver answered.
        way: How it was posted.
        what: What the rule says.
        level: Wazuh level.
        severity: Effective severity.
        source_address: Where it came from.
        route: Its route, once known.
        status: Where it is.
        expected: Notifications that the API lists for it.
        arrived: Receivers' names for which the inbox holds the notification.
    """

    way: str
    what: str
    level: int
    id: str = ""
    severity: str = ""
    source_address: str = ""
    route: str = ""
    status: str = "sent"
    expected: set[str] = msgspec.field(default_factory=set)
    arrived: set[str] = msgspec.field(default_factory=set)

    @property
    def done(self) -> bool:
        """True when the workflow is finished and everything expected arrived."""
        return self.status == "finished" and self.expected <= self.arrived


async def show(endpoints: Endpoints) -> int:
    """Send the samples and watch them.

    Returns:
        The exit code: 0 when every alert was finished and every notification arrived.
    """
    console = Console()
    alerts = samples(datetime.now(UTC))
    rows = [
        Row(way=way, what=alert["rule"]["description"], level=alert["rule"]["level"])
        for alert, way in alerts
    ]
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console
    )
    task = bar.add_task("alerts delivered", total=len(rows))
    async with (
        Client(endpoints.api, endpoints.operator_token) as api,
        receiver_client(endpoints.receiver_certificate) as web,
    ):
        with Live(console=console, refresh_per_second=8, transient=False) as live:
            sending = asyncio.create_task(_send(endpoints, web, alerts, rows))
            deadline = time.monotonic() + _PATIENCE
            while time.monotonic() < deadline:
                await _look(api, web, endpoints, rows)
                bar.update(task, completed=sum(row.done for row in rows))
                live.update(Group(bar, _table(rows)))
                if sending.done() and all(row.done for row in rows):
                    break
                await asyncio.sleep(_LOOK_EVERY)
            await sending
            live.update(_table(rows))
        balance = await api.get("/v1/balance")
    complete = all(row.done for row in rows) and balance["balanced"]
    notified = sum(len(row.arrived) for row in rows)
    console.print(_books(balance, notified, sent=len(rows)))
    console.print(_places(endpoints))
    return 0 if complete else 1


def samples(now: datetime) -> list[tuple[dict[str, Any], str]]:
    """Our own sample alerts, stamped as if a manager raised them now, and how each is posted."""
    text = files("console").joinpath("samples", "wazuh.ndjson").read_bytes()
    stamped = []
    for number, line in enumerate(text.splitlines()):
        alert = msgspec.json.decode(line)
        alert["timestamp"] = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{number:03d}+0000"
        alert["id"] = f"{now.timestamp():.0f}.{1000 + 733 * number}"
        stamped.append((alert, "shuffle" if number % 2 else "raw"))
    return stamped


def envelope(alert: dict[str, Any]) -> dict[str, Any]:
    """The body that Wazuh's built-in `shuffle` integration posts for an alert."""
    return {
        "severity": 1,
        "pretext": "WAZUH Alert",
        "title": alert["rule"]["description"],
        "text": alert.get("full_log"),
        "rule_id": alert["rule"]["id"],
        "timestamp": alert["timestamp"],
        "id": alert["id"],
        "all_fields": alert,
    }


async def _send(
    endpoints: Endpoints,
    web: httpx.AsyncClient,
    alerts: list[tuple[dict[str, Any], str]],
    rows: list[Row],
) -> None:
    """Post one alert after the other, each in a request of its own, as integratord does."""
    for (alert, way), row in zip(alerts, rows, strict=True):
        if way == "shuffle":
            answer = await web.post(endpoints.hook, json=envelope(alert))
        else:
            answer = await web.post(
                f"{endpoints.receiver}/v1/alerts/wazuh",
                json=alert,
                headers={"Authorization": f"Bearer {endpoints.token}"},
            )
        answer.raise_for_status()
        row.id = answer.json()["ids"][0]


async def _look(api: Client, web: httpx.AsyncClient, endpoints: Endpoints, rows: list[Row]) -> None:
    """Ask the operators' interface and the inbox where the alerts are now."""
    known = {row.id: row for row in rows if row.id}
    listed = await api.get("/v1/alerts", {"since": "10m", "limit": 1000})
    for item in listed["items"]:
        if row := known.get(item["id"]):
            row.status, row.route = item["status"], item["route"] or ""
            row.severity, row.source_address = item["severity"], item["source_address"] or ""
    outbox = await api.get("/v1/notifications", {"since": "10m", "limit": 1000})
    for item in outbox["items"]:
        if row := known.get(item["alert_id"]):
            row.expected.add(item["id"])
    inbox = (await web.get(f"{endpoints.inbox_http}/messages")).json()
    arrived = {message["key"] for message in inbox}
    for row in rows:
        row.arrived = row.expected & arrived


def _table(rows: list[Row]) -> Table:
    table = Table(expand=True, box=box.SIMPLE_HEAD)
    table.add_column("alert", no_wrap=True, ratio=1)
    for heading in ("severity", "source address", "route", "delivered"):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(
            Text(one_line(row.what, limit=120)),
            shown(row.severity or f"level {row.level}"),
            Text(row.source_address or "-"),
            Text(row.route or row.status),
            _delivered(row),
        )
    return table


def _delivered(row: Row) -> Text:
    if row.done and not row.expected:
        return Text("only stored", style="dim")
    receivers = sorted(key.rpartition("-")[2] for key in row.arrived)
    mark = "✓ " if row.done else ""
    return Text(mark + ", ".join(receivers), style="green" if row.done else "yellow")


def _books(balance: dict[str, Any], notified: int, *, sent: int) -> Text:
    counts = "   ".join(
        f"{name} {balance[name]}" for name in ("received", "stored", "started", "finished")
    )
    verdict = "The books balance." if balance["balanced"] else "THE BOOKS DO NOT BALANCE."
    ours = "" if balance["received"] == sent else f" (the {sent} of this demo)"
    return Text(f"\n{counts}   notified {notified}{ours}\n{verdict}\n", style="bold")


def _places(endpoints: Endpoints) -> Text:
    return Text(
        f"Temporal    {endpoints.temporal_ui}\n"
        f"inbox       {endpoints.inbox_http}\n"
        f"operators   {endpoints.api}/openapi.json\n"
        f"receiver    {endpoints.receiver}/openapi.json\n"
    )
