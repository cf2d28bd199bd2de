"""`secrets`: whether every reference in the configuration leads to a value."""

import asyncio
from typing import TYPE_CHECKING

import typer

from console.commands.options import AsJson, Config, DataDir
from console.commands.output import print_json

if TYPE_CHECKING:
    from tocsin.secrets import SecretStatus
    from tocsin.settings import Settings

app = typer.Typer(name="secrets", help="Check secrets.", no_args_is_help=True)


@app.callback()
def secrets() -> None:
    """Check secrets."""


@app.command()
def check(
    config: Config = None,
    data_dir: DataDir = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Try every reference in the configuration, of a running stack where there is one.

    Values are never shown. Exit code 1 when one leads to nothing.
    """
    from console.installation import find
    from tocsin.settings import load_settings

    statuses = asyncio.run(_check(load_settings(find(config, data_dir).file)))
    for status in statuses:
        if as_json:
            print_json(status)
        else:
            typer.echo(_line(status))
    if not all(status.ok for status in statuses):
        raise typer.Exit(1)


async def _check(settings: "Settings") -> list["SecretStatus"]:
    from tocsin.secrets import Secrets, references
    from tocsin.tenant_files import load_tenants

    listed = references(settings, load_tenants(settings.tenants))
    async with Secrets(settings.vault) as resolver:
        return await resolver.check(listed)


def _line(status: "SecretStatus") -> str:
    return f"{status.where}: {status.reference}: {status.problem or 'ok'}"
