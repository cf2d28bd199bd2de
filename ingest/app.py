"""The receiver's HTTP interface: authenticate, bound, publish, answer.

Logs, metrics and problem documents carry the route's template, never the path: a capability is a
secret.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingest.auth import Keyring, Sender, presented_token
from ingest.openapi import document
from ingest.problems import HANDLERS, on_error, problem
from ingest.publisher import Publisher
from ingest.readiness import Readiness
from tocsin.errors import TocsinError, TooLarge
from tocsin.telemetry import REQUEST_SECONDS, REQUESTS

log = structlog.get_logger()

_BODY_TIMEOUT: Final = timedelta(seconds=30)
_ALERTS: Final = "/v1/alerts/{source}"
_HOOK: Final = "/v1/hook/{capability}"
_NO_ROUTE: Final = "other"


class Edge:
    """What senders meet.

    Args:
        keyring: Who may post.
        publisher: Where events go.
        readiness: Whether they would arrive.
        body_timeout: Longest wait for a whole body.
    """

    def __init__(
        self,
        keyring: Keyring,
        publisher: Publisher,
        readiness: Readiness,
        *,
        body_timeout: timedelta = _BODY_TIMEOUT,
    ) -> None:
        self._keyring = keyring
        self._publisher = publisher
        self._readiness = readiness
        self._body_seconds = body_timeout.total_seconds()

    async def alerts(self, request: Request) -> Response:
        """`POST /v1/alerts/{source}` with a token."""
        return await self._answer(request, _ALERTS, self._by_token)

    async def hook(self, request: Request) -> Response:
        """`POST /v1/hook/{capability}` for senders that can set no header."""
        return await self._answer(request, _HOOK, self._by_capability)

    async def healthz(self, _request: Request) -> Response:
        """Whether the process lives."""
        return _json({"status": "ok"})

    async def readyz(self, _request: Request) -> Response:
        """Whether an event posted now would be kept; other dependencies are only listed."""
        report = await self._readiness.report()
        return _json(report, 200 if report["status"] != "unavailable" else 503)

    async def metrics(self, _request: Request) -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def openapi(self, _request: Request) -> Response:
        """The OpenAPI 3.1 document."""
        return _json(document())

    def _by_token(self, request: Request) -> Sender:
        source = request.path_params["source"]
        return self._keyring.by_token(presented_token(request.headers), source)

    def _by_capability(self, request: Request) -> Sender:
        return self._keyring.by_capability(request.path_params["capability"])

    async def _answer(
        self, request: Request, route: str, authenticate: Callable[[Request], Sender]
    ) -> Response:
        try:
            return await self._take(request, authenticate(request))
        except TocsinError as error:
            response = await on_error(request, error)
            log.info("request_refused", route=route, status=response.status_code, error=str(error))
            return response

    async def _take(self, request: Request, sender: Sender) -> Response:
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await _read(request, sender.source.max_body)
        except TimeoutError:
            return problem(
                "too-slow",
                408,
                f"The body took longer than {self._body_seconds:.0f} s.",
                headers={"Connection": "close"},
            )
        except ClientDisconnect:
            return problem("not-json", 400, "The connection closed before the body was complete.")
        encoding = request.headers.get("content-encoding", "").strip().lower()
        outcome = await self._publisher.take(sender, body, encoding, datetime.now(UTC))
        return _json(outcome, 202)


class Counted:
    """Counts every request by the template of its route, and never by its path.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, and count the answer."""
        began = time.perf_counter()
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def watch(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            route = scope.get("route")
            template = route.path if isinstance(route, Route) else _NO_ROUTE
            REQUESTS.labels(template, str(status)).inc()
            REQUEST_SECONDS.labels(template).observe(time.perf_counter() - began)


def create_app(edge: Edge) -> Starlette:
    """The application."""
    routes = [
        Route(_ALERTS, edge.alerts, methods=["POST"]),
        Route(_HOOK, edge.hook, methods=["POST"]),
        Route("/healthz", edge.healthz),
        Route("/readyz", edge.readyz),
        Route("/metrics", edge.metrics),
        Route("/openapi.json", edge.openapi),
    ]
    app = Starlette(routes=routes, exception_handlers=HANDLERS, middleware=[Middleware(Counted)])
    app.router.redirect_slashes = False
    return app


async def _read(request: Request, limit: int) -> bytes:
    """Read the body, never holding more than the limit.

    Raises:
        TooLarge: It is longer, by its own account or in fact.
    """
    refusal = TooLarge(f"The body is over this source's limit of {limit} bytes.")
    declared = request.headers.get("content-length", "").lstrip("0")
    if declared.isdecimal() and (len(declared) > len(str(limit)) or int(declared) > limit):
        raise refusal
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise refusal
    return bytes(body)


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")
