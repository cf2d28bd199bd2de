"""Starting workflows: the only place where alerts meet Temporal."""

from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from tocsin.domain.alert import Alert, AlertRef
from tocsin.domain.work import AlertStart
from tocsin.errors import EngineUnavailable, MessageFault
from tocsin.temporal import SEVERITY, SOURCE, TENANT
from workflows import policies
from workflows.alert import AlertWorkflow

_OF_THE_MESSAGE = {RPCStatusCode.INVALID_ARGUMENT, RPCStatusCode.OUT_OF_RANGE}


class Starter:
    """Starts one `AlertWorkflow` per run of an alert.

    Args:
        client: Connected to the namespace; shared with the worker of the same process, so that
            the first workflow task comes back with the answer (eager start).
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    async def start(self, ref: AlertRef, alert: Alert) -> str:
        """Start the workflow; already started counts as done.

        Returns:
            The run id of the workflow.

        Raises:
            EngineUnavailable: Temporal is away.
            MessageFault: Temporal will never accept this one.
        """
        try:
            handle = await self._client.start_workflow(
                AlertWorkflow.run,
                AlertStart(ref=ref, source=alert.source, severity=alert.severity),
                id=ref.workflow_id,
                task_queue=policies.ALERTS_QUEUE,
                task_timeout=policies.TASK_TIMEOUT,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                request_eager_start=True,
                search_attributes=TypedSearchAttributes(
                    [
                        SearchAttributePair(TENANT, ref.tenant),
                        SearchAttributePair(SOURCE, alert.source),
                        SearchAttributePair(SEVERITY, alert.severity.value),
                    ]
                ),
            )
        except WorkflowAlreadyStartedError as error:
            return error.run_id or ""
        except RPCError as error:
            if error.status in _OF_THE_MESSAGE:
                raise MessageFault(f"Temporal refuses the start: {error.message}") from error
            raise EngineUnavailable(f"Temporal: {error.message}") from error
        except (ValueError, TypeError) as error:
            raise MessageFault(f"the start cannot be encoded: {error}") from error
        return handle.first_execution_run_id or handle.result_run_id or ""
