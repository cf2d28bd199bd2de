"""Lists that are longer than a page, by the commands that read all of them."""

import asyncio
import json
import uuid

import pytest
from typer.testing import CliRunner

from console import client
from console.main import app
from tests.road import Road, eventually, wazuh_alert
from tests.stack import RunningStack


@pytest.fixture(autouse=True)
def _short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of two, so that five are more than two of them."""
    monkeypatch.setattr(client, "_LONGEST_PAGE", 2)


async def run(stack: RunningStack, *arguments: str) -> tuple[list[str], list[str]]:
    """Lines of a command's standard output, and of its standard error."""
    command = [*arguments, f"--data-dir={stack.data_dir}", "--json"]
    result = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.stdout.splitlines(), result.stderr.splitlines()


async def five_letters(road: Road) -> set[str]:
    """Ids of five letters that cannot be redriven."""
    bodies = [f"no JSON at all {uuid.uuid4()}".encode() for _ in range(5)]
    for body in bodies:
        await road.post(body)

    async def look() -> set[str] | None:
        rows = await road.rows(
            "SELECT id FROM dead_letters WHERE raw = ANY(CAST(:bodies AS bytea[]))", bodies=bodies
        )
        return {row.id for row in rows} if len(rows) == 5 else None

    return await eventually(look, "the letters are kept")


@pytest.mark.parametrize("limit", ["0", "5"])
async def test_alert_list(stack: RunningStack, road: Road, limit: str) -> None:
    """`alert list` goes on over pages until it has all, or as many as were asked for."""
    ids = [await road.take(wazuh_alert()) for _ in range(5)]
    await road.finished(*ids)
    lines, _ = await run(stack, "alert", "list", "--limit", limit)
    listed = [json.loads(line)["id"] for line in lines]
    assert listed[:5] == ids[::-1]
    assert len(listed) == len(set(listed)) >= 5
    assert limit == "0" or len(listed) == 5


async def test_dlq_list(stack: RunningStack, road: Road) -> None:
    """`dlq list --limit 0` lists every letter once."""
    letters = await five_letters(road)
    lines, _ = await run(stack, "dlq", "list", "--limit", "0")
    listed = [json.loads(line)["id"] for line in lines]
    assert letters <= set(listed)
    assert len(listed) == len(set(listed))


async def test_dlq_redrive_all(stack: RunningStack, road: Road) -> None:
    """`dlq redrive --all` tries every open letter."""
    letters = await five_letters(road)
    _, errors = await run(stack, "dlq", "redrive", "--all")
    assert letters <= {line.partition(":")[0] for line in errors}
