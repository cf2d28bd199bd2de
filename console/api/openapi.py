"""The OpenAPI 3.1 document of the operators' interface, made from its table of operations."""

import re
from collections.abc import Callable, Coroutine, Iterable
from importlib.metadata import version
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from console.api.parameters import Parameter

_REF: Final = "#/components/schemas/{name}"
_PROBLEM: Final = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "urn:tocsin:problem:NAME, stable"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "parameter": {"type": "string", "description": "Which parameter is wrong"},
        "allowed": {"type": "string", "description": "What it may be"},
    },
}
_REFUSALS: Final = {
    "400": "A parameter is unknown, or has a value that it cannot have",
    "401": "No operators' token",
    "404": "There is nothing of that id",
    "409": "It cannot be redriven; nothing was changed",
    "503": "A dependency is away; ask again after Retry-After",
}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that an operator can ask.

    Attributes:
        path: Its route, with `{id}` where an id stands.
        name: Its operation id.
        summary: What it does.
        endpoint: Answers it.
        answer: Type of the answer.
        method: `GET` or `POST`.
        parameters: Its query parameters.
        also: JSON Schema of the other form of the answer, when there is one.
    """

    path: str
    name: str
    summary: str
    endpoint: Callable[[Request], Coroutine[Any, Any, Response]]
    answer: Any
    method: str = "GET"
    parameters: tuple[Parameter, ...] = ()
    also: dict[str, Any] | None = None


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Write the document."""
    listed = list(operations)
    schemas, components = msgspec.json.schema_components(
        [each.answer for each in listed], ref_template=_REF
    )
    paths: dict[str, Any] = {}
    for operation, schema in zip(listed, schemas, strict=True):
        described = _operation(operation, schema)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tocsin operators",
            "version": version("tocsin"),
            "description": "What became of alerts, and how to send them on their way again.",
        },
        "security": [{"bearer": []}, {"apiKey": []}],
        "paths": paths | _open_paths(),
        "components": {
            "schemas": components | {"Problem": _PROBLEM},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _operation(operation: Operation, schema: dict[str, Any]) -> dict[str, Any]:
    refused = ["400", "401", "503"]
    in_path = re.findall(r"{(\w+)}", operation.path)
    if in_path:
        refused.append("404")
    if operation.method == "POST":
        refused.append("409")
    whole = {"anyOf": [schema, operation.also]} if operation.also else schema
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [
            *(_path_parameter(name) for name in in_path),
            *(_query_parameter(each) for each in operation.parameters),
        ],
        "responses": {
            "200": _response(operation.summary, "application/json", whole),
            **{status: _refusal(status) for status in sorted(refused)},
        },
    }


def _path_parameter(name: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "required": False,
        "description": f"{parameter.description}. Allowed: {parameter.allowed}.",
        "schema": parameter.schema,
    }


def _refusal(status: str) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name="Problem")}
    refusal = _response(_REFUSALS[status], "application/problem+json", schema)
    if status == "503":
        wait = {"description": "Seconds", "schema": {"type": "integer"}}
        refusal["headers"] = {"Retry-After": wait}
    return refusal


def _response(description: str, media_type: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _open_paths() -> dict[str, Any]:
    """What needs no token."""
    unready = _response("PostgreSQL or JetStream is away", "application/json", {"type": "object"})
    readyz = _open("readyz", "Whether questions can be answered")
    readyz["get"]["responses"]["503"] = unready
    return {
        "/healthz": _open("healthz", "Whether the process lives"),
        "/readyz": readyz,
        "/metrics": _open("metrics", "Prometheus metrics", "text/plain"),
        "/openapi.json": _open("openapi", "This document"),
    }


def _open(name: str, summary: str, media_type: str = "application/json") -> dict[str, Any]:
    schema = {"type": "object" if media_type == "application/json" else "string"}
    responses = {"200": _response(summary, media_type, schema)}
    return {
        "get": {"operationId": name, "summary": summary, "security": [], "responses": responses}
    }
