"""`receive`, `work`, `serve`, `migrate`: the processes of an installation."""

from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from console.commands.options import Config, Without, names

Listen = Annotated[str | None, typer.Option(help="ADDRESS:PORT.")]
Cert = Annotated[Path | None, typer.Option(help="PEM certificate chain, reloaded on change.")]
Key = Annotated[Path | None, typer.Option(help="PEM private key.")]
Insecure = Annotated[bool, typer.Option("--insecure", help="Plain HTTP beyond loopback.")]


def mount(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (receive, work, serve, migrate):
        app.command()(command)
    app.command(hidden=True)(inbox)


def receive(
    config: Config = None,
    listen: Listen = None,
    tls_cert: Cert = None,
    tls_key: Key = None,
    *,
    insecure: Insecure = False,
) -> None:
    """Take alerts over HTTP and put them on the bus."""
    from console.processes import receiver
    from tocsin.settings import load_settings

    flags = {
        "receiver.listen": listen,
        "receiver.tls_cert": tls_cert,
        "receiver.tls_key": tls_key,
        "receiver.insecure": insecure or None,
    }
    _run(receiver.run(load_settings(config, flags)))


def work(config: Config = None) -> None:
    """Dispatch alerts and run their workflows."""
    from console.processes import worker
    from tocsin.settings import load_settings

    _run(worker.run(load_settings(config)))


def serve(config: Config = None, listen: Listen = None) -> None:
    """Serve the operators' HTTP interface."""
    from console.processes import api
    from tocsin.settings import load_settings

    _run(api.run(load_settings(config, {"api.listen": listen})))


def migrate(
    config: Config = None,
    without: Without = None,
) -> None:
    """Create or update the schema, streams, namespace and search attributes."""
    from console.processes import migrate as process
    from tocsin.settings import load_settings

    _run(process.run(load_settings(config), report=typer.echo, without=names(without)))


def inbox(
    http: Annotated[str, typer.Option(help="ADDRESS:PORT.")],
    smtp: Annotated[str, typer.Option(help="ADDRESS:PORT.")],
    username: Annotated[str, typer.Option(help="SMTP user.")],
    password: Annotated[str, typer.Option(help="Reference to its password.")],
) -> None:
    """Show notifications instead of a pager and a mail server; a part of `up` and `demo`."""
    from console.processes import inbox as process

    _run(process.run(http=http, smtp=smtp, username=username, password=password))


def _run(work: Coroutine[Any, Any, None]) -> None:
    import uvloop

    from tocsin.telemetry import configure_logging

    configure_logging()
    uvloop.run(work)
