"""The command `tocsin`: groups of commands, and what a failure looks like."""

import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from console.commands import alert, balance, bench, config, dlq, doctor, run, secrets, send, up
from tocsin.errors import ConfigError, TocsinError

app = typer.Typer(
    name="tocsin",
    help="The alarm bell that never loses a ring.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(alert.app, name="alert")
app.add_typer(dlq.app, name="dlq")
app.add_typer(bench.app, name="bench")
app.add_typer(config.app, name="config")
app.add_typer(secrets.app, name="secrets")
for group in (up, run, send, balance, doctor):
    group.mount(app)


def _version(*, asked: bool) -> None:
    if asked:
        typer.echo(version("tocsin"))
        raise typer.Exit


@app.callback()
def tocsin(
    *,
    _asked: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """The alarm bell that never loses a ring."""


def main() -> None:
    """Run the command; errors of ours become sentences and exit codes.

    Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 partly done.
    """
    code = _run()
    # On Python 3.11 a process that ends right after closing a Temporal client may abort while the
    # interpreter finalizes, after all work is done: flush, and leave without finalizing.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run() -> int:
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except ConfigError as error:
        typer.echo(str(error), err=True)
        return 2
    except TocsinError as error:
        typer.echo(f"tocsin: {error}", err=True)
        return 1
    except KeyboardInterrupt:
        return 1
    return 0


if __name__ == "__main__":
    main()
