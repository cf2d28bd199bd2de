"""Workflows that began under earlier code must end under this code."""

from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.replay.record import HISTORIES, ways
from tests.workflow.test_alert import runner
from tocsin.domain.work import AlertStart
from tocsin.errors import BUGS
from tocsin.temporal import DATA_CONVERTER
from workflows import policies
from workflows.alert import AlertWorkflow


@workflow.defn(name="AlertWorkflow", sandboxed=False)
class Changed:
    """A workflow that saves before it triages, as a careless change might."""

    @workflow.run
    async def run(self, start: AlertStart) -> None:
        """Ask in another order."""
        await workflow.execute_local_activity(
            "SaveToPostgres", start.ref, start_to_close_timeout=policies.LOCAL_TIMEOUT
        )


def replayer(definition: type) -> Replayer:
    """A replayer of one definition of the workflow, as the worker would run it."""
    return Replayer(
        workflows=[definition],
        data_converter=DATA_CONVERTER,
        workflow_runner=runner(),
        workflow_failure_exception_types=list(BUGS),
    )


def history(path: Path) -> WorkflowHistory:
    """A recorded history."""
    return WorkflowHistory.from_json(path.stem, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(HISTORIES.glob("*.json")), ids=lambda path: path.stem)
async def test_recorded_history_replays(path: Path) -> None:
    """Every recorded history replays under the present workflow."""
    await replayer(AlertWorkflow).replay_workflow(history(path))


def test_every_way_is_recorded() -> None:
    """Each way through the workflow has a history; `python -m tests.replay.record` adds it."""
    assert set(ways()) <= {path.stem for path in HISTORIES.glob("*.json")}


async def test_changed_order_is_noticed() -> None:
    """A workflow that asks in another order does not replay."""
    with pytest.raises(NondeterminismError):
        await replayer(Changed).replay_workflow(history(HISTORIES / "stored-only.json"))
