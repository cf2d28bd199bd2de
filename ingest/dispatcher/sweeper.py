"""The sweeper: copies the end of workflows that could not say it themselves to their rows."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from ingest.dispatcher.patience import Patience
from tocsin.domain.alert import AlertRef
from tocsin.errors import EngineUnavailable, Unavailable
from tocsin.store import alerts
from tocsin.store.alerts import Place
from tocsin.store.database import Database
from tocsin.telemetry import SWEPT

log = structlog.get_logger()

# Younger runs are left alone: most end by themselves within milliseconds.
_AGE: Final = timedelta(seconds=5)
_MOST: Final = 100


class Sweeper:
    """Looks after runs that are open for long.

    Args:
        client: Where the workflows are.
        database: Where their rows are.
        patience: Ends the sweeping when the process drains.
        interval: Pause between two looks.
    """

    def __init__(
        self, client: Client, database: Database, patience: Patience, interval: timedelta
    ) -> None:
        self._client = client
        self._database = database
        self._patience = patience
        self._interval = interval
        self._place = Place()

    async def run(self) -> None:
        """Sweep until the process drains; what is away now is looked at the next time."""
        while not self._patience.stopping.is_set():
            await self._patience.pause(self._interval.total_seconds())
            try:
                await self.sweep()
            except Unavailable as error:
                log.warning("dependency_away", dependency=error.dependency, error=str(error))

    async def sweep(self) -> int:
        """Look at the next ones, going round.

        Returns:
            How many rows were settled.

        Raises:
            Unavailable: PostgreSQL or Temporal is away.
        """
        refs, self._place = await alerts.still_open(
            self._database, age=_AGE.total_seconds(), after=self._place, limit=_MOST
        )
        ends = await asyncio.gather(*(self._ended(ref) for ref in refs))
        ended = [(ref, end) for ref, end in zip(refs, ends, strict=True) if end]
        for ref, (state, error) in ended:
            SWEPT.labels(ref.tenant, state).inc()
            log.warning(
                "alert_swept",
                state=state,
                tenant=ref.tenant,
                alert_id=ref.alert_id,
                run=ref.run,
                error=error,
            )
            await self._settle(ref, state, error)
        return len(ended)

    async def _settle(self, ref: AlertRef, state: str, error: str) -> None:
        if state == "finished":
            await alerts.mark_finished(self._database, ref)
        else:
            await alerts.mark_ended(self._database, ref, state=state, error=error)

    async def _ended(self, ref: AlertRef) -> tuple[str, str] | None:
        """The row's state and error for a workflow that has ended; None while it runs."""
        handle = self._client.get_workflow_handle(ref.workflow_id)
        try:
            description = await handle.describe()
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return "failed", "Temporal does not know its workflow any more"
            raise EngineUnavailable(f"Temporal: {error.message}") from error
        if description.status in {None, WorkflowExecutionStatus.RUNNING}:
            return None
        if description.status == WorkflowExecutionStatus.COMPLETED:
            return "finished", ""
        return "failed", await self._why(ref, str(description.status and description.status.name))

    async def _why(self, ref: AlertRef, status: str) -> str:
        handle = self._client.get_workflow_handle(ref.workflow_id)
        try:
            last = [event async for event in handle.fetch_history_events(page_size=1000)][-1]
        except (RPCError, IndexError):
            return status.lower()
        failure = last.workflow_execution_failed_event_attributes.failure
        reason = last.workflow_execution_terminated_event_attributes.reason
        while failure.HasField("cause"):
            failure = failure.cause
        return f"{status.lower()}: {failure.message or reason}".rstrip(": ")
