"""What publishing promises, on the real server and on its stand-in; and who else may publish."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, StreamConfig

from tests.edge import MemoryBus
from tests.road import Road, eventually, wazuh_alert
from tocsin import bus as names
from tocsin.errors import BusFull, BusUnavailable, StreamFull, TooLarge
from tocsin.jetstream import Bus
from tocsin.settings import NatsSettings

BOUND = 2
WAIT = timedelta(seconds=2)
Either = Bus | MemoryBus


@pytest_asyncio.fixture(params=["real", "memory"], loop_scope="session")
async def subject(request: pytest.FixtureRequest, road: Road) -> AsyncIterator[tuple[Either, str]]:
    """A bus, and a subject of its own that holds two messages, or a large one and a half."""
    name = f"contract-{uuid.uuid4().hex[:8]}"
    room = road.bus.largest * 3 // 2
    if request.param == "memory":
        yield MemoryBus(bound=BOUND, largest=road.bus.largest, room=room), name
        return
    config = StreamConfig(
        name=name,
        subjects=[name],
        discard=DiscardPolicy.NEW,
        discard_new_per_subject=True,
        max_msgs_per_subject=BOUND,
        max_bytes=room,
        duplicate_window=60,
    )
    await road.bus.jetstream.add_stream(config)
    yield road.bus, name
    await road.bus.jetstream.delete_stream(name)


async def test_publishing_gives_sequences(subject: tuple[Either, str]) -> None:
    """Each message is acknowledged with the next sequence."""
    bus, name = subject
    acks = [await bus.publish(name, b"x", {}, timeout=WAIT) for _ in range(BOUND)]
    assert [(ack.sequence, ack.duplicate) for ack in acks] == [(1, False), (2, False)]


async def test_repeat_is_recognised(subject: tuple[Either, str]) -> None:
    """The same message id is stored once, also when the subject is full meanwhile."""
    bus, name = subject
    one, two = {names.MESSAGE_ID: "one"}, {names.MESSAGE_ID: "two"}
    await bus.publish(name, b"x", one, timeout=WAIT)
    for headers in (two, one):
        await bus.publish(name, b"x", headers, timeout=WAIT)
    again = await bus.publish(name, b"y", one, timeout=WAIT)
    assert (again.sequence, again.duplicate) == (1, True)


async def test_full_subject_is_said(subject: tuple[Either, str]) -> None:
    """A message over the bound is refused as full."""
    bus, name = subject
    for _ in range(BOUND):
        await bus.publish(name, b"x", {}, timeout=WAIT)
    with pytest.raises(BusFull):
        await bus.publish(name, b"x", {}, timeout=WAIT)
    assert bus.accepting


async def test_full_stream_is_said(subject: tuple[Either, str]) -> None:
    """A message over the bound of the whole stream is refused as such, and remembered."""
    bus, name = subject
    await bus.publish(name, b"x" * bus.largest, {}, timeout=WAIT)
    with pytest.raises(StreamFull):
        await bus.publish(name, b"x" * bus.largest, {}, timeout=WAIT)
    assert (bus.accepting, bus.full) == (False, True)


async def test_message_over_the_servers_limit_is_said(subject: tuple[Either, str]) -> None:
    """A message that the server never takes is too large, and one at the limit is stored."""
    bus, name = subject
    with pytest.raises(TooLarge):
        await bus.publish(name, b"x" * (bus.largest + 1), {}, timeout=WAIT)
    assert (await bus.publish(name, b"x" * bus.largest, {}, timeout=WAIT)).sequence == 1
    assert bus.accepting


@pytest.mark.parametrize("kind", ["real", "memory"])
async def test_server_that_is_away_is_said_at_once(kind: str) -> None:
    """Without a connection nothing is buffered, and nobody waits."""
    bus: Either = MemoryBus()
    if isinstance(bus, MemoryBus):
        bus.connected = False
    if kind == "real":
        bus = Bus(NatsSettings(url="nats://127.0.0.1:1"), name="test")
    async with asyncio.timeout(0.5):
        with pytest.raises(BusUnavailable):
            await bus.publish("alerts.ingest.acme", b"x", {}, timeout=WAIT)


async def test_missing_stream_is_unavailable(road: Road) -> None:
    """Where no stream listens the answer is at once that nothing was stored."""
    lonely = Bus(NatsSettings(url=road.stack.endpoints.nats), name="test")
    await lonely.connect()
    with pytest.raises(BusUnavailable):
        await lonely.publish(f"nobody.{uuid.uuid4().hex}", b"x", {}, timeout=WAIT)
    assert not lonely.accepting
    await lonely.close()


class Proxy:
    """Stands between a client and a server; what the server says can get lost.

    Attributes:
        deaf: While true, nothing of what the server says arrives.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = host, port
        self.deaf = False

    async def pass_on(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        far, far_out = await asyncio.open_connection(*self._server)
        there = asyncio.create_task(self._copy(near, far_out, lossy=False))
        back = asyncio.create_task(self._copy(far, near_out, lossy=True))
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        for task, writer in ((there, far_out), (back, near_out)):
            task.cancel()
            writer.close()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, lossy: bool
    ) -> None:
        while data := await reader.read(65536):
            if not (lossy and self.deaf):
                writer.write(data)


async def test_lost_acknowledgement_is_made_good_by_a_repeat(road: Road) -> None:
    """When the message is stored and the answer gets lost, the same message again counts once."""
    url = urlsplit(road.stack.endpoints.nats)
    proxy = Proxy(str(url.hostname), int(url.port or 0))
    server = await asyncio.start_server(proxy.pass_on, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    by_proxy = f"nats://{url.username}:{url.password}@127.0.0.1:{port}"
    bus = Bus(NatsSettings(url=by_proxy), name="test")
    await bus.connect()
    alert = wazuh_alert()
    raw, headers = msgspec.json.encode(alert), {names.MESSAGE_ID: uuid.uuid4().hex}
    proxy.deaf = True
    with pytest.raises(BusUnavailable):
        await bus.publish("alerts.ingest.demo", raw, headers, timeout=timedelta(seconds=0.3))
    assert not bus.accepting
    proxy.deaf = False
    ack = await bus.publish("alerts.ingest.demo", raw, headers, timeout=WAIT)
    assert ack.duplicate
    await eventually(lambda: finished(road, alert), "the alert is finished")
    query = "SELECT id FROM alerts WHERE source_event_id = :id"
    assert len(await road.rows(query, id=alert["id"])) == 1
    await bus.close()
    server.close()


class Service(NamedTuple):
    """A service that may publish the demo tenant's alerts, and what the server refused it."""

    client: Client
    refusals: asyncio.Queue[Exception]


@pytest_asyncio.fixture(loop_scope="session")
async def service(road: Road) -> AsyncIterator[Service]:
    """The connection of a service."""
    refusals: asyncio.Queue[Exception] = asyncio.Queue()
    client = await nats.connect(road.stack.endpoints.nats_ingest["demo"], error_cb=refusals.put)
    yield Service(client, refusals)
    await client.close()


async def test_service_publishes_for_its_tenant(road: Road, service: Service) -> None:
    """The tenant's own user is acknowledged on its subject, and its alert finishes."""
    alert = wazuh_alert()
    subject = road.stack.endpoints.tenant
    ack = await service.client.jetstream().publish(
        f"alerts.ingest.{subject}",
        msgspec.json.encode(alert),
        headers={names.SOURCE: "wazuh"},
    )
    assert ack.seq > 0
    await eventually(lambda: finished(road, alert), "the alert is finished")


async def finished(road: Road, alert: dict[str, object]) -> bool:
    """Whether an alert that another service published is finished."""
    query = "SELECT id FROM alerts WHERE source_event_id = :id AND state = 'finished'"
    return bool(await road.rows(query, id=alert["id"]))


@pytest.mark.parametrize(
    "subject",
    [
        "alerts.ingest.other",
        "alerts.failed.demo",
        "tocsin.room.demo",
        "$JS.API.STREAM.PURGE.ALERTS",
    ],
)
async def test_service_publishes_nothing_else(service: Service, subject: str) -> None:
    """Neither another tenant's alerts, nor letters, nor orders to the server."""
    await service.client.publish(subject, b"{}")
    refusal = await asyncio.wait_for(service.refusals.get(), timeout=10)
    assert f'permissions violation for publish to "{subject.lower()}"' in str(refusal).lower()


HOSTILE_HEADERS = {
    "strange id": b"Nats-Msg-Id: ../../%s",
    "strange time": b"Tocsin-Received-At: 0001-01-01T00:00:00+23:59 %s",
    "early time": b"Tocsin-Received-At: 0001-01-01T00:00:00+23:59",
    "late time": b"Tocsin-Received-At: 9999-12-31T23:59:59-23:59",
    "unknown source": b"Tocsin-Source: nobody",
    "source of any bytes": b"Tocsin-Source: \xff\xfe",
    "source with NUL": b"Tocsin-Source: wa\x00zuh",
    "letter with NUL": b"Tocsin-Redrive-Of: \x00",
    "letter of any bytes": b"Tocsin-Redrive-Of: \xff",
    "long source": b"Tocsin-Source: " + b"x" * 30_000,
    "no header at all": b"garbage",
}


@pytest.mark.parametrize("name", HOSTILE_HEADERS)
async def test_hostile_headers_stop_nobody(road: Road, name: str) -> None:
    """Whatever headers a service sends, the alerts behind its message finish."""
    body = msgspec.json.encode(wazuh_alert())
    header = b"NATS/1.0\r\n" + HOSTILE_HEADERS[name].replace(b"%s", b"x") + b"\r\n\r\n"
    before = (await road.bus.stock.stream(names.ALERTS)).state.last_seq
    await publish_raw(road, header, body)

    async def stored() -> bool:
        last = (await road.bus.stock.stream(names.ALERTS)).state.last_seq
        held = [
            await road.bus.stock.message(names.ALERTS, each) for each in range(before + 1, last + 1)
        ]
        return any(message and message.data == body for message in held)

    async def recorded() -> bool:
        return bool(await road.rows("SELECT sequence FROM events WHERE raw = :raw", raw=body))

    await eventually(stored, "the message is stored")
    await road.finished(await road.take(wazuh_alert()))
    await eventually(recorded, "the message itself is in the books")


async def publish_raw(road: Road, header: bytes, body: bytes) -> None:
    """Publish by the protocol itself (https://docs.nats.io, Client protocol, HPUB)."""
    url = urlsplit(road.stack.endpoints.nats_ingest["demo"])
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    await reader.readline()
    login = {"user": url.username, "pass": url.password, "headers": True, "verbose": False}
    sizes = b"%d %d" % (len(header), len(header) + len(body))
    writer.write(
        b"CONNECT %s\r\nHPUB alerts.ingest.demo %s\r\n%s%s\r\nPING\r\n"
        % (msgspec.json.encode(login), sizes, header, body)
    )
    async with asyncio.timeout(5):
        assert await reader.readline() == b"PONG\r\n"
    writer.close()
