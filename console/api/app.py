"""The operators' HTTP interface: one table of operations gives the routes and their document."""

from collections.abc import Iterable

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from console.api.alerts import Alerts
from console.api.answers import Redriven
from console.api.backends import Backends
from console.api.books import Books
from console.api.detail import AlertDetail
from console.api.letters import LetterDetail, Letters
from console.api.openapi import Operation, document
from console.api.operators import Operators
from console.api.paging import Page
from ingest.books import Balance
from ingest.problems import HANDLERS, on_error
from tocsin.errors import TocsinError
from tocsin.settings import TemporalSettings
from tocsin.store.dead_letters import LetterItem
from tocsin.store.deliveries import NotificationItem
from tocsin.store.listing import AlertItem
from tocsin.telemetry import API_REQUESTS

log = structlog.get_logger()

_OCSF = {"type": "object", "required": ["class_uid"], "description": "OCSF Detection Finding"}


def create_app(backends: Backends, operators: Operators, temporal: TemporalSettings) -> Starlette:
    """The application.

    Args:
        backends: What it asks.
        operators: Who may use it.
        temporal: Where workflows are, for links.
    """
    operations = _operations(backends, temporal)
    described = document(operations)

    async def openapi(_request: Request) -> Response:
        return JSONResponse(described)

    async def readyz(_request: Request) -> Response:
        states = await backends.report()
        ready = set(states.values()) == {"ok"}
        content = {"status": "ready" if ready else "unavailable", "dependencies": states}
        return JSONResponse(content, 200 if ready else 503)

    app = Starlette(
        routes=[
            *_guarded(operations, backends, operators),
            Route("/healthz", _healthz),
            Route("/readyz", readyz),
            Route("/metrics", _metrics),
            Route("/openapi.json", openapi),
        ],
        exception_handlers=HANDLERS,
    )
    app.router.redirect_slashes = False
    return app


def _operations(backends: Backends, temporal: TemporalSettings) -> tuple[Operation, ...]:
    return (
        *_of_alerts(Alerts(backends, temporal)),
        *_of_letters(Letters(backends)),
        *_of_books(Books(backends)),
    )


def _of_alerts(alerts: Alerts) -> tuple[Operation, ...]:
    return (
        Operation(
            path="/v1/alerts",
            name="listAlerts",
            summary="The latest run of each alert, newest first",
            endpoint=alerts.list,
            parameters=Alerts.LIST,
            answer=Page[AlertItem],
        ),
        Operation(
            path="/v1/alerts/{id}",
            name="showAlert",
            summary="All that is known of one alert",
            endpoint=alerts.show,
            parameters=Alerts.SHOW,
            answer=AlertDetail,
            also=_OCSF,
        ),
        Operation(
            path="/v1/alerts/{id}/redrive",
            name="redriveAlert",
            summary="Publishes a failed or dead alert again, as its next run",
            endpoint=alerts.redrive,
            method="POST",
            parameters=Alerts.REDRIVE,
            answer=Redriven,
        ),
    )


def _of_letters(letters: Letters) -> tuple[Operation, ...]:
    return (
        Operation(
            path="/v1/dead-letters",
            name="listDeadLetters",
            summary="Quarantine and dead letters, newest first",
            endpoint=letters.list,
            parameters=Letters.LIST,
            answer=Page[LetterItem],
        ),
        Operation(
            path="/v1/dead-letters/{id}",
            name="showDeadLetter",
            summary="One letter with its bytes",
            endpoint=letters.show,
            answer=LetterDetail,
        ),
        Operation(
            path="/v1/dead-letters/{id}/redrive",
            name="redriveDeadLetter",
            summary="Publishes what is in a letter again",
            endpoint=letters.redrive,
            method="POST",
            answer=Redriven,
        ),
    )


def _of_books(books: Books) -> tuple[Operation, ...]:
    return (
        Operation(
            path="/v1/balance",
            name="balance",
            summary="Whether all that was received is accounted for",
            endpoint=books.balance,
            answer=Balance,
        ),
        Operation(
            path="/v1/notifications",
            name="listNotifications",
            summary="Who was told, or will be, newest first",
            endpoint=books.notifications,
            parameters=Books.NOTIFICATIONS,
            answer=Page[NotificationItem],
        ),
    )


def _guarded(
    operations: Iterable[Operation], backends: Backends, operators: Operators
) -> list[Route]:
    """Routes that answer operators only; logs and metrics carry the template, never the path."""

    def route(operation: Operation) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                await operators.admit(request.headers)
                response = await backends.bound(operation.endpoint(request))
            except TocsinError as error:
                response = await on_error(request, error)
                status = response.status_code
                log.info("request_refused", route=operation.path, status=status, error=str(error))
            API_REQUESTS.labels(operation.path, str(response.status_code)).inc()
            return response

        return Route(operation.path, endpoint, methods=[operation.method])

    return [route(operation) for operation in operations]


async def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _metrics(_request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
