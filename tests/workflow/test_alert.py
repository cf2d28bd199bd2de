"""The story of one alert, in the sandbox, with time that passes at once."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio import activity, workflow
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from tocsin.domain.alert import AlertId, AlertRef, TenantName
from tocsin.domain.severity import Severity
from tocsin.domain.verdict import Disposition, Giver, Verdict
from tocsin.domain.work import (
    AlertStart,
    Notified,
    NotifyRequest,
    Plan,
    Saved,
    SaveRequest,
)
from tocsin.errors import BUGS, ConfigError, Problem, StoreUnavailable
from tocsin.temporal import Classifying
from workflows import policies
from workflows.alert import AlertWorkflow

Handle = WorkflowHandle[AlertWorkflow, None]
ACME = TenantName("acme")
VERDICT = Verdict(severity=Severity.HIGH, disposition=Disposition.SUSPICIOUS, given_by=Giver.RULES)


class World:
    """What the activities of a test answer, and what they were asked."""

    def __init__(
        self, *, saved: Saved | None = None, outcomes: dict[str, Notified] | None = None
    ) -> None:
        self.plan = Plan(verdict=VERDICT, notes=("a rule erred",))
        self.saved = saved or Saved()
        self.outcomes = outcomes or {}
        self.asked: list[Any] = []
        self.faults: dict[str, list[Exception]] = {}

    def _answer(self, name: str, request: Any) -> None:
        self.asked.append((name, request))
        if self.faults.get(name):
            raise self.faults[name].pop(0)

    @activity.defn(name="Triage")
    async def triage(self, ref: AlertRef) -> Plan:
        """Stand in for triage."""
        self._answer("Triage", ref)
        return self.plan

    @activity.defn(name="SaveToPostgres")
    async def save(self, request: SaveRequest) -> Saved:
        """Stand in for storage."""
        self._answer("SaveToPostgres", request)
        return self.saved

    @activity.defn(name="FinishAlert")
    async def finish(self, ref: AlertRef) -> None:
        """Stand in for storage."""
        self._answer("FinishAlert", ref)

    @activity.defn(name="SendNotification")
    async def send(self, request: NotifyRequest) -> Notified:
        """Stand in for a channel."""
        self._answer("SendNotification", request.notification)
        return self.outcomes.get(request.notification, Notified())

    def names(self) -> list[str]:
        """The activities in the order they were asked."""
        return [name for name, _ in self.asked]

    def sent(self) -> list[str]:
        """The notifications that were attempted, sorted."""
        return sorted(request for name, request in self.asked if name == "SendNotification")


def runner() -> SandboxedWorkflowRunner:
    """The sandbox, refusing any module that would slip through it by accident."""
    policy = workflow.SandboxImportNotificationPolicy
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_import_notification_policy(
            policy.WARN_ON_DYNAMIC_IMPORT | policy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
        )
    )


@asynccontextmanager
async def working(
    environment: WorkflowEnvironment, world: World, *, cached: int = 1000
) -> AsyncIterator[None]:
    """Workers on both queues, as the worker process has them."""
    alerts = Worker(
        environment.client,
        task_queue=policies.ALERTS_QUEUE,
        workflows=[AlertWorkflow],
        activities=[world.triage, world.save, world.finish],
        workflow_runner=runner(),
        workflow_failure_exception_types=list(BUGS),
        max_cached_workflows=cached,
        interceptors=[Classifying()],
    )
    notify = Worker(
        environment.client,
        task_queue=policies.notify_queue(ACME),
        activities=[world.send],
        interceptors=[Classifying()],
    )
    async with alerts, notify:
        yield


async def start(environment: WorkflowEnvironment, tenant: TenantName) -> tuple[AlertRef, Handle]:
    """Start one alert of a tenant."""
    ref = AlertRef(tenant=tenant, alert_id=AlertId(uuid.uuid4().hex))
    handle = await environment.client.start_workflow(
        AlertWorkflow.run,
        AlertStart(ref=ref, source="wazuh"),
        id=ref.workflow_id,
        task_queue=policies.ALERTS_QUEUE,
    )
    return ref, handle


async def run(environment: WorkflowEnvironment, world: World) -> AlertRef:
    """Run one alert from start to end."""
    async with working(environment, world):
        ref, handle = await start(environment, ACME)
        await handle.result()
    return ref


async def test_quiet_alert_costs_two_local_activities(time_skipping: WorkflowEnvironment) -> None:
    """An alert that nobody shall hear of is triaged and saved, and that is all."""
    world = World()
    ref = await run(time_skipping, world)
    assert world.names() == ["Triage", "SaveToPostgres"]
    assert world.asked[1][1] == SaveRequest(ref=ref, verdict=VERDICT, notes=("a rule erred",))


async def test_history_of_a_quiet_alert_schedules_nothing(
    time_skipping: WorkflowEnvironment,
) -> None:
    """Local activities leave markers in history, and no task for the server to match."""
    ref = await run(time_skipping, World())
    history = await time_skipping.client.get_workflow_handle(ref.workflow_id).fetch_history()
    kinds = {event.WhichOneof("attributes") for event in history.events}
    assert "activity_task_scheduled_event_attributes" not in kinds


async def test_everybody_on_the_route_is_told_before_it_is_finished(
    time_skipping: WorkflowEnvironment,
) -> None:
    """Every notification is sent, and only then the alert is finished."""
    world = World(saved=Saved(route="page", notifications=("a", "b", "c")))
    await run(time_skipping, world)
    assert world.sent() == ["a", "b", "c"]
    assert world.names()[-1] == "FinishAlert"


async def test_workflow_follows_what_was_stored(time_skipping: WorkflowEnvironment) -> None:
    """What an earlier writer stored decides whom to tell, not the plan of this attempt."""
    world = World(saved=Saved(severity=Severity.LOW, route="other", notifications=("theirs",)))
    await run(time_skipping, world)
    assert world.sent() == ["theirs"]


async def test_notification_waits_for_senders_of_its_own_tenant(
    time_skipping: WorkflowEnvironment,
) -> None:
    """Notifications of a tenant whose file no worker has wait until one has it."""
    world = World(saved=Saved(route="page", notifications=("a",)))
    absent = TenantName("absent")
    async with working(time_skipping, world):
        _, waiting = await start(time_skipping, absent)
        _, other = await start(time_skipping, ACME)
        await other.result()
        assert world.sent() == ["a"]
        senders = Worker(
            time_skipping.client,
            task_queue=policies.notify_queue(absent),
            activities=[world.send],
        )
        async with senders:
            await waiting.result()
    assert world.sent() == ["a", "a"]


async def test_fallback_hears_of_what_failed_for_good(time_skipping: WorkflowEnvironment) -> None:
    """A notification that fails for good is followed by the fallback's, once."""
    world = World(
        saved=Saved(route="page", notifications=("a",)),
        outcomes={
            "a": Notified(fallback="a-fallback"),
            "a-fallback": Notified(),
        },
    )
    await run(time_skipping, world)
    assert world.sent() == ["a", "a-fallback"]
    assert world.names()[-1] == "FinishAlert"


async def test_busy_receiver_is_tried_again(time_skipping: WorkflowEnvironment) -> None:
    """A delayed delivery is tried again until it succeeds, hours later if need be."""
    world = World(saved=Saved(route="page", notifications=("a",)))
    busy = ApplicationError("429", type="DeliveryDelayed")
    world.faults["SendNotification"] = [busy] * 40
    await run(time_skipping, world)
    assert world.sent() == ["a"] * 41


async def test_one_broken_notification_does_not_stop_the_others(
    time_skipping: WorkflowEnvironment,
) -> None:
    """When one notification breaks by a bug, the others are still sent, and the alert fails."""
    world = World(saved=Saved(route="page", notifications=("a", "b")))
    world.faults["SendNotification"] = [TypeError("a bug")]
    with pytest.raises(WorkflowFailureError):
        await run(time_skipping, world)
    assert world.sent() == ["a", "b"]
    assert "FinishAlert" not in world.names()


@pytest.mark.parametrize(
    "fault",
    [
        *(bug("a bug") for bug in BUGS),
        KeyError("of a subclass"),
        RecursionError("of a subclass"),
        UnicodeDecodeError("utf-8", b"", 0, 1, "of a subclass"),
        ConfigError((Problem(file="tenants", message="of ours, and not retryable"),)),
    ],
    ids=lambda each: type(each).__name__,
)
async def test_bug_in_triage_fails_the_alert(
    time_skipping: WorkflowEnvironment, fault: Exception
) -> None:
    """A bug of ours ends the workflow at once instead of being retried for ever."""
    world = World()
    world.faults["Triage"] = [fault] * 2
    with pytest.raises(WorkflowFailureError):
        await run(time_skipping, world)
    assert world.names() == ["Triage"]


async def test_store_that_is_away_is_waited_for(time_skipping: WorkflowEnvironment) -> None:
    """While PostgreSQL is away a local activity is repeated until it is back."""
    world = World()
    world.faults["SaveToPostgres"] = [StoreUnavailable("PostgreSQL is away")] * 5
    await asyncio.wait_for(run(time_skipping, world), 60)
    assert world.names().count("SaveToPostgres") == 6
