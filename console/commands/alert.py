"""`alert`: what became of alerts."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from console.commands.options import AsJson, DataDir, Limit, Since, Source, Tenant
from console.commands.output import print_json

if TYPE_CHECKING:
    from pathlib import Path

    from console.client import Parameters

app = typer.Typer(name="alert", help="See alerts, and redrive them.", no_args_is_help=True)

AlertId = Annotated[str, typer.Argument(metavar="ID", help="32 of 0-9 and a-f.")]
Run = Annotated[int | None, typer.Option(min=0, help="Which run; the latest without it.")]

FIELDS: Final = (
    "id",
    "tenant",
    "source",
    "source_event_id",
    "level",
    "severity",
    "status",
    "received_at",
    "finished_at",
    "route",
)
"""What `alert list --json` prints of each alert."""


@app.command("list")
def list_(
    since: Since = None,
    *,
    severity: Annotated[
        str | None, typer.Option(help="informational, low, medium, high, critical; with commas.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(help="received, running, finished, failed, dead; with commas.")
    ] = None,
    source: Source = None,
    source_event_id: Annotated[str | None, typer.Option(help="The sender's id of it.")] = None,
    tenant: Tenant = None,
    limit: Limit = 100,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List alerts, newest first; with --json one JSON object a line."""
    parameters = {
        "since": since,
        "severity": severity,
        "status": status,
        "source": source,
        "source_event_id": source_event_id,
        "tenant": tenant,
    }
    asyncio.run(_list(parameters, limit, data_dir, as_json=as_json))


@app.command()
def show(
    id_: AlertId,
    tenant: Tenant = None,
    run: Run = None,
    data_dir: DataDir = None,
    *,
    ocsf: Annotated[bool, typer.Option("--ocsf", help="OCSF Detection Finding, in JSON.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show all that is known of one alert."""
    from console.dossier import describe
    from console.printing import console

    parameters = {"tenant": tenant, "run": run, "format": "ocsf" if ocsf else None}
    found = asyncio.run(_show(id_, parameters, data_dir))
    if ocsf or as_json:
        print_json(found)
    else:
        console().print(describe(found))


@app.command()
def redrive(id_: AlertId, data_dir: DataDir = None, *, as_json: AsJson = False) -> None:
    """Publish a failed or dead alert again, as its next run."""
    for each in asyncio.run(_redrive(id_, data_dir)):
        if as_json:
            print_json(each)
        else:
            typer.echo(f"{each['id']}: redriven as run {each['run']}")


async def _list(
    parameters: "Parameters", limit: int, data_dir: "Path | None", *, as_json: bool
) -> None:
    from console.client import connect

    async with connect(data_dir) as api:
        items = api.pages("/v1/alerts", parameters, limit=limit)
        if as_json:
            async for item in items:
                print_json({name: item[name] for name in FIELDS})
        else:
            _print([item async for item in items])


async def _show(id_: str, parameters: "Parameters", data_dir: "Path | None") -> dict[str, Any]:
    from console.client import connect

    async with connect(data_dir) as api:
        return await api.get(f"/v1/alerts/{id_}", parameters)


async def _redrive(id_: str, data_dir: "Path | None") -> list[dict[str, Any]]:
    from console.client import connect

    async with connect(data_dir) as api:
        answer = await api.post(f"/v1/alerts/{id_}/redrive")
    return list(answer["redriven"])


def _print(items: list[dict[str, Any]]) -> None:
    from console.printing import Column, moment, print_list, shown

    columns = (
        Column("received", lambda item: moment(item["received_at"]), dispensable=True),
        Column("severity", lambda item: shown(item["severity"])),
        Column("status", lambda item: shown(item["status"])),
        Column("alert", lambda item: shown(item["description"]), flexible=True),
        Column("from", lambda item: shown(item["source_address"], limit=45), dispensable=True),
        Column("agent", lambda item: shown(item["agent"], limit=20), dispensable=True),
        Column("route", lambda item: shown(item["route"]), dispensable=True),
        Column("id", lambda item: shown(item["id"])),
    )
    print_list(items, columns)
