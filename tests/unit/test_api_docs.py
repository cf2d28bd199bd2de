"""`docs/operators.md` tells of everything that operators can ask."""

from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio

from console.api.app import create_app
from console.api.backends import Backends
from console.api.operators import Operators
from console.commands.alert import FIELDS
from console.processes.clients import Clients
from ingest.books import Balance
from tocsin.settings import Settings

TEXT = (Path(__file__).parents[2] / "docs" / "operators.md").read_text(encoding="utf-8")
ROWS = {line.split("|")[1].strip(): line for line in TEXT.splitlines() if line.startswith("| ")}


@pytest_asyncio.fixture
async def paths() -> dict[str, Any]:
    """The paths of the interface's OpenAPI document."""

    async def token() -> str:
        return "token"

    settings = Settings()
    async with Clients(settings, "test") as clients:
        app = create_app(Backends(clients, {}), Operators(token, ()), settings.temporal)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://operators") as client:
            found: dict[str, Any] = (await client.get("/openapi.json")).json()["paths"]
            return found


async def test_operations_are_told(paths: dict[str, Any]) -> None:
    """Each operation has a row that names each of its parameters."""
    for path, verbs in paths.items():
        if not path.startswith("/v1/"):
            assert f"`{path}`" in TEXT or f"`GET {path}`" in TEXT
            continue
        for verb, operation in verbs.items():
            row = ROWS[f"`{verb.upper()} {path}`"]
            asked = [each["name"] for each in operation["parameters"] if each["in"] == "query"]
            assert [name for name in asked if f"`{name}" not in row] == []


def test_books_and_fields_are_told() -> None:
    """Every entry of the balance and every field of the JSON Lines stands in an example."""
    for name in (*Balance.__struct_fields__, *FIELDS):
        assert f'"{name}": ' in TEXT or f"`{name}`" in TEXT
