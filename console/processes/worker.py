"""`tocsin work`: dispatcher and workflow worker in one process, so that starts are eager."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Final

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from temporalio.client import Client
from temporalio.worker import (
    PollerBehaviorAutoscaling,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from activities.registry import Activities, activities, channels
from console.processes.clients import Clients, stopping, together
from console.processes.web import Web
from ingest.dispatcher.bookkeeper import show_books
from ingest.dispatcher.deserted import tell_deserted
from ingest.dispatcher.janitor import Janitor
from ingest.dispatcher.ledger import keep_ledger
from ingest.dispatcher.patience import Patience, Stopping
from ingest.dispatcher.queue import TenantQueue
from ingest.dispatcher.reader import Reader
from ingest.dispatcher.starter import Starter
from ingest.dispatcher.sweeper import Sweeper
from ingest.sources.registry import open_source
from tocsin import temporal
from tocsin.domain.alert import TenantName
from tocsin.errors import BUGS
from tocsin.outbound import Outbound
from tocsin.settings import Settings, WorkerSettings
from tocsin.store.recent import RecentAlerts
from tocsin.streams import provide_consumers
from tocsin.tenant_files import load_tenants
from workflows import policies
from workflows.alert import AlertWorkflow

log = structlog.get_logger()

# Of one tenant, sent at once by this process.
_NOTIFICATIONS: Final = 25
_NOTIFY_POLLERS: Final = PollerBehaviorAutoscaling(minimum=1, maximum=5, initial=1)
_CACHED_WORKFLOWS: Final = 1000
_DRAIN: Final = timedelta(seconds=3)


async def run(settings: Settings) -> None:
    """Work until asked to stop.

    Raises:
        ConfigError: A tenant file or an address is wrong.
    """
    async with stopping() as stop, Clients(settings, "worker") as clients:
        web = Web(_probes(), listen=settings.worker.metrics_listen, insecure=True)
        with suppress(Stopping):
            await together(stop, web.run(stop), work(clients, stop))


async def work(clients: Clients, stop: asyncio.Event) -> None:
    """Dispatch, run workflows and keep the books, until `stop` is set.

    Raises:
        ConfigError: A tenant file is wrong.
        Stopping: It is set before everything is connected.
    """
    settings = clients.settings
    tenants = load_tenants(settings.tenants)
    patience = Patience(stop)
    bus = await patience.unless_stopping(patience.hold(clients.bus))
    database = await patience.hold(clients.database)
    await patience.hold(lambda: provide_consumers(bus, settings.worker, tenants))
    client = await patience.hold(lambda: temporal.connect(settings.temporal))
    recent = RecentAlerts(database)
    outbound = Outbound(settings.outbound)
    clients.closing(outbound.close)
    queues = (
        TenantQueue(
            name,
            bus=bus,
            database=database,
            recent=recent,
            starter=Starter(client),
            reader=Reader({each.name: open_source(each) for each in tenant.sources}),
            patience=patience,
            settings=settings.worker,
        )
        for name, tenant in tenants.items()
    )
    ways = channels(outbound, clients.secrets)
    workers = _workers(
        client, activities(database, recent, bus, tenants, ways), tenants, settings.worker
    )
    await together(
        stop,
        *(_serve(worker, stop) for worker in workers),
        keep_ledger(bus, database, patience),
        Sweeper(client, database, patience, settings.worker.sweep_interval).run(),
        Janitor(bus, database, tenants, settings.nats, patience).run(),
        show_books(bus, database, tenants, patience),
        tell_deserted(database, tenants, patience),
        *(queue.run() for queue in queues),
    )


def _workers(
    client: Client, work: Activities, tenants: Iterable[TenantName], settings: WorkerSettings
) -> list[Worker]:
    """One for workflows with their local activities, and one per tenant for its notifications.

    What is too much for a tenant's receivers waits at Temporal, on the tenant's own queue, where it
    costs no attempt and takes nobody's place.
    """
    runner: WorkflowRunner = (
        SandboxedWorkflowRunner() if settings.sandbox else UnsandboxedWorkflowRunner()
    )
    alerts = Worker(
        client,
        task_queue=policies.ALERTS_QUEUE,
        workflows=[AlertWorkflow],
        activities=list(work.local),
        workflow_runner=runner,
        workflow_failure_exception_types=list(BUGS),
        max_concurrent_workflow_tasks=settings.in_flight,
        max_concurrent_local_activities=settings.in_flight,
        max_cached_workflows=_CACHED_WORKFLOWS,
        interceptors=[temporal.Classifying()],
        sticky_queue_schedule_to_start_timeout=policies.STICKY_TIMEOUT,
        graceful_shutdown_timeout=_DRAIN,
    )
    notify = (
        Worker(
            client,
            task_queue=policies.notify_queue(tenant),
            activities=list(work.notify),
            interceptors=[temporal.Classifying()],
            max_concurrent_activities=_NOTIFICATIONS,
            activity_task_poller_behavior=_NOTIFY_POLLERS,
            graceful_shutdown_timeout=_DRAIN,
        )
        for tenant in tenants
    )
    return [alerts, *notify]


async def _serve(worker: Worker, stop: asyncio.Event) -> None:
    async with worker:
        log.info("worker_started", queue=worker.task_queue)
        await stop.wait()


def _probes() -> Starlette:
    """`/healthz` and `/metrics` of the worker."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/metrics", metrics)])
