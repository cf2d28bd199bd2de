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
Since = Annotated[str | None, typer.Option(help="Not older than 30m, 2h, 7d, or an ISO 8601 time.")]
Limit = Annotated[int, typer.Option(min=0, help="Most items; 0 means all.")]
Source = Annotated[str | None, typer.Option(help="Source it came through.")]
Tenant = Annotated[str | None, typer.Option(help="Whose it is.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, on standard output only.")]
