"""`balance`: whether all that was received is accounted for."""

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from console.commands.options import AsJson, DataDir
from console.commands.output import print_json

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import RenderableType

_LOOK_EVERY: Final = 0.5
_SHORTEST_LOOK: Final = 3.0
_WORKING: Final = 3
_MEANINGS: Final = {
    "received": "events taken from senders",
    "pending": "  waiting to be dispatched",
    "duplicates": "  there before",
    "quarantined": "  no alerts",
    "dead": "  could not be dispatched",
    "stored": "  alerts with a workflow",
    "running": "    its workflow runs",
    "finished": "    done",
    "failed": "    its workflow ended otherwise",
    "started": "workflows that Temporal accepted",
}


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(balance)


def balance(
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait until nothing is pending or running.")
    ] = 0,
    data_dir: DataDir = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Close the books: exit code 0 when they balance, 1 when not, 3 while work goes on."""
    from console.printing import console

    books = asyncio.run(_balance(wait, data_dir))
    if as_json:
        print_json(books)
    else:
        console().print(_table(books))
    if _is_working(books):
        raise typer.Exit(_WORKING)
    if not books["balanced"]:
        raise typer.Exit(1)


async def _balance(wait: float, data_dir: "Path | None") -> dict[str, Any]:
    """The books, once nothing is pending or running or the time is over."""
    from console.client import ApiUnavailable, connect

    deadline = time.monotonic() + wait
    async with connect(data_dir) as api:
        if not wait:
            return _shown(await api.get("/v1/balance"))
        while True:
            left = deadline - time.monotonic()
            within = timedelta(seconds=max(left, _SHORTEST_LOOK))
            try:
                books = await api.get("/v1/balance", within=within)
                if left <= 0 or not _is_working(books):
                    return _shown(books)
            except ApiUnavailable:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(_LOOK_EVERY)


def _shown(books: dict[str, Any]) -> dict[str, Any]:
    """The books, with `lost` only where something is."""
    return books if books["lost"] else {name: books[name] for name in books if name != "lost"}


def _is_working(books: dict[str, Any]) -> bool:
    return bool(books["pending"] or books["running"])


def _table(books: dict[str, Any]) -> "RenderableType":
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for name, meaning in _MEANINGS.items():
        indent = " " * (len(meaning) - len(meaning.lstrip()))
        table.add_row(indent + name, Text(str(books[name]), justify="right"), meaning.strip())
    lost = books.get("lost", [])
    verdict = "the books balance" if books["balanced"] else "THE BOOKS DO NOT BALANCE"
    verdict += f"; lost sequences: {', '.join(map(str, lost))}" if lost else ""
    style = "green" if books["balanced"] else "bold red"
    return Group(table, Text(), Text(verdict, style=style))
