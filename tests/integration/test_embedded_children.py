"""How the stack treats a child that dies, and what it furnishes its servers with."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import httpx
import nats
import psycopg
import pytest
from nats.js.api import StreamConfig

from console.embedded import endpoints, state
from console.embedded.options import PROCESSES, StackOptions
from tests.stack import RunningStack, eventually, running_stack
from tocsin.documents import check
from tocsin.layers import from_file
from tocsin.settings import Settings


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The four servers, without our own processes."""
    options = StackOptions(
        data_dir=tmp_path_factory.mktemp("servers"), without=frozenset({"migrate", *PROCESSES})
    )
    with running_stack(options) as running:
        yield running


@pytest.mark.parametrize("name", ["postgres", "nats", "temporal", "vault"])
def test_killed_server_comes_back(servers: RunningStack, name: str) -> None:
    """A server killed with -9 is back by itself, and endpoints.json has its new process id."""
    servers.restart(name)
    pid = servers.pid(name)
    eventually(lambda: published_pid(servers, name) == pid, "endpoints.json has the new pid")


def test_death_is_reported_with_the_tail_of_the_log(servers: RunningStack) -> None:
    """A death is reported by name, with its cause and the last lines of the child's log."""
    servers.restart("nats")
    report = [line for line in servers.lines if line.startswith("nats died (SIGKILL)")][-1]
    assert str(servers.data_dir / "log" / "nats.log") in report
    assert "Server is ready" in report


def test_stopped_server_stays_away_until_started(servers: RunningStack) -> None:
    """A part that was stopped is not restarted; started again it serves."""
    servers.stop("nats")
    assert servers.pid("nats") is None
    servers.start("nats")
    assert servers.pid("nats") is not None


async def test_postgres_commits_to_disk_behind_a_password(servers: RunningStack) -> None:
    """PostgreSQL says yes only once a commit is on disk, and to nobody without the password."""
    dsn = servers.endpoints.postgres
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            shown = await connection.execute(f"SHOW {setting}".encode())
            assert await shown.fetchone() == ("on",)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        await psycopg.AsyncConnection.connect(dsn, password="guess")


async def test_jetstream_syncs_every_message(servers: RunningStack) -> None:
    """JetStream acknowledges only what is on disk."""
    ports = state.load(servers.data_dir, []).ports
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{ports['nats_http']}/jsz")
    assert answer.json()["config"]["sync_always"] is True


def test_temporal_syncs_every_commit(servers: RunningStack) -> None:
    """The Temporal that runs was told to have each commit on disk before it says yes."""
    pid = servers.pid("temporal")
    told = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    pragmas = {value for flag, value in pairwise(told) if flag == "--sqlite-pragma"}
    assert "synchronous=FULL" in pragmas


def test_temporal_writes_ahead(servers: RunningStack) -> None:
    """Temporal's database file is in WAL mode."""
    database = servers.data_dir / "temporal" / "temporal.db"
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_tenant_user_publishes_its_alerts_only(servers: RunningStack) -> None:
    """The NATS user of a tenant gets acknowledgements on its own subject, and no other's."""
    owner = await nats.connect(servers.endpoints.nats)
    await owner.jetstream().add_stream(StreamConfig(name="ALERTS", subjects=["alerts.ingest.*"]))
    refusals: asyncio.Queue[Exception] = asyncio.Queue()
    tenant = await nats.connect(servers.endpoints.nats_ingest["demo"], error_cb=refusals.put)
    assert (await tenant.jetstream().publish("alerts.ingest.demo", b"{}")).seq == 1
    await tenant.publish("alerts.ingest.other", b"{}")
    refusal = await asyncio.wait_for(refusals.get(), timeout=10)
    stream = await owner.jetstream().stream_info("ALERTS")
    await tenant.close()
    await owner.close()
    assert stream.state.messages == 1
    assert "permissions violation" in str(refusal).lower()


async def test_role_reads_secrets_and_writes_none(servers: RunningStack) -> None:
    """The AppRole of the configuration reads the SMTP password, and cannot change it."""
    vault = check(Settings, from_file(servers.data_dir / "tocsin.yaml", Settings)).vault
    ids = {
        "role_id": vault.role_id,
        "secret_id": state.load(servers.data_dir, []).secrets["secret_id"],
    }
    async with httpx.AsyncClient(base_url=f"{vault.address}/v1", trust_env=False) as client:
        login = (await client.post("/auth/approle/login", json=ids)).json()
        client.headers["X-Vault-Token"] = login["auth"]["client_token"]
        kept = (await client.get("/secret/data/smtp")).json()
        refusal = await client.post("/secret/data/smtp", json={"data": {"password": "mine"}})
    assert kept["data"]["data"].keys() == {"password"}
    assert refusal.status_code == httpx.codes.FORBIDDEN


def published_pid(servers: RunningStack, name: str) -> int | None:
    """The process id that endpoints.json has for a part."""
    published = endpoints.read(servers.data_dir)
    return published.pids.get(name) if published else None
