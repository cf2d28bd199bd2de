"""The receiver's OpenAPI document against what the receiver does."""

import asyncio
import re
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Route

from ingest.openapi import document
from tests.doorstep import serving
from tests.edge import (
    CAPABILITY,
    MAX_BODY,
    OTHER_TOKEN,
    MemoryBus,
    bearer,
    receiver,
    sender,
)

ALERTS = "/v1/alerts/{source}"
HOOK = "/v1/hook/{capability}"
ALERT = msgspec.json.encode({"rule": {"id": "1", "level": 3}, "id": "1.1"})


def schema(route: str, answer: httpx.Response, *, method: str = "post") -> dict[str, Any]:
    """What the document says of an answer."""
    described = document()
    response = described["paths"][route][method]["responses"][str(answer.status_code)]
    content_type = answer.headers["content-type"].partition(";")[0]
    return {**response["content"][content_type]["schema"], "components": described["components"]}


def assert_as_described(route: str, answer: httpx.Response, *, method: str = "post") -> None:
    """An answer is what the document says."""
    Draft202012Validator(schema(route, answer, method=method)).validate(answer.json())


async def test_document_is_served() -> None:
    """`/openapi.json` serves version 3.1, and its schemas are sound."""
    async with sender(receiver(MemoryBus())) as client:
        served = (await client.get("/openapi.json")).json()
    assert served == document()
    assert served["openapi"].startswith("3.1.")
    for each in served["components"]["schemas"].values():
        Draft202012Validator.check_schema(each)


def test_every_route_is_described_and_none_else() -> None:
    """The document and the application know the same paths and methods."""
    routes = [route for route in receiver(MemoryBus()).routes if isinstance(route, Route)]
    served = {
        (route.path, method.lower())
        for route in routes
        for method in route.methods or ()
        if method != "HEAD"
    }
    described = {
        (path, method) for path, operations in document()["paths"].items() for method in operations
    }
    assert served == described


def test_operations_have_names_of_their_own() -> None:
    """A generator of clients finds a distinct name for each operation."""
    operations = [each for path in document()["paths"].values() for each in path.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)


@pytest.mark.parametrize(
    ("status", "token", "body"),
    [
        (202, None, ALERT),
        (202, None, ALERT + b"\n" + ALERT + b"\nno json"),
        (202, None, b"[]"),
        (400, None, b"no json"),
        (401, "unknown", ALERT),
        (403, OTHER_TOKEN, ALERT),
        (413, None, ALERT + b" " * MAX_BODY),
    ],
)
async def test_answer_is_as_described(status: int, token: str | None, body: bytes) -> None:
    """Each answer validates against the document's schema for its status."""
    headers = bearer(token) if token else bearer()
    async with sender(receiver(MemoryBus())) as client:
        answer = await client.post("/v1/alerts/wazuh", content=body, headers=headers)
    assert answer.status_code == status
    assert_as_described(ALERTS, answer)


@pytest.mark.parametrize(("status", "path"), [(202, CAPABILITY), (401, "unknown")])
async def test_hook_answers_as_described(status: int, path: str) -> None:
    """The capability URL answers in the same way."""
    async with sender(receiver(MemoryBus())) as client:
        answer = await client.post(f"/v1/hook/{path}", content=ALERT)
    assert answer.status_code == status
    assert_as_described(HOOK, answer)


async def test_full_bus_is_as_described() -> None:
    """A 503 has the problem's form and a Retry-After."""
    async with sender(receiver(MemoryBus(bound=0))) as client:
        answer = await client.post("/v1/alerts/wazuh", content=ALERT, headers=bearer())
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:tocsin:problem:tenant-full"
    assert int(answer.headers["retry-after"]) >= 1
    assert_as_described(ALERTS, answer)


async def test_slow_body_is_as_described() -> None:
    """A body that does not arrive in time gets a 408, and the connection is closed."""
    app = receiver(MemoryBus(), body_timeout=timedelta(milliseconds=1))
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return await asyncio.Future()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": f"/v1/hook/{CAPABILITY}",
        "query_string": b"",
        "headers": [],
    }
    await app(scope, receive, send)
    answer = httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=sent[1]["body"])
    assert answer.status_code == 408
    assert answer.headers["connection"] == "close"
    assert_as_described(HOOK, answer)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
async def test_probe_is_as_described(path: str) -> None:
    """What probes read validates too."""
    async with sender(receiver(MemoryBus())) as client:
        answer = await client.get(path)
    assert_as_described(path, answer, method="get")


OPERATIONS = [
    (path, method) for path, operations in document()["paths"].items() for method in operations
]


@pytest.mark.parametrize("path", document()["paths"])
async def test_another_method_is_as_described(path: str) -> None:
    """Whatever method an address does not take, the answer is a 405 with Allow, as described."""
    operations = document()["paths"][path]
    others = {"get", "post", "put", "patch", "delete", "options"} - {*operations}
    async with sender(receiver(MemoryBus())) as client:
        answers = [await client.request(other, path.replace("{", "")) for other in others]
    for answer in answers:
        assert answer.status_code == 405
        assert {*operations} <= {*answer.headers["allow"].lower().split(", ")}
        assert_as_described(path, answer, method=next(iter(operations)))


@pytest.mark.parametrize("path", [ALERTS, HOOK])
async def test_path_that_is_another_is_as_described(path: str) -> None:
    """A source or capability with a slash in it leads nowhere, as described."""
    async with sender(receiver(MemoryBus())) as client:
        answer = await client.post(re.sub("{.*}", "a%2Fb", path), content=ALERT)
    assert answer.status_code == 404
    assert_as_described(path, answer)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
@pytest.mark.parametrize(("status", "header"), [(431, b"X: " + b"x" * 70_000), (400, b"\0: x")])
async def test_head_that_is_refused_is_as_described(
    path: str, method: str, status: int, header: bytes
) -> None:
    """What is refused before anybody looks at its path is described for every operation."""
    head = f"{method.upper()} {path.replace('{', '')} HTTP/1.1\r\nHost: x\r\n".encode()
    async with serving() as server:
        said = await server.say(head, header + b"\r\n\r\n")
    top, _, body = said.partition(b"\r\n\r\n")
    assert top.startswith(b"HTTP/1.1 %d" % status)
    headers = {"content-type": "application/problem+json"}
    assert_as_described(path, httpx.Response(status, headers=headers, content=body), method=method)
