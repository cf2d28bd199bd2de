"""`send`: posts events from a file to a source, as a sender would."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None, typer.Option(help="Folder of a running stack; TOCSIN_DATA_DIR or ./.tocsin.")
]


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(send)


def send(
    file: Annotated[Path, typer.Argument(help="NDJSON or one object; - for standard input.")],
    source: Annotated[str, typer.Option(help="Last part of /v1/alerts/SOURCE.")] = "wazuh",
    url: Annotated[str, typer.Option(help="Base URL of the receiver.")] = "",
    token: Annotated[str, typer.Option(envvar="TOCSIN_INGEST_TOKEN", help="Ingest token.")] = "",
    data_dir: DataDir = None,
    *,
    json_: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
) -> None:
    """Post every event of a file, one request each; exit code 3 when some were not taken."""
    import sys

    import msgspec
    import uvloop

    from console.client import NoStack
    from console.embedded import endpoints
    from console.sending import Target, deliver
    from tocsin.settings import load_settings

    folder = load_settings(flags={"data_dir": data_dir}).data_dir
    running = endpoints.read(folder)
    if running is None and not (url and token):
        raise NoStack(
            f"no running stack at {folder}; start one with `tocsin up`, or give --url and --token"
        )
    target = Target(
        url=url or (running.receiver if running else ""),
        token=token or (running.token if running else ""),
        source=source,
        certificate=running.receiver_certificate if running and not url else "",
    )
    data = sys.stdin.buffer.read() if str(file) == "-" else _content(file)
    outcome = uvloop.run(deliver(data, target))
    if json_:
        typer.echo(msgspec.json.encode(outcome).decode())
    else:
        typer.echo(outcome.summary)
    raise typer.Exit(outcome.exit_code)


def _content(file: Path) -> bytes:
    from tocsin.errors import ConfigError, Problem

    try:
        return file.read_bytes()
    except OSError as error:
        problem = Problem(file=str(file), message=error.strerror or "cannot be read")
        raise ConfigError((problem,)) from None
