"""`doctor`: asks each dependency directly, and says what to do."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.options import AsJson, DataDir

if TYPE_CHECKING:
    from console.checkup import Finding
    from console.embedded.processes import Listener


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    config: Annotated[
        Path | None,
        typer.Option("--config", help="tocsin.yaml; TOCSIN_CONFIG, the running stack's, or ./."),
    ] = None,
    data_dir: DataDir = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check every dependency; exit code 1 when anything is wrong."""
    import msgspec

    from console.checkup import check_up
    from tocsin.settings import load_settings
    from tocsin.telemetry import configure_logging

    configure_logging(level="critical", to_stdout=False)
    file, receiver = _file(config, data_dir)
    findings = [_source(file), *asyncio.run(check_up(load_settings(file), receiver))]
    if as_json:
        for finding in findings:
            typer.echo(json.dumps(msgspec.to_builtins(finding), ensure_ascii=False))
    else:
        _print(findings)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _file(config: Path | None, data_dir: Path | None) -> "tuple[Path | None, Listener | None]":
    """The file that is named, else the running stack's, else `./tocsin.yaml`.

    A running stack may have been asked for another address of its receiver than its file says.
    """
    from urllib.parse import urlsplit

    from console.embedded import endpoints
    from console.embedded.processes import Listener
    from tocsin.settings import DEFAULT_FILE, load_settings, settings_file

    named = settings_file(config)
    if named in {None, DEFAULT_FILE} or data_dir:
        folder = load_settings(flags={"data_dir": data_dir}).data_dir
        if running := endpoints.read(folder):
            certificate = running.receiver_certificate
            receiver = Listener(
                listen=urlsplit(running.receiver).netloc,
                tls_cert=Path(certificate) if certificate else None,
            )
            return Path(running.configuration), receiver
    return named, None


def _source(file: Path | None) -> "Finding":
    from console.checkup import Finding

    without = "no tocsin.yaml and no running stack here: TOCSIN_* variables and defaults"
    return Finding(check="settings", ok=True, found=str(file) if file else without)


def _print(findings: list["Finding"]) -> None:
    from rich.text import Text

    from console.printing import console

    out = console()
    for finding in findings:
        state, style = ("ok", "green") if finding.ok else ("WRONG", "bold red")
        line = Text.assemble((f"{state:<6}", style), f"{finding.check:<10}", finding.found)
        if finding.advice:
            line.append(f"\n{'':<16}-> {finding.advice}", style="yellow")
        out.print(line)
