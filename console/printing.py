"""How commands print for people: alert text was written by strangers, and is never interpreted."""

import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tocsin.domain.text import one_line

STYLES: Final = {
    "informational": "dim",
    "low": "green",
    "medium": "yellow",
    "high": "red",
    "critical": "bold red",
    "fatal": "bold red",
    "running": "cyan",
    "failed": "red",
    "dead": "red",
    "delivered": "green",
}

_PIPED_WIDTH: Final = 180
_NARROW: Final = 130


def console() -> Console:
    """Standard output: colours on a terminal unless NO_COLOR is set, wide lines in a pipe."""
    return Console(
        highlight=False, markup=False, width=None if sys.stdout.isatty() else _PIPED_WIDTH
    )


def shown(value: Any, *, limit: int = 200) -> Text:  # noqa: ANN401 - JSON
    """One line of anything, harmless: no control or direction marks, no markup."""
    line = "-" if value in (None, "") else one_line(str(value), limit=limit)
    return Text(line, style=STYLES.get(line, ""))


def block(text: str) -> Text:
    """Several lines of anything; control and direction marks are shown as U+FFFD."""
    safe = (c if c.isprintable() or c == "\n" else "\ufffd" for c in text.expandtabs())
    return Text("".join(safe))


def moment(time: str | None) -> Text:
    """A time of the interface, in seconds and UTC."""
    if not time:
        return Text("-")
    return Text(datetime.fromisoformat(time).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ"))


class Column(NamedTuple):
    """One column of a list.

    Attributes:
        heading: Its name.
        render: Shows an item in it.
        flexible: Takes what room there is, and is cut where there is none.
        dispensable: Left out on a narrow terminal.
    """

    heading: str
    render: Callable[[dict[str, Any]], Text]
    flexible: bool = False
    dispensable: bool = False


def print_list(items: Iterable[dict[str, Any]], columns: Iterable[Column]) -> None:
    """Print items, one a row."""
    out = console()
    shown_columns = [each for each in columns if out.width >= _NARROW or not each.dispensable]
    wide = any(each.flexible for each in shown_columns)
    table = Table(box=None, pad_edge=False, header_style="bold", expand=wide)
    for column in shown_columns:
        ratio = 1 if column.flexible else None
        table.add_column(column.heading, no_wrap=True, overflow="ellipsis", ratio=ratio)
    for item in items:
        table.add_row(*(column.render(item) for column in shown_columns))
    out.print(table)


def facts(values: Mapping[str, Text]) -> Table:
    """Names and values, one a line."""
    grid = Table.grid(padding=(0, 2))
    for name, value in values.items():
        grid.add_row(Text(name, style="dim"), value)
    return grid
