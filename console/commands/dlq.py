"""`dlq`: quarantine and dead letters."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from console.commands.options import AsJson, DataDir, Limit, Since, Source, Tenant
from console.commands.output import print_json

if TYPE_CHECKING:
    from pathlib import Path

    from console.client import Client, Parameters

app = typer.Typer(
    name="dlq", help="See quarantine and dead letters, and redrive them.", no_args_is_help=True
)

Kind = Annotated[str | None, typer.Option(help="quarantine or dead.")]


@app.command("list")
def list_(
    since: Since = None,
    *,
    kind: Kind = None,
    status: Annotated[str, typer.Option(help="open, redriven or all.")] = "open",
    source: Source = None,
    tenant: Tenant = None,
    limit: Limit = 100,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List letters, newest first; with --json one JSON object a line."""
    parameters = {
        "since": since,
        "kind": kind,
        "status": status,
        "source": source,
        "tenant": tenant,
    }
    asyncio.run(_list(parameters, limit, data_dir, as_json=as_json))


@app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID")],
    data_dir: DataDir = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show one letter with its bytes."""
    from console.dossier import describe_letter
    from console.printing import console

    letter = asyncio.run(_show(id_, data_dir))
    if as_json:
        print_json(letter)
    else:
        console().print(describe_letter(letter))


@app.command()
def redrive(
    ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...")] = None,
    data_dir: DataDir = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Every open letter.")] = False,
    as_json: AsJson = False,
) -> None:
    """Publish what is in letters again; exit code 3 when some could not be redriven."""
    if bool(ids) == every:
        raise typer.BadParameter("give either ids or --all")
    redriven, refused = asyncio.run(_redrive(ids, data_dir, as_json=as_json))
    if refused:
        raise typer.Exit(3 if redriven else 1)


async def _list(
    parameters: "Parameters", limit: int, data_dir: "Path | None", *, as_json: bool
) -> None:
    from console.client import connect

    async with connect(data_dir) as api:
        items = api.pages("/v1/dead-letters", parameters, limit=limit)
        if as_json:
            async for item in items:
                print_json(item)
        else:
            _print([item async for item in items])


async def _show(id_: str, data_dir: "Path | None") -> dict[str, Any]:
    from console.client import connect

    async with connect(data_dir) as api:
        return await api.get(f"/v1/dead-letters/{id_}")


async def _redrive(
    ids: list[str] | None, data_dir: "Path | None", *, as_json: bool
) -> tuple[int, int]:
    """Redrive letters one by one; how many were, and how many were not."""
    from console.client import ApiRefused, connect

    redriven = refused = 0
    async with connect(data_dir) as api:
        for id_ in ids or await _open(api):
            try:
                answer = await api.post(f"/v1/dead-letters/{id_}/redrive")
            except ApiRefused as error:
                refused += 1
                typer.echo(f"{id_}: {error}", err=True)
            else:
                redriven += 1
                _report(id_, answer["redriven"], as_json=as_json)
    return redriven, refused


async def _open(api: "Client") -> list[str]:
    letters = api.pages("/v1/dead-letters", {"status": "open"}, limit=0)
    return [letter["id"] async for letter in letters]


def _report(id_: str, runs: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json({"letter": id_, "redriven": runs})
    else:
        typer.echo(f"{id_}: " + ", ".join(f"alert {run['id']} run {run['run']}" for run in runs))


def _print(items: list[dict[str, Any]]) -> None:
    from console.printing import Column, moment, print_list, shown

    columns = (
        Column("received", lambda item: moment(item["received_at"]), dispensable=True),
        Column("kind", lambda item: shown(item["kind"])),
        Column("stage", lambda item: shown(item["stage"]), dispensable=True),
        Column("source", lambda item: shown(item["source"]), dispensable=True),
        Column("reason", lambda item: shown(item["reason"]), flexible=True),
        Column("redriven", lambda item: moment(item["redriven_at"]), dispensable=True),
        Column("id", lambda item: shown(item["id"])),
    )
    print_list(items, columns)
