"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[
    Path | None, typer.Option("--config", help="tocsin.yaml; TOCSIN_CONFIG or ./tocsin.yaml.")
]
DataDir = Annotated[
    Path | None, typer.Option(help="Folder of a stack; TOCSIN_DATA_DIR or ./.tocsin.")
]
Without = Annotated[
    list[str] | None, typer.Option(help="Parts to leave out, comma separated; may be repeated.")
]
Since = Annotated[str | None, typer.Option(help="Not older than 30m, 2h, 7d, or an ISO 8601 time.")]
Limit = Annotated[int, typer.Option(min=0, help="Most items; 0 means all.")]
Source = Annotated[str | None, typer.Option(help="Source it came through.")]
Tenant = Annotated[str | None, typer.Option(help="Whose it is.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, on standard output only.")]


def names(lists: list[str] | None) -> frozenset[str]:
    """The names in an option that takes several, with commas or by being repeated."""
    return frozenset(each.strip() for text in lists or () for each in text.split(",")) - {""}
