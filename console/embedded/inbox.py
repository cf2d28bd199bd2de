"""The stack's own inbox: a real HTTP endpoint and a real SMTP listener that show what arrived.

It stands where a pager and a mail server would, so that a first try proves delivery.
"""

import asyncio
import html
from collections import deque
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from typing import Any, Final

import msgspec
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

_MOST: Final = 5000
_LARGEST: Final = 1024 * 1024


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One notification that arrived.

    Attributes:
        number: Counts up from 1.
        at: When it arrived.
        channel: `webhook` or `email`.
        place: Path or address it was sent to.
        key: Identity of the notification, the same on every attempt.
        title: Its first line.
        body: All of it.
    """

    number: int
    at: datetime
    channel: str
    place: str
    key: str
    title: str
    body: str


class Inbox:
    """Keeps what arrives, in memory.

    Args:
        username: SMTP user that may log in.
        password: Its password.
    """

    def __init__(self, username: str, password: str) -> None:
        self._login = (username.encode(), password.encode())
        self._received: deque[Received] = deque(maxlen=_MOST)
        self._number = 0

    def app(self) -> Starlette:
        """The HTTP side: any POST is taken, `/` shows a page, `/messages` gives JSON."""
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/healthz", self._healthz),
                Route("/messages", self._messages),
                Route("/{place:path}", self._post, methods=["POST"]),
            ]
        )

    async def serve_smtp(self, host: str, port: int) -> asyncio.Server:
        """Listen for mail.

        Raises:
            OSError: The port is taken.
        """
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._smtp, host, port)

    async def handle_DATA(  # noqa: N802 - the name that aiosmtpd calls
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take one mail."""
        content = envelope.content or b""
        raw = content.encode() if isinstance(content, str) else content
        mail = message_from_bytes(raw, policy=default)
        part = mail.get_body(("plain",))
        self._keep(
            channel="email",
            place=", ".join(envelope.rcpt_tos),
            key=str(mail["X-Tocsin-Key"] or mail["Message-ID"] or ""),
            title=str(mail["Subject"] or ""),
            body=part.get_content() if part else "",
        )
        return "250 2.0.0 kept in the inbox"

    def _smtp(self) -> SMTP:
        return SMTP(
            self,
            authenticator=self._authenticate,
            auth_required=True,
            auth_require_tls=False,
            data_size_limit=_LARGEST,
            hostname="localhost",
        )

    def _authenticate(
        self,
        _server: SMTP,
        _session: Session,
        _envelope: Envelope,
        _mechanism: str,
        data: Any,  # noqa: ANN401 - aiosmtpd's type
    ) -> AuthResult:
        known = isinstance(data, LoginPassword) and (data.login, data.password) == self._login
        return AuthResult(success=known)

    async def _post(self, request: Request) -> Response:
        raw = await request.body()
        self._keep(
            channel="webhook",
            place=request.path_params["place"],
            key=request.headers.get("webhook-id", ""),
            title=_title(raw),
            body=raw[:_LARGEST].decode("utf-8", "replace"),
        )
        return Response(status_code=204)

    async def _healthz(self, _request: Request) -> Response:
        return _json({"status": "ok"})

    async def _messages(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        first = int(after) if after.isdecimal() else 0
        return _json([each for each in self._received if each.number > first])

    async def _page(self, _request: Request) -> Response:
        return HTMLResponse(page(self._received))

    def _keep(self, **fields: str) -> None:
        self._number += 1
        self._received.append(Received(number=self._number, at=datetime.now(UTC), **fields))


def page(received: deque[Received]) -> str:
    """The page a person looks at: newest first, everything a stranger wrote escaped."""
    rows = "".join(
        f"<tr><td>{each.at:%H:%M:%S}</td><td>{html.escape(each.channel)}</td>"
        f"<td>{html.escape(each.place)}</td>"
        f"<td><details><summary>{html.escape(each.title)}</summary>"
        f"<pre>{html.escape(each.body)}</pre></details></td></tr>"
        for each in reversed(received)
    )
    empty = "" if rows else "<p>Nothing has arrived yet.</p>"
    return _PAGE.format(count=len(received), rows=rows, empty=empty)


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>tocsin inbox</title>
<meta http-equiv="refresh" content="5">
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; color: #222 }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .35rem .7rem; border-bottom: 1px solid #ddd;
          vertical-align: top }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f6f4; padding: .7rem }}
summary {{ cursor: pointer }}
</style></head><body>
<h1>tocsin inbox</h1>
<p>{count} notifications arrived, newest first.</p>{empty}
<table><thead><tr><th>time</th><th>channel</th><th>to</th><th>notification</th></tr></thead>
<tbody>{rows}</tbody></table></body></html>
"""


def _title(raw: bytes) -> str:
    try:
        return str(msgspec.json.decode(raw)["data"]["title"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return raw[:80].decode("utf-8", "replace")


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
