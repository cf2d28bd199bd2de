"""`up` and `demo`: the whole stack on one machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.commands.options import DataDir, Without, names

if TYPE_CHECKING:
    from console.embedded.endpoints import Endpoints

Listen = Annotated[str | None, typer.Option(help="ADDRESS:PORT for the receiver.")]
Cert = Annotated[Path | None, typer.Option(help="PEM certificate chain for the receiver.")]
Key = Annotated[Path | None, typer.Option(help="PEM private key for the receiver.")]
Insecure = Annotated[bool, typer.Option("--insecure", help="Plain HTTP beyond loopback.")]
Keep = Annotated[bool, typer.Option("--keep", help="Leave the stack running until Ctrl-C.")]


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(up)
    app.command()(demo)


def up(
    data_dir: DataDir = None,
    without: Without = None,
    listen: Listen = None,
    tls_cert: Cert = None,
    tls_key: Key = None,
    *,
    insecure: Insecure = False,
) -> None:
    """Start the whole stack on this machine, and keep it running until Ctrl-C."""
    import uvloop

    from console.arrivals import announce, welcome
    from console.embedded.options import StackOptions
    from console.embedded.stack import run
    from tocsin.settings import load_settings

    settings = load_settings(flags={"data_dir": data_dir})
    options = StackOptions(
        data_dir=settings.data_dir,
        without=names(without),
        listen=listen,
        tls_cert=tls_cert,
        tls_key=tls_key,
        insecure=insecure,
        settings=settings,
    )

    async def beside(endpoints: "Endpoints") -> None:
        typer.echo(welcome(endpoints))
        if endpoints.nats:
            await announce(endpoints, typer.echo)

    raise typer.Exit(uvloop.run(run(options, report=typer.echo, beside=beside)))


def demo(data_dir: DataDir = None, *, keep: Keep = False) -> None:
    """Start the stack, send alerts as a Wazuh manager would, and show them delivered."""
    import uvloop

    from console.demo import show
    from console.embedded import endpoints
    from console.embedded.options import StackOptions
    from console.embedded.stack import run
    from tocsin.settings import load_settings

    settings = load_settings(flags={"data_dir": data_dir})
    running = endpoints.read(settings.data_dir)
    if running is not None:
        running.require("postgres", "nats", "temporal", "vault")
        running.require("receiver", "worker", "api", "inbox_http")
        typer.echo(f"Using the stack that runs at {settings.data_dir}.")
        raise typer.Exit(uvloop.run(show(running)))

    async def beside(started: "Endpoints") -> int | None:
        code = await show(started)
        if not keep:
            typer.echo("The stack stops now; `tocsin demo --keep` leaves it running.")
            return code
        typer.echo("The stack keeps running; Ctrl-C stops it.")
        return None

    options = StackOptions(data_dir=settings.data_dir, settings=settings)
    raise typer.Exit(uvloop.run(run(options, report=typer.echo, beside=beside)))
