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
        "400": "The body holds no JSON; its bytes are in quarantine",
        "401": "No valid token or capability",
        "403": "The token belongs to another source",
        "408": "The body did not arrive in time",
        "413": "The body is over the source's limit, packed or unpacked",
        "503": "JetStream is full or away; post it again after Retry-After",
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
            **{status: problem_response(text) for status, text in refused.items()},
        },
    }


def problem_response(description: str) -> dict[str, Any]:
    """A response that carries a problem document."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": description,
        "content": {"application/problem+json": {"schema": schema}},
    }


def _get(
    name: str, summary: str, *, content: dict[str, Any] | None = None, unready: bool = False
) -> dict[str, Any]:
    body = {"description": summary, "content": content or {"application/json": {"schema": {}}}}
    responses = {"200": body, **({"503": body} if unready else {})}
    return {"operationId": name, "summary": summary, "responses": responses}
