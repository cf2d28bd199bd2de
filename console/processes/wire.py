"""HTTP/1.1 as strangers speak it: bounded before the body, and answered in our own form."""

import asyncio
from typing import Final

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingest.problems import problem

_HEAD_BYTES: Final = 64 * 1024
_HEAD_SECONDS: Final = 10.0


class Wire(HttpToolsProtocol):
    """Uvicorn's protocol, which by itself waits for ever for a head, however long it grows.

    Attributes:
        head_timeout: Seconds for request line and headers, counted from the connection or from the
            first byte of the next request; also for the rest of a body that was refused.
    """

    head_timeout: float = _HEAD_SECONDS
    _head = 0
    _in_head = False
    _in_body = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._end_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """A head is complete."""
        self._end_head()
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A body is complete."""
        self._in_body = False
        self._stop_clock()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Let a refused body run out, but not for ever."""
        super().on_response_complete()
        if self._in_body:
            self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Take bytes, but no head without end."""
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head += len(data)
            if self._head > _HEAD_BYTES:
                self._refuse(problem("too-large", 431, "The headers are too long."))

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(problem("not-http", 400, msg))

    def _await_head(self) -> None:
        self._in_head, self._head = True, 0
        self._start_clock()

    def _end_head(self) -> None:
        self._in_head = False
        self._stop_clock()

    def _start_clock(self) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(self.head_timeout, self.transport.close)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _refuse(self, response: Response) -> None:
        lines = [
            b"%s: %s" % header for header in (*response.raw_headers, (b"connection", b"close"))
        ]
        status = b"HTTP/1.1 %d " % response.status_code
        self.transport.write(b"\r\n".join([status, *lines, b"", bytes(response.body)]))
        self.transport.close()
