"""The worker of the stack, as its composition root builds it."""

import uuid
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.road import DEMO, Road
from tocsin.domain.alert import AlertId, AlertRef
from tocsin.domain.work import AlertStart, NotifyRequest
from workflows import policies
from workflows.alert import AlertWorkflow

ENDS_WITHIN = timedelta(seconds=30)


@workflow.defn
class NotifyWorkflow:
    """Sends one notification, as an alert's workflow does."""

    @workflow.run
    async def run(self, request: NotifyRequest) -> None:
        """Ask the worker's own activity."""
        await workflow.execute_activity(
            "SendNotification",
            request,
            task_queue=policies.notify_queue(DEMO),
            start_to_close_timeout=policies.NOTIFY_TIMEOUT,
            retry_policy=policies.NOTIFY_RETRY,
        )


def cause(failure: WorkflowFailureError) -> ApplicationError:
    """What an activity said when it ended its workflow; a local one says it without a cover."""
    said = failure.cause.cause if isinstance(failure.cause, ActivityError) else failure.cause
    assert isinstance(said, ApplicationError)
    return said


async def test_alert_that_is_not_there_is_not_tried_for_ever(road: Road) -> None:
    """A bug in a local activity ends the alert's workflow, with its type and its text."""
    ref = AlertRef(tenant=DEMO, alert_id=AlertId(uuid.uuid4().hex))
    client = await road.temporal()
    with pytest.raises(WorkflowFailureError) as caught:
        await client.execute_workflow(
            AlertWorkflow.run,
            AlertStart(ref=ref),
            id=ref.workflow_id,
            task_queue=policies.ALERTS_QUEUE,
            execution_timeout=ENDS_WITHIN,
        )
    said = cause(caught.value)
    assert (said.type, said.message) == ("LookupError", f"no alert {ref.workflow_id}")


async def test_notification_that_is_not_there_is_not_tried_for_ever(road: Road) -> None:
    """A bug in what leaves the machine ends its workflow, too."""
    client, name = await road.temporal(), uuid.uuid4().hex
    worker = Worker(
        client,
        task_queue=name,
        workflows=[NotifyWorkflow],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        with pytest.raises(WorkflowFailureError) as caught:
            await client.execute_workflow(
                NotifyWorkflow.run,
                NotifyRequest(tenant=DEMO, notification=name),
                id=name,
                task_queue=name,
                execution_timeout=ENDS_WITHIN,
            )
    assert cause(caught.value).type == "LookupError"
