"""The operators' interface where nothing that it needs is there, and its OpenAPI document."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.routing import Route

from console.api.app import create_app
from console.api.backends import Backends
from console.api.operators import Operators
from console.processes.clients import Clients
from tocsin.settings import NatsSettings, PostgresSettings, Settings

NOWHERE = Settings(
    nats=NatsSettings(url="nats://127.0.0.1:1"),
    postgres=PostgresSettings(dsn="postgresql://nobody@127.0.0.1:1/nothing"),
)
AN_ID = "0123456789abcdef" * 2
QUESTIONS = [
    ("GET", "/v1/alerts"),
    ("GET", f"/v1/alerts/{AN_ID}"),
    ("POST", f"/v1/alerts/{AN_ID}/redrive"),
    ("GET", "/v1/dead-letters"),
    ("GET", f"/v1/dead-letters/{AN_ID}"),
    ("POST", f"/v1/dead-letters/{AN_ID}/redrive"),
    ("GET", "/v1/balance"),
    ("GET", "/v1/notifications"),
]


@pytest_asyncio.fixture
async def app() -> AsyncIterator[Starlette]:
    """The interface, with PostgreSQL and NATS away."""

    async def token() -> str:
        return "token"

    async with Clients(NOWHERE, "test") as clients:
        yield create_app(Backends(clients, {}), Operators(token, ()), NOWHERE.temporal)


@pytest_asyncio.fixture
async def operator(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """An operator who asks it."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://operators",
        headers={"Authorization": "Bearer token"},
    ) as client:
        yield client


@pytest.mark.parametrize(("method", "path"), QUESTIONS)
async def test_away_is_503(operator: httpx.AsyncClient, method: str, path: str) -> None:
    """While PostgreSQL and NATS are away the answer says so, and when to ask again."""
    answer = await operator.request(method, path)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:tocsin:problem:unavailable"
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize(("method", "path"), QUESTIONS)
async def test_no_token_is_401(operator: httpx.AsyncClient, method: str, path: str) -> None:
    """Without the operators' token nothing is answered, before anything is asked."""
    answer = await operator.request(method, path, headers={"Authorization": "Bearer other"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "urn:tocsin:problem:unauthenticated"


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/v1/nothing", 404, "not-found"),
        ("GET", "/v1/alerts/", 404, "not-found"),
        ("GET", "/v1/alerts/1", 404, "not-found"),
        ("POST", "/v1/dead-letters/1/redrive", 404, "not-found"),
        ("DELETE", "/v1/alerts", 405, "method-not-allowed"),
        ("GET", "/v1/alerts?limit=0", 400, "invalid-parameter"),
        ("GET", "/v1/balance?since=2h", 400, "invalid-parameter"),
        ("POST", f"/v1/alerts/{AN_ID}/redrive?run=1", 400, "invalid-parameter"),
    ],
)
async def test_refusals_are_problems(
    operator: httpx.AsyncClient, method: str, path: str, status: int, slug: str
) -> None:
    """Every refusal is an RFC 9457 document with a stable type."""
    answer = await operator.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:tocsin:problem:{slug}"
    assert answer.json()["status"] == status


async def test_probes_need_no_token(operator: httpx.AsyncClient) -> None:
    """The process lives without its dependencies, is not ready without them, and says which."""
    operator.headers.pop("Authorization")
    assert (await operator.get("/healthz")).json() == {"status": "ok"}
    ready = await operator.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["dependencies"] == {"postgres": "away", "nats": "away"}
    assert "tocsin_api_requests_total" in (await operator.get("/metrics")).text


async def test_metrics_carry_no_ids(operator: httpx.AsyncClient) -> None:
    """Metrics name the route's template, never what stands in the path."""
    await operator.get(f"/v1/alerts/{AN_ID}")
    metrics = (await operator.get("/metrics")).text
    assert 'tocsin_api_requests_total{route="/v1/alerts/{id}",status="503"}' in metrics
    assert AN_ID not in metrics


async def test_document_describes_the_routes(app: Starlette, operator: httpx.AsyncClient) -> None:
    """The document lists exactly the routes and methods that there are."""
    served = {
        (route.path, method.lower())
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = (await operator.get("/openapi.json")).json()
    assert described["openapi"] == "3.1.0"
    assert {(path, verb) for path, verbs in described["paths"].items() for verb in verbs} == served


async def test_document_is_sound(operator: httpx.AsyncClient) -> None:
    """Every schema is JSON Schema 2020-12, every reference leads somewhere, no id repeats."""
    document = (await operator.get("/openapi.json")).json()
    components = document["components"]["schemas"]
    for schema in components.values():
        Draft202012Validator.check_schema(schema)
    names = {ref.removeprefix("#/components/schemas/") for ref in references(document)}
    assert names <= components.keys()
    operations = [verb for verbs in document["paths"].values() for verb in verbs.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))


def references(node: Any) -> set[str]:
    """All `$ref` in a document."""
    if isinstance(node, list):
        return {ref for child in node for ref in references(child)}
    if not isinstance(node, dict):
        return set()
    own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
    return own | {ref for child in node.values() for ref in references(child)}
