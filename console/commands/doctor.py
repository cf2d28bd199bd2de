"""`doctor`: asks each dependency directly, and says what to do."""

import asyncio
from typing import TYPE_CHECKING

import typer

from console.commands.options import AsJson, Config, DataDir
from console.commands.output import print_json

if TYPE_CHECKING:
    from pathlib import Path

    from console.checkup import Finding


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    config: Config = None,
    data_dir: DataDir = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Check every dependency, of a running stack where there is one.

    Exit code 1 when anything is wrong.
    """
    from console.checkup import check_up
    from console.installation import find
    from tocsin.settings import load_settings
    from tocsin.telemetry import configure_logging

    configure_logging(level="critical", to_stdout=False)
    here = find(config, data_dir)
    findings = asyncio.run(check_up(load_settings(here.file), here.receiver))
    findings.insert(0, _source(here.file))
    if as_json:
        for finding in findings:
            print_json(finding)
    else:
        _print(findings)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _source(file: "Path | None") -> "Finding":
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
