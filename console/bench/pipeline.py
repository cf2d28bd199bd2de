"""Finished alerts a second, beside a bare workflow of two local activities on the same server.

Both run in this process, one after the other and several times, with the same event loop, the same
runner, as many in flight, and payloads of the same size; what differs is everything tocsin does.
"""

import asyncio
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import text
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from console.bench.bare import BARE_QUEUE, BareWorkflow
from console.embedded.configuration import DEMO
from console.embedded.options import StackOptions
from console.embedded.stack import Stack
from console.processes.clients import Clients
from console.processes.worker import work
from tocsin import bus as names
from tocsin.domain.alert import AlertId, AlertRef, TenantName
from tocsin.domain.work import AlertStart, Plan, Saved, SaveRequest
from tocsin.jetstream import Bus
from tocsin.settings import load_settings
from tocsin.store.database import Database
from tocsin.temporal import connect
from workflows import policies

_ROUNDS: Final = 5
_TENANT: Final = TenantName(DEMO)
_SERVERS_ONLY: Final = frozenset({"inbox", "receiver", "worker", "api"})


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One benchmark's result.

    Attributes:
        name: Which benchmark.
        value: Median over the rounds.
        unit: Of value and reference.
        reference: Median of the reference in the same run.
        ratio: Value by reference, the median over the rounds' ratios.
    """

    name: str
    value: float
    unit: str
    reference: float
    ratio: float


async def pipeline(count: int, report: Callable[[str], None]) -> Measured:
    """Measure.

    Args:
        count: Alerts per round.
        report: Takes a line per round.
    """
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        options = StackOptions(data_dir=Path(folder), without=_SERVERS_ONLY)
        async with Stack(options, report=report) as endpoints:
            settings = load_settings(Path(endpoints.configuration))
            async with Clients(settings, "bench") as clients:
                return await _measure(clients, count, report)


async def _measure(clients: Clients, count: int, report: Callable[[str], None]) -> Measured:
    client = await connect(clients.settings.temporal)
    bus, database = await clients.bus(), await clients.database()
    in_flight = clients.settings.worker.batch
    values, references = [], []
    for number in range(_ROUNDS + 1):
        reference = await _bare(client, count, in_flight)
        value = await _working(clients, bus, database, count)
        if number == 0:
            continue  # both sides warm up
        values.append(value)
        references.append(reference)
        report(f"round {number}: {value:.0f} alerts/s, bare workflow {reference:.0f}/s")
    ratios = [value / reference for value, reference in zip(values, references, strict=True)]
    return Measured(
        name="pipeline",
        value=round(statistics.median(values), 1),
        unit="alerts/s",
        reference=round(statistics.median(references), 1),
        ratio=round(statistics.median(ratios), 3),
    )


async def _working(clients: Clients, bus: Bus, database: Database, count: int) -> float:
    """Alerts a second from the first message published to the last alert finished."""
    stop = asyncio.Event()
    working = asyncio.create_task(work(clients, stop))
    try:
        return await _publish_and_wait(bus, database, count)
    finally:
        stop.set()
        await working


async def _publish_and_wait(bus: Bus, database: Database, count: int) -> float:
    marker = uuid.uuid4().hex
    await _finished(database, marker, 0)
    began = datetime.now(UTC)
    await asyncio.gather(
        *(
            bus.publish(names.ingest_subject(_TENANT), _alert(marker, number), {})
            for number in range(count)
        )
    )
    ended = await _finished(database, marker, count)
    return count / (ended - began).total_seconds()


async def _finished(database: Database, marker: str, count: int) -> datetime:
    """Wait until all are finished, and say when the last one was."""
    query = text(
        "SELECT count(*) AS n, max(finished_at) AS at FROM alerts "
        "WHERE state = 'finished' AND alert->>'location' = :marker"
    )
    while True:
        async with database.transaction() as connection:
            row = (await connection.execute(query, {"marker": marker})).one()
        if row.n >= count:
            return row.at or datetime.now(UTC)
        await asyncio.sleep(0.1)


def _alert(marker: str, number: int) -> bytes:
    """A Wazuh alert of ordinary size that nobody is told of; `location` marks the run."""
    return msgspec.json.encode(
        {
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000"),
            "rule": {
                "level": 3,
                "description": "sshd: authentication success.",
                "id": "5715",
                "firedtimes": number,
                "mail": False,
                "groups": ["syslog", "sshd", "authentication_success"],
                "mitre": {"id": ["T1078", "T1021"]},
            },
            "agent": {"id": "001", "name": "web-01", "ip": "192.0.2.10"},
            "manager": {"name": "manager-1"},
            "id": f"1795187045.{number}",
            "full_log": f"Nov 20 15:04:05 web-01 sshd[{number}]: Accepted publickey for deploy "
            "from 198.51.100.24 port 52210 ssh2: ED25519 SHA256:" + "x" * 43,
            "predecoder": {"program_name": "sshd", "hostname": "web-01"},
            "decoder": {"parent": "sshd", "name": "sshd"},
            "data": {"srcip": "198.51.100.24", "srcport": "52210", "dstuser": "deploy"},
            "location": marker,
        }
    )


class _Idle:
    """The bare workflow's activities; the second says when each workflow is through."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.through = asyncio.Event()

    @activity.defn(name="BareTriage")
    async def triage(self, _ref: AlertRef) -> Plan:
        """Answer with a plan."""
        return Plan()

    @activity.defn(name="BareSave")
    async def save(self, _request: SaveRequest) -> Saved:
        """Count."""
        self._left -= 1
        if self._left == 0:
            self.through.set()
        return Saved(route="store")


async def _bare(client: Client, count: int, in_flight: int) -> float:
    """Bare workflows a second, started as the dispatcher starts alerts: in batches."""
    idle = _Idle(count)
    worker = Worker(
        client,
        task_queue=BARE_QUEUE,
        workflows=[BareWorkflow],
        activities=[idle.triage, idle.save],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_concurrent_workflow_tasks=200,
        max_concurrent_local_activities=200,
    )
    async with worker:
        began = time.perf_counter()
        for first in range(0, count, in_flight):
            await asyncio.gather(
                *(_start(client) for _ in range(first, min(first + in_flight, count)))
            )
        await idle.through.wait()
        return count / (time.perf_counter() - began)


async def _start(client: Client) -> None:
    ref = AlertRef(tenant=_TENANT, alert_id=AlertId(uuid.uuid4().hex))
    await client.start_workflow(
        BareWorkflow.run,
        AlertStart(ref=ref, source="wazuh"),
        id=f"bench/{ref.alert_id}",
        task_queue=BARE_QUEUE,
        task_timeout=policies.TASK_TIMEOUT,
        request_eager_start=True,
    )
