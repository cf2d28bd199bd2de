"""`tocsin migrate`: what exists afterwards, on fresh servers and on upgraded ones."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from google.protobuf.duration_pb2 import Duration
from nats.js.api import AckPolicy, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from sqlalchemy import Connection
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    RegisterNamespaceRequest,
)
from temporalio.client import Client

from console.embedded.options import PROCESSES, StackOptions
from console.processes.clients import Clients
from migrations.upgrade import configuration
from tests.stack import RunningStack, running_stack
from tocsin import bus as names
from tocsin.domain.alert import TenantName
from tocsin.jetstream import Bus
from tocsin.namespace import provide_namespace
from tocsin.settings import NatsSettings, Settings, TemporalSettings, WorkerSettings, load_settings
from tocsin.store.database import Database
from tocsin.store.tables import metadata
from tocsin.streams import CACHE, provide
from tocsin.temporal import connect

AT_ONCE = 5
DAY = 24 * 3600.0
MONTH = timedelta(hours=720)
ATTRIBUTES = dict.fromkeys(
    ("TocsinTenant", "TocsinSource", "TocsinSeverity"),
    IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD,
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Fresh servers on which nothing was ever made."""
    absent = frozenset({"migrate", "vault", *PROCESSES})
    folder = tmp_path_factory.mktemp("fresh")
    with running_stack(StackOptions(data_dir=folder, without=absent)) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def codes(servers: RunningStack) -> list[int]:
    """Exit codes of several `tocsin migrate` that were started at the same time."""
    return await asyncio.gather(*(migrate(servers) for _ in range(AT_ONCE)))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def migrated(servers: RunningStack, codes: list[int]) -> AsyncIterator[Clients]:
    """Clients of the servers, afterwards."""
    assert codes == [0] * AT_ONCE
    async with Clients(read_settings(servers), "tests") as clients:
        yield clients


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bus(migrated: Clients) -> Bus:
    """The bus, afterwards."""
    return await migrated.bus()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def database(migrated: Clients) -> Database:
    """The database, afterwards."""
    return await migrated.database()


async def migrate(servers: RunningStack) -> int:
    """Run the command; its exit code."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "console.main", "migrate"),
        *("--config", servers.endpoints.configuration),
        stdout=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()


def read_settings(servers: RunningStack) -> Settings:
    """The settings of the servers."""
    return load_settings(Path(servers.endpoints.configuration))


async def test_several_at_once_are_safe(codes: list[int]) -> None:
    """However many processes migrate fresh servers together, all of them succeed."""
    assert codes == [0] * AT_ONCE


STREAMS: dict[str, dict[str, Any]] = {
    names.ALERTS: {
        "subjects": ["alerts.ingest.*"],
        "retention": RetentionPolicy.LIMITS,
        "storage": StorageType.FILE,
        "discard": DiscardPolicy.NEW,
        "discard_new_per_subject": True,
        "max_msgs_per_subject": 100_000,
        "max_msgs": -1,
        "max_age": 0,
        "duplicate_window": 3600,
        "allow_direct": True,
        "num_replicas": 1,
    },
    names.FAILED: {
        "subjects": ["alerts.failed.*"],
        "retention": RetentionPolicy.LIMITS,
        "storage": StorageType.FILE,
        "discard": DiscardPolicy.NEW,
        "discard_new_per_subject": True,
        "max_msgs_per_subject": 100_000,
        "max_age": 0,
        "duplicate_window": 3600,
    },
    names.EVENTS: {
        "subjects": ["alerts.enriched.*", "notify.*.*"],
        "storage": StorageType.FILE,
        "discard": DiscardPolicy.OLD,
        "max_age": DAY,
        "max_bytes": 256 * 1024**2,
    },
    f"KV_{CACHE}": {
        "subjects": [f"$KV.{CACHE}.>"],
        "storage": StorageType.MEMORY,
        "max_msgs_per_subject": 1,
        "max_age": 3600,
        "max_bytes": 64 * 1024**2,
        "allow_rollup_hdrs": True,
    },
}


@pytest.mark.parametrize("name", STREAMS)
async def test_stream_is_as_committed(bus: Bus, name: str) -> None:
    """Each stream has the subjects, bounds and storage that its promise needs."""
    config = (await bus.stock.stream(name)).config
    assert {field: getattr(config, field) for field in STREAMS[name]} == STREAMS[name]


async def test_bytes_of_a_stream_are_bounded(servers: RunningStack, bus: Bus) -> None:
    """ALERTS and FAILED are bounded by the settings, so that the disk never fills first."""
    bound = read_settings(servers).nats.max_bytes
    assert (await bus.stock.stream(names.ALERTS)).config.max_bytes == bound
    assert (await bus.stock.stream(names.FAILED)).config.max_bytes == bound // 4


@pytest.mark.parametrize(
    ("stream", "name", "subject"),
    [
        (names.ALERTS, "dispatch-demo", "alerts.ingest.demo"),
        (names.FAILED, "ledger", None),
    ],
)
async def test_consumer_is_as_committed(
    bus: Bus, stream: str, name: str, subject: str | None
) -> None:
    """Consumers are durable, acknowledge one by one, and deliver as often as it takes."""
    consumer = await bus.stock.consumer(stream, name)
    assert consumer is not None
    config = consumer.config
    assert (config.durable_name, config.filter_subject) == (name, subject)
    assert (config.ack_policy, config.max_deliver) == (AckPolicy.EXPLICIT, -1)
    assert (config.ack_wait, config.max_ack_pending) == (10, 1000)


async def test_cache_is_a_bucket(bus: Bus) -> None:
    """The bucket of caches takes and gives values."""
    bucket = await bus.jetstream.key_value(CACHE)
    await bucket.put("agent.007", b"web-07")
    assert (await bucket.get("agent.007")).value == b"web-07"


async def test_schema_is_at_head(database: Database) -> None:
    """The database is at the newest revision, and the tables are those of the code."""

    def compare(connection: Connection) -> tuple[str | None, list[Any]]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return context.get_current_revision(), compare_metadata(context, metadata)

    async with database.transaction() as connection:
        revision, differences = await connection.run_sync(compare)
    assert revision == ScriptDirectory.from_config(configuration()).get_current_head()
    assert differences == []


async def retention(client: Client) -> timedelta:
    """How long a namespace keeps finished workflows."""
    answer = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=client.namespace)
    )
    return answer.config.workflow_execution_retention_ttl.ToTimedelta()


async def search_attributes(client: Client) -> dict[str, int]:
    """The custom search attributes of a namespace."""
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    return dict(answer.custom_attributes)


async def test_namespace_is_as_committed(migrated: Clients) -> None:
    """Finished workflows stay for thirty days, and are found by what operators know."""
    client = await connect(migrated.settings.temporal)
    assert await retention(client) == MONTH
    assert ATTRIBUTES.items() <= (await search_attributes(client)).items()


async def test_migrating_again_changes_nothing(servers: RunningStack, bus: Bus) -> None:
    """Messages, positions and the streams themselves survive a second run."""
    subject = names.ingest_subject(TenantName("demo"))
    await bus.publish(subject, b"{}", {})
    before = await bus.stock.stream(names.ALERTS)
    assert await migrate(servers) == 0
    after = await bus.stock.stream(names.ALERTS)
    assert (after.created, after.config) == (before.created, before.config)
    assert after.state.messages == before.state.messages
    consumer = await bus.stock.consumer(names.ALERTS, "dispatch-demo")
    assert consumer is not None
    assert consumer.num_pending == after.state.messages


async def test_upgraded_streams_get_the_bounds_of_now(servers: RunningStack, bus: Bus) -> None:
    """Streams that an earlier version made are brought up to date, with their messages."""
    for name in (names.ALERTS, names.FAILED, names.EVENTS, f"KV_{CACHE}"):
        await bus.jetstream.delete_stream(name)
    old = StreamConfig(
        name=names.ALERTS,
        subjects=["alerts.ingest.>"],
        discard=DiscardPolicy.OLD,
        max_msgs=1000,
        max_msgs_per_subject=10,
        max_age=DAY,
        duplicate_window=60,
        allow_direct=False,
    )
    await bus.jetstream.add_stream(old)
    await bus.publish(names.ingest_subject(TenantName("demo")), b"{}", {})
    assert await migrate(servers) == 0
    for name, expected in STREAMS.items():
        config = (await bus.stock.stream(name)).config
        assert {field: getattr(config, field) for field in expected} == expected
    assert (await bus.stock.stream(names.ALERTS)).state.messages == 1


async def test_new_settings_are_taken_over(bus: Bus) -> None:
    """Other bounds, another time to acknowledge and another tenant need no more than a run."""
    settings = NatsSettings(max_messages_per_tenant=50, max_bytes=10 * 1024**2)
    worker = WorkerSettings(ack_wait=timedelta(seconds=20))
    tenants = [TenantName("demo"), TenantName("new")]
    await provide(bus, settings, worker, tenants)
    config = (await bus.stock.stream(names.ALERTS)).config
    assert (config.max_msgs_per_subject, config.max_bytes) == (50, 10 * 1024**2)
    for tenant in tenants:
        consumer = await bus.stock.consumer(names.ALERTS, names.dispatcher_consumer(tenant))
        assert consumer is not None
        assert consumer.config.ack_wait == 20


async def test_other_namespace_is_made_by_several_at_once(migrated: Clients) -> None:
    """A namespace that is not there yet is made, however many want it."""
    settings = settings_of(migrated, "made")
    await asyncio.gather(*(provide_namespace(settings) for _ in range(AT_ONCE)))
    client = await connect(settings)
    assert await retention(client) == MONTH
    assert ATTRIBUTES.items() <= (await search_attributes(client)).items()


async def test_upgraded_namespace_keeps_workflows_longer(migrated: Clients) -> None:
    """A namespace with another retention is brought up to date."""
    settings = settings_of(migrated, "upgraded")
    client = await connect(settings)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace="upgraded",
            workflow_execution_retention_period=Duration(seconds=int(DAY)),
        )
    )
    await provide_namespace(settings)
    await provide_namespace(settings)
    assert await retention(client) == MONTH


def settings_of(migrated: Clients, namespace: str) -> TemporalSettings:
    """The settings of another namespace."""
    return TemporalSettings(address=migrated.settings.temporal.address, namespace=namespace)
