"""Our HTTP server as strangers meet it: on a real socket, byte by byte."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from console.embedded.state import choose_ports
from console.processes import web as web_module
from console.processes.web import Web, address
from console.processes.wire import Wire
from tests.edge import CAPABILITY, MAX_BODY, MemoryBus, bearer, receiver
from tests.road import eventually
from tocsin.errors import ConfigError

ALERT = b'{"rule":{"id":"5716","level":3},"id":"1795187045.1"}'
HOOK = f"/v1/hook/{CAPABILITY}".encode()


class Server:
    """A receiver that listens, and the bus behind it."""

    def __init__(self, bus: MemoryBus, port: int) -> None:
        self.bus = bus
        self.port = port

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def say(self, *parts: bytes) -> bytes:
        """Send bytes, and read until the server closes."""
        reader, writer = await self.connect()
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
        return answer


@asynccontextmanager
async def serving(bus: MemoryBus | None = None, **options: Any) -> AsyncIterator[Server]:
    """A receiver for the time of the block."""
    bus = bus or MemoryBus()
    port = choose_ports(["web"])["web"]
    timeout = options.pop("body_timeout", timedelta(seconds=5))
    web = Web(receiver(bus, body_timeout=timeout), listen=f"127.0.0.1:{port}", **options)
    stop = asyncio.Event()
    running = asyncio.create_task(web.run(stop))
    server = Server(bus, port)
    try:
        await eventually(lambda: _listens(server), "it listens")
        yield server
    finally:
        stop.set()
        await running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[Server]:
    """A receiver that several tests share."""
    async with serving() as shared:
        yield shared


async def _listens(server: Server) -> bool:
    try:
        _, writer = await server.connect()
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


def post(body: bytes, *headers: bytes, path: bytes = HOOK, length: int | None = None) -> bytes:
    """A request as bytes."""
    lines = [
        b"POST %s HTTP/1.1" % path,
        b"Host: receiver",
        b"Content-Length: %d" % (len(body) if length is None else length),
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


CLOSE = b"Connection: close"


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


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", HOOK.decode(), 405, "POST"),
        ("HEAD", "/v1/alerts/wazuh", 405, "POST"),
        ("PUT", "/v1/alerts/wazuh", 405, "POST"),
        ("OPTIONS", "/v1/alerts/wazuh", 405, "POST"),
        ("POST", "/healthz", 405, "GET, HEAD"),
        ("GET", "/", 404, None),
        ("POST", HOOK.decode() + "/", 404, None),
        ("POST", HOOK.decode() + "/x", 404, None),
        ("POST", "/v1/hook/", 404, None),
        ("POST", "/v1/alerts/wazuh/", 404, None),
        ("POST", "//v1/alerts/wazuh", 404, None),
        ("POST", "/v1/alerts/%2e%2e/wazuh", 404, None),
        ("HEAD", "/healthz", 200, None),
    ],
)
async def test_other_methods_and_paths(
    server: Server, method: str, path: str, status: int, allow: str | None
) -> None:
    """What is not there is a 404 or a 405 with Allow, as a problem document, never a redirect."""
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.request(
            method, f"http://127.0.0.1:{server.port}{path}", headers=bearer()
        )
    assert answer.status_code == status
    assert {*answer.headers.get("allow", "").split(", ")} == {*(allow or "").split(", ")}
    assert CAPABILITY not in answer.text
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"


async def test_idle_connections_do_not_keep_it_from_stopping() -> None:
    """A drain ends idle connections, and answers the request that is under way."""
    publishing, may_go_on = asyncio.Event(), asyncio.Event()

    class Slow(MemoryBus):
        async def publish(self, *args: Any, **kwargs: Any) -> Any:
            publishing.set()
            await may_go_on.wait()
            return await super().publish(*args, **kwargs)

    async with serving(Slow()) as server:
        _, idle = await server.connect()
        under_way = asyncio.create_task(server.say(post(ALERT)))
        await publishing.wait()
        asyncio.get_running_loop().call_later(0.3, may_go_on.set)
    assert (await under_way).startswith(b"HTTP/1.1 202")
    idle.close()


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(key), "-out", str(cert)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate and key; skips where there is no openssl to make them."""
    try:
        return make_certificate(tmp_path, "first")
    except FileNotFoundError:
        pytest.skip("no openssl program to make a certificate with")


async def test_https_is_answered(certificate: tuple[Path, Path]) -> None:
    """With certificate and key the receiver speaks TLS, and nothing else."""
    cert, key = certificate
    trust = ssl.create_default_context(cafile=str(cert))
    async with serving(tls_cert=cert, tls_key=key) as server:
        async with httpx.AsyncClient(verify=trust, trust_env=False) as client:
            url = f"https://127.0.0.1:{server.port}/v1/alerts/wazuh"
            answer = await client.post(url, content=ALERT, headers=bearer())
        plain = await server.say(post(ALERT))
    assert answer.status_code == 202
    assert plain == b""


async def test_certificate_is_reloaded(
    certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new certificate is used by new connections; until its key fits, the old one serves."""
    monkeypatch.setattr(web_module, "_RELOAD_SECONDS", 0.05)
    cert, key = certificate
    (tmp_path / "new").mkdir()
    new_cert, new_key = await asyncio.to_thread(make_certificate, tmp_path / "new", "second")
    async with serving(tls_cert=cert, tls_key=key) as server:
        _, kept = await _shake(server.port)
        for unusable in (b"garbage", new_cert.read_bytes()):
            with capture_logs() as logs:
                cert.write_bytes(unusable)
                await eventually(partial(_unusable, logs), "the change was seen")
            assert await _name(server.port) == "first"
        key.write_bytes(new_key.read_bytes())

        async def renewed() -> bool:
            return await _name(server.port) == "second"

        await eventually(renewed, "the new certificate is used")
        assert not kept.is_closing()
        kept.close()


async def _unusable(logs: list[MutableMapping[str, Any]]) -> bool:
    return any(each["event"] == "certificate_unusable" for each in logs)


async def _shake(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anything.check_hostname = False
    anything.verify_mode = ssl.CERT_NONE
    return await asyncio.open_connection("127.0.0.1", port, ssl=anything)


async def _name(port: int) -> str:
    """The name in the certificate that a new connection is shown."""
    _, writer = await _shake(port)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return "second" if b"second" in shown else "first" if b"first" in shown else "?"


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "192.0.2.1:1", "[::]:1", "example.org:1"])
def test_plain_http_beyond_loopback_is_refused(listen: str) -> None:
    """Tokens never cross a network in the clear unless somebody insists."""
    app = receiver(MemoryBus())
    with pytest.raises(ConfigError, match="in the clear"):
        Web(app, listen=listen)
    assert Web(app, listen=listen, insecure=True)


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "[::1]:1", "localhost:1", "127.1.2.3:1"])
def test_plain_http_on_loopback_is_fine(listen: str) -> None:
    """What never leaves the machine needs no certificate."""
    assert Web(receiver(MemoryBus()), listen=listen)


@pytest.mark.parametrize(("cert", "key"), [(Path("x.pem"), None), (None, Path("x.pem"))])
def test_half_a_pair_is_refused(cert: Path | None, key: Path | None) -> None:
    """A certificate without its key, or the other way round, is a mistake."""
    with pytest.raises(ConfigError, match="belong together"):
        Web(receiver(MemoryBus()), listen="127.0.0.1:1", tls_cert=cert, tls_key=key)


@pytest.mark.parametrize("listen", ["", "8080", "127.0.0.1", "127.0.0.1:", ":8080", "a:65536"])
def test_address_without_host_or_port_is_refused(listen: str) -> None:
    """An address needs both."""
    with pytest.raises(ConfigError, match="no ADDRESS:PORT"):
        address(listen)


async def test_unusable_certificate_is_a_configuration_error(tmp_path: Path) -> None:
    """Files that are no PEM end the process at its start."""
    bad = tmp_path / "bad.pem"
    bad.write_text("nothing")
    port = choose_ports(["web"])["web"]
    web = Web(receiver(MemoryBus()), listen=f"127.0.0.1:{port}", tls_cert=bad, tls_key=bad)
    with pytest.raises(ConfigError, match="certificate cannot be used"):
        await web.run(asyncio.Event())


async def test_taken_address_is_a_configuration_error() -> None:
    """A port that another process has is said at the start."""
    async with serving() as server:
        web = Web(receiver(MemoryBus()), listen=f"127.0.0.1:{server.port}")
        with pytest.raises(ConfigError, match="cannot listen"):
            await web.run(asyncio.Event())
