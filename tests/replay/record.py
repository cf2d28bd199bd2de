"""Records the histories that are replayed: `python -m tests.replay.record`.

One file per way through the workflow. A file is only written where there is none: histories of
earlier versions stay, because a workflow that began under them must still end.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from tests.workflow.test_alert import World, run
from tocsin.domain.work import Notified, Saved
from tocsin.temporal import DATA_CONVERTER

HISTORIES = Path(__file__).with_name("histories")


def ways() -> dict[str, World]:
    """Every way through the workflow, by name."""
    page = Saved(route="page", notifications=("a-0-mail", "a-0-page"))
    delayed = World(saved=Saved(route="post", notifications=("a-0-post",)))
    delayed.faults["SendNotification"] = [ApplicationError("429", type="DeliveryDelayed")] * 2
    fallback = World(
        saved=Saved(route="post", notifications=("a-0-post",)),
        outcomes={"a-0-post": Notified(fallback="a-0-post-fallback")},
    )
    waiting = World()
    waiting.faults["SaveToPostgres"] = [ApplicationError("away", type="StoreUnavailable")] * 2
    broken = World()
    broken.faults["Triage"] = [TypeError("a bug")]
    return {
        "stored-only": World(),
        "paged": World(saved=page),
        "delayed": delayed,
        "fallback": fallback,
        "store-away": waiting,
        "failed": broken,
    }


async def record(environment: WorkflowEnvironment, name: str, world: World) -> None:
    """Run one way and write its history."""
    path = HISTORIES / f"{name}.json"
    if path.exists():
        return
    try:
        ref = await run(environment, world)
        workflow_id = ref.workflow_id
    except WorkflowFailureError:
        workflow_id = f"acme/{world.asked[0][1].alert_id}"
    history = await environment.client.get_workflow_handle(workflow_id).fetch_history()
    path.write_text(json.dumps(_impersonal(json.loads(history.to_json())), indent=1) + "\n")


def _impersonal(value: Any) -> Any:
    """The history without the names of the machine and process that recorded it."""
    if isinstance(value, dict):
        return {
            key: "recorder" if key == "identity" else _impersonal(each)
            for key, each in value.items()
            if key not in {"binaryChecksum", "stackTrace"}
        }
    if isinstance(value, list):
        return [_impersonal(each) for each in value]
    return value


async def main() -> None:
    """Record what is missing."""
    server = Path(sys.executable).with_name("temporal-test-server")
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(server), data_converter=DATA_CONVERTER
    ) as environment:
        for name, world in ways().items():
            await record(environment, name, world)


if __name__ == "__main__":
    asyncio.run(main())
