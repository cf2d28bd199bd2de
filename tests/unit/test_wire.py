"""HTTP/1.1 as strangers speak it: on a real socket, byte by byte."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio

from console.processes.wire import Wire
from tests.doorstep import ALERT, CLOSE, HOOK, Server, post, serving
from tests.edge import MAX_BODY
from tests.road import eventually


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[Server]:
    """A receiver that several tests share."""
    async with serving() as shared:
        yield shared


async def test_declared_length_is_refused_before_the_body_comes() -> None:
    """A Content-Length over the limit is a 413 although no byte of the body was sent."""
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(post(b"", length=MAX_BODY + 1))
        async with asyncio.timeout(2):
            assert (await reader.readline()).split()[1] == b"413"
        writer.close()


async def test_chunked_body_is_refused_as_soon_as_it_is_over() -> None:
    """A body that does not tell its length is a 413 once it is over the limit."""
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % HOOK
    chunk = b"400\r\n" + b" " * 1024 + b"\r\n"
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(head + chunk * 5)
        async with asyncio.timeout(2):
            assert (await reader.readline()).split()[1] == b"413"
        writer.close()
    assert server.bus.kept == []


async def test_chunked_body_is_taken() -> None:
    """A chunked body within the limit is taken like every other."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (ALERT[:9], ALERT[9:]))
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving() as server:
        answer = await server.say(head % HOOK + chunks + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 202")
    assert server.bus.kept[0][1] == ALERT


async def test_slow_body_is_given_up() -> None:
    """A body that drips gets a 408, and the connection is closed."""
    async with serving(body_timeout=timedelta(seconds=0.2)) as server:
        answer = await server.say(post(b"{", length=100))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"urn:tocsin:problem:too-slow" in answer
    assert server.bus.kept == []


async def test_slow_head_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that never finishes its headers is closed, on its first request and later."""
    monkeypatch.setattr(Wire, "head_timeout", 0.2)
    async with serving() as server:
        assert await server.say(b"POST /v1/hook/x HTTP/1.1\r\nHost") == b""
        assert await server.say() == b""
        answer = await server.say(post(ALERT), b"POST /v1")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert answer.startswith(b"HTTP/1.1 202")


async def test_refused_body_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a refusal the rest of a body may come, but not for ever."""
    monkeypatch.setattr(Wire, "head_timeout", 0.2)
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(post(b"", length=MAX_BODY + 1))

        async def closed() -> bool:
            writer.write(b" ")
            return reader.at_eof()

        answer = asyncio.create_task(reader.read())
        await eventually(closed, "the connection is closed", within=5)
        assert (await answer).startswith(b"HTTP/1.1 413")
        writer.close()


async def test_endless_head_is_refused() -> None:
    """Headers over 64 KiB are a 431, and the connection is closed."""
    async with serving() as server:
        answer = await server.say(b"GET / HTTP/1.1\r\nX: ", *[b"x" * 1024] * 80)
    assert answer.startswith(b"HTTP/1.1 431")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/hook/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n" * 10 + b"\0",
    ],
)
async def test_no_http_is_a_problem_and_never_an_error_of_ours(
    server: Server, request_bytes: bytes
) -> None:
    """Bytes that are no HTTP get a 4xx problem document or nothing, and are closed."""
    reader, writer = await server.connect()
    writer.write(request_bytes)
    writer.write_eof()
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    assert (await server.say(post(ALERT, CLOSE))).startswith(b"HTTP/1.1 202")
    assert not answer or answer[9:10] == b"4"
    assert not answer or b"application/problem+json" in answer


async def test_connection_survives_a_refused_body() -> None:
    """After a 4xx whose body was not read the next request on the connection is answered."""
    over = b" " * (MAX_BODY + 1)
    async with serving() as server:
        answer = await server.say(
            post(over), post(ALERT, path=b"/v1/hook/unknown"), post(ALERT, CLOSE)
        )
    statuses = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"413", b"401", b"202"]


async def test_pipelined_requests_are_answered_in_order() -> None:
    """Requests sent without waiting are answered one after the other."""
    bodies = [ALERT, b"no json", ALERT]
    requests = [post(body) for body in bodies[:-1]] + [post(bodies[-1], CLOSE)]
    async with serving() as server:
        answer = await server.say(b"".join(requests))
    statuses = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"202", b"400", b"202"]
    assert answer.count(b'"duplicates":1') == 1


@pytest.mark.parametrize(("length", "status"), [(len(ALERT), b"100"), (MAX_BODY + 1, b"413")])
async def test_body_is_asked_for_only_when_it_is_welcome(length: int, status: bytes) -> None:
    """`Expect: 100-continue` gets a 100, or at once the refusal."""
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(post(b"", b"Expect: 100-continue", length=length))
        async with asyncio.timeout(2):
            assert (await reader.readline()).split()[1] == status
        writer.close()


async def test_sender_that_hangs_up_leaves_nothing() -> None:
    """A connection closed in the middle of a body keeps nothing and harms nobody."""
    async with serving() as server:
        for _ in range(20):
            _, writer = await server.connect()
            writer.write(post(ALERT, length=len(ALERT) + 1))
            await writer.drain()
            writer.transport.abort()
        assert (await server.say(post(ALERT, CLOSE))).startswith(b"HTTP/1.1 202")
    assert len(server.bus.kept) == 1
