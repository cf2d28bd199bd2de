"""The receiver's OpenAPI 3.1 document."""

from importlib.metadata import version
from typing import Any, Final

_BODY: Final = {
    "required": True,
    "description": (
        "One object, an array, NDJSON or JSON values one after the other; gzip with "
        "`Content-Encoding: gzip`."
    ),
    "content": {"application/json": {"schema": {}}, "application/x-ndjson": {"schema": {}}},
}
_OUTCOME: Final = {
    "type": "object",
    "required": ["accepted", "duplicates", "quarantined", "ids"],
    "additionalProperties": False,
    "properties": {
        "accepted": {"type": "integer", "minimum": 0, "description": "Events stored now."},
        "duplicates": {"type": "integer", "minimum": 0, "description": "Events held already."},
        "quarantined": {
            "type": "integer",
            "minimum": 0,
            "description": "Pieces that are no alert.",
        },
        "ids": {
            "type": "array",
            "description": "Alert ids in body order; null for a quarantined piece.",
            "items": {"type": ["string", "null"], "pattern": "^[0-9a-f]{32}$"},
        },
    },
}
_PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "description": "urn:tocsin:problem:NAME, stable"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}


def document() -> dict[str, Any]:
    """The document, as `/openapi.json` serves it."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tocsin receiver",
            "version": version("tocsin"),
            "description": "A 202 means that every event is on disk in JetStream.",
        },
        "paths": {
            "/v1/alerts/{source}": {"post": _post("source", [{"bearer": []}, {"apiKey": []}])},
            "/v1/hook/{capability}": {"post": _post("capability", [])},
            "/healthz": {"get": _get("healthz", "Whether the process lives")},
            "/readyz": {
                "get": _get("readyz", "Whether an event posted now would be kept", unready=True)
            },
            "/metrics": {
                "get": _get("metrics", "Prometheus metrics", content={"text/plain": {"schema": {}}})
            },
            "/openapi.json": {"get": _get("openapi", "This document")},
        },
        "components": {
            "schemas": {"Outcome": _OUTCOME, "Problem": _PROBLEM},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _post(parameter: str, security: list[dict[str, list[str]]]) -> dict[str, Any]:
    refused = {
        "400": _problem("The body holds no JSON, its bytes are in quarantine; or it is no HTTP"),
        "401": _problem("No valid token or capability", header="WWW-Authenticate"),
        "403": _problem("The token belongs to another source"),
        "404": _problem(f"The {parameter} holds a slash, so the path is another"),
        "408": _problem("The body did not arrive in time; the connection closes"),
        "413": _problem("The body is over the source's limit, packed or unpacked"),
        "503": _problem("JetStream is full or away; post it again", header="Retry-After"),
    }
    return {
        "operationId": f"postBy{parameter.capitalize()}",
        "summary": "Post alerts",
        "security": security,
        "parameters": [
            {"name": parameter, "in": "path", "required": True, "schema": {"type": "string"}}
        ],
        "requestBody": _BODY,
        "responses": {
            "202": {
                "description": "Every event is kept",
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/Outcome"}}
                },
            },
            **_anywhere(),
            **refused,
        },
    }


def _anywhere() -> dict[str, Any]:
    """What every address answers to a request that it does not understand."""
    return {
        "400": _problem("The request is no HTTP; the connection closes"),
        "405": _problem("This address takes another method", header="Allow"),
        "431": _problem("The headers are too long; the connection closes"),
    }


def _problem(description: str, *, header: str = "") -> dict[str, Any]:
    """A response that carries a problem document, and in some cases a header that says more."""
    schema = {"$ref": "#/components/schemas/Problem"}
    response: dict[str, Any] = {
        "description": description,
        "content": {"application/problem+json": {"schema": schema}},
    }
    if header:
        response["headers"] = {header: {"schema": {"type": "string"}}}
    return response


def _get(
    name: str, summary: str, *, content: dict[str, Any] | None = None, unready: bool = False
) -> dict[str, Any]:
    body = {"description": summary, "content": content or {"application/json": {"schema": {}}}}
    responses = {"200": body, **({"503": body} if unready else {}), **_anywhere()}
    return {"operationId": name, "summary": summary, "responses": responses}
