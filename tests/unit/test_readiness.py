"""Whether the receiver says the truth about itself."""

import asyncio

import pytest
from nats.js.api import StreamInfo

from ingest.readiness import Readiness
from tests.edge import MemoryBus, MemoryStock, bearer, receiver, sender


async def test_ready_while_the_bus_accepts() -> None:
    """With everything there the receiver is ready."""
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        readiness = Readiness(MemoryBus(), {"temporal": server.sockets[0].getsockname()})
        report = await readiness.report()
    assert report == {"status": "ready", "dependencies": {"nats": "ok", "temporal": "ok"}}


async def test_degraded_while_another_dependency_is_away() -> None:
    """What the receiver does not need is listed, and makes it degraded at most."""
    readiness = Readiness(MemoryBus(), {"temporal": ("127.0.0.1", 1)})
    report = await readiness.report()
    assert report == {"status": "degraded", "dependencies": {"nats": "ok", "temporal": "away"}}


@pytest.mark.parametrize(("connected", "accepting"), [(False, True), (True, False)])
async def test_unavailable_without_the_bus(*, connected: bool, accepting: bool) -> None:
    """Without JetStream, or when it does not acknowledge, `/readyz` is a 503."""
    bus = MemoryBus()
    bus.connected, bus.accepting = connected, accepting
    async with sender(receiver(bus)) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "dependencies": {"nats": "away"}}


async def test_unavailable_while_the_stream_is_full() -> None:
    """A stream that takes nobody's alerts makes it a 503, and the cause is named."""
    bus = MemoryBus(room=10)
    async with sender(receiver(bus)) as client:
        await client.post("/v1/alerts/generic", json={"message": "x"}, headers=bearer())
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "dependencies": {"nats": "full"}}


async def test_bus_that_stands_still_is_not_waited_for() -> None:
    """A server that does not answer is away after a second."""

    class Still(MemoryStock):
        async def stream(self, name: str) -> StreamInfo:
            await asyncio.Event().wait()
            return await super().stream(name)

    bus = MemoryBus()
    bus.stock = Still(bus)
    async with asyncio.timeout(2):
        report = await Readiness(bus, {}).report()
    assert report["status"] == "unavailable"


async def test_alive_whatever_is_away() -> None:
    """`/healthz` says that the process lives, and asks nobody."""
    bus = MemoryBus()
    bus.connected = False
    async with sender(receiver(bus)) as client:
        answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
