"""HTTP/1.1 as strangers speak it: on a real socket, byte by byte."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from console.processes.wire import Wire
from tests.doorstep import ALERT, CHUNKED, CLOSE, HOOK, Server, closed, post, serving
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
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 413")
        ending = asyncio.create_task(closed(reader))

        async def ended() -> bool:
            writer.write(b" ")
            return ending.done()

        await eventually(ended, "the connection is closed", within=5)
        writer.close()


async def test_trailers_are_no_headers() -> None:
    """What stands in a trailer is dropped: the application never takes it for a header."""
    seen: list[list[tuple[bytes, bytes]]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert await Request(scope, receive).body() == b"abc"
        seen.append(list(scope["headers"]))
        await Response()(scope, receive, send)

    chunks = b"3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\nHost: y\r\n\r\n"
    async with serving(app=app) as server:
        answer = await server.say(CHUNKED % b"/" + chunks + post(b"abc", CLOSE))
    assert answer.count(b"HTTP/1.1 200") == 2
    assert [[name for name, _ in headers] for headers in seen] == [
        [b"host", b"transfer-encoding"],
        [b"host", b"content-length", b"connection"],
    ]


@pytest.mark.parametrize("wrong", [b"zz\r\n", b"0\r\na: " + b"x" * 70_000])
async def test_refused_request_has_one_answer(wrong: bytes) -> None:
    """A body that goes wrong after its refusal is closed on, and gets no second answer."""
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(CHUNKED % b"/v1/alerts/wazuh")
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.write(wrong)
        async with asyncio.timeout(5):
            answer += await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 401")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_request_under_way_is_never_given_the_answer_to_another() -> None:
    """What follows a request and is no HTTP closes the connection, and answers nothing for it."""
    may_go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await may_go_on.wait()
        await Response()(scope, receive, send)

    async with serving(app=app) as server:
        assert await server.say(post(ALERT) + b"\0\0") == b""
        may_go_on.set()


@pytest.mark.parametrize(
    ("begin", "rest"),
    [
        (post(b"", path=b"/v1/hook/unknown", length=10), b" " * 10),
        (post(ALERT), b"\r\n"),
    ],
    ids=["rest of a refused body", "empty line"],
)
async def test_answered_connection_is_never_held_open(
    monkeypatch: pytest.MonkeyPatch, begin: bytes, rest: bytes
) -> None:
    """Bytes that are no request do not keep a connection whose requests are answered."""
    monkeypatch.setattr(Wire, "head_timeout", 0.2)
    async with serving() as server:
        reader, writer = await server.connect()
        writer.write(begin)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(rest)
        async with asyncio.timeout(5):
            await reader.read()
        writer.close()


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
