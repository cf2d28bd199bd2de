"""`send`: posts events from a file to a source, as a sender would."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from console.commands.options import AsJson, DataDir
from console.commands.output import print_json

if TYPE_CHECKING:
    from console.sending import Target

_HOOK: Final = "/v1/hook/"


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(send)


def send(
    file: Annotated[Path, typer.Argument(help="NDJSON or one object; - for standard input.")],
    source: Annotated[str, typer.Option(help="Last part of /v1/alerts/SOURCE.")] = "wazuh",
    url: Annotated[str, typer.Option(help="The receiver's base URL, or a capability URL.")] = "",
    token: Annotated[str, typer.Option(envvar="TOCSIN_INGEST_TOKEN", help="Ingest token.")] = "",
    data_dir: DataDir = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Post every event of a file, one request each; exit code 3 when some were not taken."""
    import sys

    import uvloop

    from console.sending import deliver

    target = _target(source, url, token, data_dir)
    data = sys.stdin.buffer.read() if str(file) == "-" else _content(file)
    outcome = uvloop.run(deliver(data, target))
    if as_json:
        print_json(outcome)
    else:
        typer.echo(outcome.summary)
    raise typer.Exit(outcome.exit_code)


def _target(source: str, url: str, token: str, data_dir: Path | None) -> "Target":
    """Where to post; what a running stack keeps secret goes to its own receiver only."""
    from console.bearer import sendable
    from console.client import NoStack
    from console.embedded import endpoints
    from console.sending import Target
    from tocsin.errors import ConfigError, Problem
    from tocsin.settings import load_settings

    folder = load_settings(flags={"data_dir": data_dir}).data_dir
    running = endpoints.read(folder)
    if running is None and not url:
        raise NoStack(
            f"no running stack at {folder}; start one with `tocsin up`, or give --url and --token"
        )
    if running and not url:
        running.require("receiver")
    base = (url or (running.receiver if running else "")).rstrip("/")
    own = running if running and f"{base}/".startswith(f"{running.receiver}/") else None
    certificate = own.receiver_certificate if own else ""
    if _HOOK in base:
        return Target(url=base, certificate=certificate)
    hint = "give --token or TOCSIN_INGEST_TOKEN, or a URL with a capability"
    token = sendable(token, name="--token", hint=hint) or (own.token if own else "")
    if not token:
        raise ConfigError((Problem(file="--url", message="needs a token", hint=hint),))
    return Target(url=f"{base}/v1/alerts/{source}", token=token, certificate=certificate)


def _content(file: Path) -> bytes:
    from tocsin.errors import ConfigError, Problem

    try:
        return file.read_bytes()
    except OSError as error:
        problem = Problem(file=str(file), message=error.strerror or "cannot be read")
        raise ConfigError((problem,)) from None
