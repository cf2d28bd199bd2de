"""What a data directory keeps from one start to the next."""

import json
import signal
from pathlib import Path
from typing import Any

import httpx
import nats
import psycopg
import pytest
from msgspec.structs import replace
from nats.js.api import StreamConfig
from temporalio.client import Client, WorkflowExecutionStatus

from console.embedded.endpoints import Endpoints
from console.embedded.options import SERVERS
from tests.stack import running_command

WORKFLOW = "yesterday"
STREAM = "YESTERDAY"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=lambda end: end.name)
async def test_second_start_finds_yesterday(tmp_path: Path, end: signal.Signals) -> None:
    """A second start finds every row, message, secret and running workflow, however it ended."""
    with running_command(tmp_path, only=SERVERS) as first:
        await write_everywhere(first.endpoints)
        first.end(end)
    with running_command(tmp_path, only=SERVERS) as second:
        await expect_everywhere(second.endpoints)


def test_ports_and_tokens_are_kept(tmp_path: Path) -> None:
    """Ports, tokens and the capability URL are the same at every start."""
    starts = []
    for _ in range(2):
        with running_command(tmp_path, only={"nats", "inbox", "receiver", "api"}) as running:
            starts.append(replace(running.endpoints, pid=0, pids={}))
    assert starts[0] == starts[1]


def test_an_edited_configuration_is_left_alone(tmp_path: Path) -> None:
    """What the operator writes into the tenant file is still there after the next start."""
    tenant = tmp_path / "tenants" / "demo.yaml"
    with running_command(tmp_path, only={"nats"}) as running:
        assert running.endpoints.tenant == "demo"
    tenant.write_text(tenant.read_text() + "# mine\n")
    with running_command(tmp_path, only={"nats"}) as running:
        assert running.endpoints.tenant == "demo"
    assert tenant.read_text().endswith("# mine\n")


async def write_everywhere(there: Endpoints) -> None:
    """Leave a row, a message, a secret and a running workflow."""
    async with await psycopg.AsyncConnection.connect(there.postgres) as connection:
        await connection.execute("CREATE TABLE yesterday (event text)")
        await connection.execute("INSERT INTO yesterday VALUES ('row')")
    bus = await nats.connect(there.nats)
    await bus.jetstream().add_stream(StreamConfig(name=STREAM, subjects=["yesterday"]))
    await bus.jetstream().publish("yesterday", b"message")
    await bus.close()
    secret = {"data": {"key": "secret"}}
    assert (await vault(there, "POST", "secret/data/yesterday", secret)).is_success
    client = await Client.connect(there.temporal)
    await client.start_workflow("Anything", id=WORKFLOW, task_queue="nobody")


async def expect_everywhere(there: Endpoints) -> None:
    """Find all of them again."""
    async with await psycopg.AsyncConnection.connect(there.postgres) as connection:
        row = await (await connection.execute("SELECT event FROM yesterday")).fetchone()
    bus = await nats.connect(there.nats)
    message = await bus.jetstream().get_msg(STREAM, 1)
    await bus.close()
    secret = json.loads((await vault(there, "GET", "secret/data/yesterday")).content)
    client = await Client.connect(there.temporal)
    workflow = await client.get_workflow_handle(WORKFLOW).describe()
    assert row == ("row",)
    assert message.data == b"message"
    assert secret["data"]["data"] == {"key": "secret"}
    assert workflow.status == WorkflowExecutionStatus.RUNNING


async def vault(
    there: Endpoints, method: str, path: str, body: dict[str, Any] | None = None
) -> httpx.Response:
    """Call OpenBao with the token that may do everything."""
    headers = {"X-Vault-Token": there.vault_token}
    async with httpx.AsyncClient(headers=headers, trust_env=False) as client:
        return await client.request(method, f"{there.vault}/v1/{path}", json=body)
