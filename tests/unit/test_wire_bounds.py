"""What a stranger sends that is no body is bounded, wherever it stands."""

import asyncio
import socket
import tracemalloc

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from console.processes.wire import Wire
from tests.doorstep import ALERT, CHUNKED, CLOSE, HOOK, post, serving
from tests.road import eventually

ENDLESS = {
    "trailers": (b"0\r\n", b"a:b\r\n"),
    "value": (b"0\r\na: ", b"xxxxx"),
    "name": (b"0\r\n", b"xxxxx"),
    "extension": (b"5;", b"xxxxx"),
}
"""What goes on for ever behind a head: how it begins, and what is repeated."""


async def test_endless_head_is_refused() -> None:
    """Headers over 64 KiB are a 431, and the connection is closed."""
    async with serving() as server:
        answer = await server.say(b"GET / HTTP/1.1\r\nX: ", *[b"x" * 1024] * 80)
    assert answer.startswith(b"HTTP/1.1 431")
    assert b"application/problem+json" in answer


async def test_refusal_is_read_by_who_sends_first() -> None:
    """A client that sends 400 kB of headers before it reads gets the whole 431."""
    async with serving() as server:
        answer = await server.say(b"GET / HTTP/1.1\r\nX: ", b"x" * 400_000)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431")
    assert b"content-length: %d" % len(body) in head.split(b"\r\n")


async def test_refusal_ends_the_request_under_way() -> None:
    """The application that waits for a body which is refused hears that its sender has left."""
    heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] == "http.request":
            pass
        heard.set_result(message["type"])
        await Response()(scope, receive, send)

    async with serving(app=app) as server:
        reader, writer = await server.connect()
        writer.write(CHUNKED % b"/" + b"zz\r\n")
        async with asyncio.timeout(5):
            assert await heard == "http.disconnect"
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_refused_client_is_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """What drips behind a refusal is read for the time of a head, and not longer."""
    monkeypatch.setattr(Wire, "head_timeout", 0.2)
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(b"\0")
        await reader.read()

        async def ended() -> bool:
            writer.write(b" ")
            return writer.is_closing()

        await eventually(ended, "the connection is closed", within=5)


async def test_refused_client_is_not_read_without_end() -> None:
    """What pours in behind a refusal is cut off long before its time is over."""
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(b"\0")
        await reader.read()
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionError):
                await flood(writer)
        writer.close()


async def test_head_of_many_lines_is_refused() -> None:
    """Headers cost more than their bytes: two thousand of the shortest are a 431."""
    async with serving() as server:
        answer = await server.say(b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 2000)
    assert answer.startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize("kind", ENDLESS)
async def test_endless_trailers_are_refused(kind: str) -> None:
    """What a chunked body holds besides its bytes is a 431 past 64 KiB."""
    begin, again = ENDLESS[kind]
    async with serving() as server:
        answer = await server.say(CHUNKED % HOOK + begin + again * 14_000)
    assert answer.startswith(b"HTTP/1.1 431")
    assert server.bus.kept == []


@pytest.mark.parametrize("kind", ENDLESS)
async def test_endless_trailers_are_not_kept(kind: str) -> None:
    """However much a stranger without a token sends behind a head, little of it is kept."""
    begin, again = ENDLESS[kind]
    async with serving() as server:
        await server.say(post(ALERT, CLOSE))
        tracemalloc.start()
        try:
            head = CHUNKED % b"/v1/alerts/wazuh" + begin
            await asyncio.to_thread(pour, server.port, head, again * 13_000, 4 * 2**20)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 2**20


async def flood(writer: asyncio.StreamWriter) -> None:
    """Send for ever."""
    while True:
        writer.write(b" " * 2**20)
        await writer.drain()


def pour(port: int, head: bytes, again: bytes, size: int) -> None:
    """Send bytes until the other side has enough."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        try:
            connection.sendall(head)
            for _ in range(size // len(again)):
                connection.sendall(again)
            while connection.recv(65536):
                pass
        except ConnectionError:
            return
