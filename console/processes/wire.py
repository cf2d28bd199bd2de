"""HTTP/1.1 as strangers speak it: bounded before the body, and answered in our own form."""

import asyncio
from typing import Final

import httptools
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingest.problems import problem

_HEAD_BYTES: Final = 64 * 1024
_BIT_BYTES: Final = 4096
# What a header costs beyond its bytes, as HTTP/2 reckons it (RFC 9113, section 6.5.2).
_HEADER_COST: Final = 32
_HEAD_SECONDS: Final = 10.0
_LINGER_BYTES: Final = 4 * 2**20


class Wire(HttpToolsProtocol):
    """Uvicorn's protocol, which by itself waits for ever and keeps whatever comes.

    Bounded is all that the parser may hold on to: what arrived since a message began or a piece of
    its body was handed on. That is a head, but trailers and chunk extensions, too.

    Attributes:
        head_timeout: Seconds for request line and headers, counted from the connection or from the
            first byte of the next request; also for what follows an answer and is no request, such
            as the rest of a body that was refused, and for all that follows a refusal of ours.
    """

    head_timeout: float = _HEAD_SECONDS
    _held = 0
    _in_head = False
    _refused = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_clock()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head, self._held = True, 0
        self._start_clock()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; drop a trailer, as RFC 9110, section 6.5.1, allows."""
        self._held += _HEADER_COST
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A head is complete, except one that is going to be read again."""
        if self.parser.should_upgrade():
            return
        super().on_headers_complete()
        self._in_head, self._held = False, 0
        self._stop_clock()

    def on_body(self, body: bytes) -> None:
        """Hand on a piece of a body."""
        self._held = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A body is complete, except that of a head which is going to be read again."""
        if self._in_head:
            return
        self._held = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Once everything is answered, wait for the next head, but not for ever."""
        super().on_response_complete()
        if self.cycle.response_complete:
            self._start_clock()

    def data_received(self, data: bytes) -> None:
        """Take bytes, but nothing without end; bit by bit, since only between bits is it known."""
        if self._refused:
            self._drop(data)
            return
        for start in range(0, len(data), _BIT_BYTES):
            bit = data[start : start + _BIT_BYTES]
            self._held += len(bit)
            self._unset_keepalive_if_required()
            self._parse(bit)
            if self._refused or self.transport.is_closing():
                return
            if self._held > _HEAD_BYTES:
                self._refuse(problem("too-large", 431, "The headers are too long."))
                return

    def _parse(self, data: bytes) -> None:
        """Parse bytes, and serve a request to upgrade as if it were none (RFC 9110, section 7.8).

        The parser takes what stands behind such a head for the other protocol. So the head is read
        again, without its wish, and its body behind it.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as stop:
            if self.parser.get_method() == b"CONNECT":
                self._refuse(problem("not-http", 400, "CONNECT is not served."))
            else:
                head = self._plain_head()
                # The one that stopped reads no more where the head also says `Connection: close`.
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self._parse(head + data[stop.args[0] :])
        except httptools.HttpParserError:
            self._refuse(problem("not-http", 400, "Invalid HTTP request received."))

    def _plain_head(self) -> bytes:
        """The head that was just read, without `Upgrade`."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (method, self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _start_clock(self) -> None:
        self._stop_clock()
        self._deadline = self.loop.call_later(self.head_timeout, self.transport.close)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _refuse(self, response: Response) -> None:
        """Close, and say why where that cannot pass for the answer to another request."""
        if self._is_due():
            lines = [
                b"%s: %s" % header for header in (*response.raw_headers, (b"connection", b"close"))
            ]
            status = b"HTTP/1.1 %d " % response.status_code
            self.transport.write(b"\r\n".join([status, *lines, b"", bytes(response.body)]))
        if self.pipeline:
            self.transport.close()
        else:
            self._linger()

    def _linger(self) -> None:
        """Say no more, but read on for a while.

        Closing with bytes unread makes the kernel send a reset, and the reset makes the other side
        forget an answer that it has not read yet (RFC 9112, section 9.6).
        """
        self._refused, self._held = True, 0
        self._let_go()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._start_clock()

    def _let_go(self) -> None:
        """Make the request under way, where there is one, find that its sender has left."""
        cycle, self.cycle = self.cycle, None  # type: ignore[assignment]
        if cycle is not None:
            cycle.disconnected, cycle.waiting_for_100_continue = True, False
            cycle.message_event.set()

    def _drop(self, data: bytes) -> None:
        """Forget what follows a refusal, and close once it is too much."""
        self._held += len(data)
        if self._held > _LINGER_BYTES:
            self.transport.close()

    def _is_due(self) -> bool:
        """Whether the next answer on this connection is that to what arrives now."""
        if self.cycle is None or self._in_head:
            return self.cycle is None or self.cycle.response_complete
        return self.cycle.more_body and not self.cycle.response_started and not self.pipeline
