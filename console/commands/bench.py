"""`bench`: measurements, each beside a reference of the same run."""

from typing import Annotated

import typer

from console.commands.options import AsJson
from console.commands.output import print_json

app = typer.Typer(help="Measure, beside a reference in the same run.", no_args_is_help=True)


@app.callback()
def benchmarks() -> None:
    """Measure, beside a reference in the same run."""


@app.command()
def pipeline(
    count: Annotated[int, typer.Option(help="Alerts per round.", min=1)] = 500,
    *,
    at_least: Annotated[float, typer.Option(help="Ratio below which it fails.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Finished alerts a second, beside a bare workflow of two local activities."""
    import uvloop

    from console.bench.pipeline import pipeline as measure
    from tocsin.telemetry import configure_logging

    configure_logging(level="error", to_stdout=False)

    def report(line: str) -> None:
        typer.echo(line, err=True)

    result = uvloop.run(measure(count, report))
    if as_json:
        print_json(result)
    else:
        typer.echo(
            f"{result.value:.0f} {result.unit}, bare workflow {result.reference:.0f}/s: "
            f"ratio {result.ratio:.3f}"
        )
    if result.ratio < at_least:
        typer.echo(f"tocsin: the ratio {result.ratio:.3f} is below {at_least:g}", err=True)
        raise typer.Exit(1)
