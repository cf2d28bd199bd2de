"""Errors as RFC 9457 `application/problem+json`, each with a stable `type`."""

import math
from http import HTTPStatus
from typing import Any, Final

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tocsin.errors import BadInput, TocsinError, Unavailable

log = structlog.get_logger()

TYPE_BASE: Final = "urn:tocsin:problem:"

_TITLES: Final = {
    "not-json": "The body holds no JSON",
    "not-http": "The request is no HTTP",
    "not-an-alert": "The body holds no alert",
    "too-large": "The body is too large",
    "unauthenticated": "No valid token or capability",
    "wrong-source": "The token belongs to another source",
    "tenant-full": "The bound of this tenant is reached",
    "stream-full": "The bound of all tenants together is reached",
    "unavailable": "A dependency is away",
    "too-slow": "The body did not arrive in time",
    "not-found": "There is nothing here",
    "method-not-allowed": "This address takes another method",
    "invalid-parameter": "A parameter is wrong",
    "not-redrivable": "It cannot be redriven",
    "internal": "An error of ours",
}


class Problems(JSONResponse):
    """A problem document."""

    media_type = "application/problem+json"


def problem(
    slug: str,
    status: int,
    detail: str,
    *,
    headers: dict[str, str] | None = None,
    **more: Any,  # noqa: ANN401 - JSON
) -> Response:
    """Build a problem document.

    Args:
        slug: Last part of its type, one of the table above.
        status: HTTP status.
        detail: What is wrong with this request, and what to do.
        headers: More headers.
        **more: Extension members.
    """
    content = {
        "type": TYPE_BASE + slug,
        "title": _TITLES[slug],
        "status": status,
        "detail": detail,
        **more,
    }
    return Problems(content, status_code=status, headers=headers)


async def on_error(_request: Request, error: Exception) -> Response:
    """Answer any error of ours; Starlette calls it."""
    if isinstance(error, BadInput):
        challenge = (
            {"WWW-Authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else {}
        )
        return problem(error.slug, error.status, str(error), headers=challenge, **error.members)
    if isinstance(error, Unavailable):
        wait = str(math.ceil(error.retry_after.total_seconds()))
        return problem(error.slug, 503, str(error), headers={"Retry-After": wait})
    log.error("internal_error", error=type(error).__name__, exc_info=error)
    return problem("internal", 500, "This is a bug of ours; the log of the process has more.")


async def on_http_error(_request: Request, error: Exception) -> Response:
    """Answer what the framework itself refuses."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status == HTTPStatus.NOT_FOUND:
        return problem("not-found", 404, "See /openapi.json for what there is.")
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return problem("method-not-allowed", 405, "See the Allow header.", headers=headers)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return problem("too-large", 413, "The body is over the limit of this address.")
    return problem("internal", status, "The request could not be handled.")


HANDLERS: Final = {TocsinError: on_error, HTTPException: on_http_error, Exception: on_error}
