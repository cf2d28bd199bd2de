"""A bad deploy: alerts under way wait for the rollback, and none is failed by it."""

import uuid
from datetime import timedelta

from temporalio import workflow
from temporalio.client import WorkflowExecutionStatus
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.road import eventually
from tests.workflow.test_alert import World, working
from tocsin.domain.alert import AlertId, AlertRef, TenantName
from tocsin.domain.work import AlertStart, Saved
from tocsin.errors import BUGS
from workflows import policies
from workflows.alert import AlertWorkflow


@workflow.defn(name="AlertWorkflow", sandboxed=False)
class BadDeploy:
    """A workflow whose first command is not the one that is in history."""

    @workflow.run
    async def run(self, start: AlertStart) -> None:
        """Sleep, where triage was."""
        await workflow.sleep(timedelta(seconds=len(start.source)))


async def test_alert_under_way_finishes_after_the_rollback(
    time_skipping: WorkflowEnvironment,
) -> None:
    """Under code that does not fit its history an alert keeps running; the old code ends it."""
    world = World(saved=Saved(route="post", notifications=("a",)))
    busy = ApplicationError("429", type="DeliveryDelayed", next_retry_delay=timedelta(seconds=1))
    world.faults["SendNotification"] = [busy]
    ref = AlertRef(tenant=TenantName("acme"), alert_id=AlertId(uuid.uuid4().hex))
    # Without a cache, and so without a queue that belongs to the worker that is about to go.
    async with working(time_skipping, world, cached=0):
        handle = await time_skipping.client.start_workflow(
            AlertWorkflow.run,
            AlertStart(ref=ref, source="wazuh"),
            id=ref.workflow_id,
            task_queue=policies.ALERTS_QUEUE,
        )

        async def attempted() -> bool:
            return world.sent() == ["a"]

        await eventually(attempted, "the first attempt is made")
    deployed = Worker(
        time_skipping.client,
        task_queue=policies.ALERTS_QUEUE,
        workflows=[BadDeploy],
        workflow_runner=UnsandboxedWorkflowRunner(),
        workflow_failure_exception_types=list(BUGS),
    )
    notify = Worker(
        time_skipping.client,
        task_queue=policies.notify_queue(TenantName("acme")),
        activities=[world.send],
    )
    async with deployed, notify:

        async def refused() -> bool:
            await time_skipping.sleep(timedelta(seconds=5))
            history = await handle.fetch_history()
            return any(
                event.HasField("workflow_task_failed_event_attributes") for event in history.events
            )

        await eventually(refused, "the new code does not fit")
    description = await handle.describe()
    assert description.status == WorkflowExecutionStatus.RUNNING
    async with working(time_skipping, world):
        await handle.result()
    assert world.names()[-1] == "FinishAlert"
