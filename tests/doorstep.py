"""A receiver on a real socket, and requests to it byte by byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from starlette.types import ASGIApp

from console.embedded.state import choose_ports
from console.processes.web import Web
from tests.edge import CAPABILITY, MemoryBus, receiver
from tests.road import eventually

ALERT = b'{"rule":{"id":"5716","level":3},"id":"1795187045.1"}'
HOOK = f"/v1/hook/{CAPABILITY}".encode()
CLOSE = b"Connection: close"
CHUNKED = b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
"""A head that wants a path."""


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
async def serving(
    bus: MemoryBus | None = None, app: ASGIApp | None = None, **options: Any
) -> AsyncIterator[Server]:
    """A receiver, or another application, for the time of the block."""
    bus = bus or MemoryBus()
    port = choose_ports(["web"])["web"]
    timeout = options.pop("body_timeout", timedelta(seconds=5))
    app = app or receiver(bus, body_timeout=timeout)
    web = Web(app, listen=f"127.0.0.1:{port}", **options)
    stop = asyncio.Event()
    running = asyncio.create_task(web.run(stop))
    server = Server(bus, port)
    try:
        await eventually(lambda: _listens(server), "it listens")
        yield server
    finally:
        stop.set()
        await running


async def closed(reader: asyncio.StreamReader) -> None:
    """Wait until the server closes, also by a reset, as it may on bytes that it did not read."""
    with suppress(ConnectionResetError):
        await reader.read()


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
