"""A sender that would rather speak HTTP/2 is served, by the HTTP that it speaks already."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.doorstep import ALERT, CLOSE, HOOK, Server, post, serving

UPGRADE = (
    b"Connection: Upgrade, HTTP2-Settings",
    b"Upgrade: h2c",
    b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
)
"""What the HTTP client of a JDK sends, and curl with `--http2`."""

LARGE = b"x" * 20_000
BODIES = [b"", b"GET / HTTP/1.1\r\n\r\n", LARGE]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the headers that came, a line each, and the body."""
    request = Request(scope, receive)
    names = b" ".join(name for name, _ in request.headers.raw)
    await Response(names + b"\n" + await request.body())(scope, receive, send)


async def ask(server: Server, *parts: bytes) -> bytes:
    """Send a request, every further part behind an answer, the next request last; read all."""
    reader, writer = await server.connect()
    answer = b""
    async with asyncio.timeout(10):
        for part in (*parts, post(b"last", CLOSE)):
            writer.write(part)
            if CLOSE not in part:
                answer += await reader.readuntil(b"\r\n\r\n")
        answer += await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("body", BODIES, ids=len)
async def test_request_to_upgrade_is_served_as_it_is(body: bytes) -> None:
    """A request that asks for another protocol is answered whole, and so is the next one."""
    async with serving(app=echo) as server:
        answer = await ask(server, post(body, *UPGRADE))
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"\r\n\r\nhost content-length connection http2-settings\n" + body in answer
    assert answer.endswith(b"\nlast")


@pytest.mark.parametrize("body", BODIES[1:], ids=len)
async def test_body_behind_a_head_to_upgrade_is_read(body: bytes) -> None:
    """Such a request is answered whole also where its body comes later than its head."""
    head = post(b"", *UPGRADE, b"Expect: 100-continue", length=len(body))
    async with serving(app=echo) as server:
        answer = await ask(server, head, body)
    assert answer.startswith(b"HTTP/1.1 100")
    assert answer.count(b"HTTP/1.1 ") == 3
    assert b"\n" + body in answer
    assert answer.endswith(b"\nlast")


async def test_chunked_request_to_upgrade_is_served() -> None:
    """A body that does not tell its length is read to its end, too."""
    head = b"\r\n".join([b"POST / HTTP/1.1", b"Transfer-Encoding: chunked", *UPGRADE, b"", b""])
    chunks = b"4e20\r\n" + LARGE + b"\r\n0\r\n\r\n"
    async with serving(app=echo) as server:
        answer = await ask(server, head + chunks)
    assert b"\n" + LARGE in answer
    assert answer.count(b"HTTP/1.1 ") == 2


async def test_requests_to_upgrade_may_be_pipelined() -> None:
    """Requests that ask for another protocol are answered one after the other."""
    many = post(b"{}", *UPGRADE) * 50
    async with serving(app=echo) as server:
        answer = await server.say(many + post(b"last", CLOSE))
    assert answer.count(b"HTTP/1.1 ") == 51
    assert answer.endswith(b"\nlast")


async def test_alert_with_a_request_to_upgrade_is_kept() -> None:
    """The receiver takes an alert from such a sender byte by byte as it came."""
    async with serving() as server:
        answer = await server.say(post(ALERT, *UPGRADE, CLOSE))
    assert answer.startswith(b"HTTP/1.1 202")
    assert server.bus.kept[0][1] == ALERT


@pytest.mark.parametrize("target", [b"x:1", b"/", HOOK, b"http://x/"])
@pytest.mark.parametrize("headers", [(), UPGRADE], ids=["plain", "upgrade"])
async def test_tunnel_is_refused(target: bytes, headers: tuple[bytes, ...]) -> None:
    """CONNECT is a 400, and what comes through the tunnel is never read as a request."""
    head = b"\r\n".join([b"CONNECT %s HTTP/1.1" % target, b"Host: x", *headers, b"", b""])
    async with serving() as server:
        answer = await server.say(head + post(ALERT))
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert server.bus.kept == []
