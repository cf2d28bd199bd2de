"""The receiver without a stack: the application on a bus that lives in memory."""

import re
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from http import HTTPStatus

import httpx
from nats.js.api import StreamConfig, StreamInfo, StreamState
from starlette.applications import Starlette

from ingest.app import Edge, create_app
from ingest.auth import Keyring
from ingest.openapi import document
from ingest.publisher import Publisher
from ingest.readiness import Readiness
from tocsin import bus as names
from tocsin.domain.alert import TenantName
from tocsin.errors import BusFull, BusUnavailable, StreamFull, TooLarge
from tocsin.jetstream import Ack, Bus
from tocsin.settings import NatsSettings, ReceiverSettings
from tocsin.stock import Stock
from tocsin.tenants import SourceConfig, TenantConfig

TENANT = TenantName("acme")
TOKEN = "a-token-of-the-wazuh-source"
OTHER_TOKEN = "a-token-of-the-alertmanager-source"
CAPABILITY = "a-capability-of-the-wazuh-source"
MAX_BODY = 4096


def hashed(secret: str) -> str:
    """As tenant files hold it."""
    return sha256(secret.encode()).hexdigest()


def acme() -> dict[TenantName, TenantConfig]:
    """A tenant with a token per source."""
    sources = (
        SourceConfig(
            name="wazuh",
            kind="wazuh",
            tokens=(hashed(TOKEN),),
            capabilities=(hashed(CAPABILITY),),
            max_body=MAX_BODY,
        ),
        SourceConfig(name="alertmanager", kind="alertmanager", tokens=(hashed(OTHER_TOKEN),)),
        SourceConfig(
            name="generic",
            kind="generic",
            tokens=(hashed(TOKEN),),
            mapping={"message": "event.message"},
            max_body=MAX_BODY,
        ),
    )
    return {TENANT: TenantConfig(tenant=TENANT, sources=sources)}


class MemoryStock(Stock):
    """Looks at what a bus in memory holds."""

    def __init__(self, bus: "MemoryBus") -> None:
        super().__init__(bus.client, bus.jetstream)
        self._bus = bus

    async def stream(self, name: str) -> StreamInfo:
        """State of one stream."""
        if not self._bus.connected:
            raise BusUnavailable("not connected")
        count = len(self._bus.kept)
        state = StreamState(count, bytes=0, first_seq=1, last_seq=count, consumer_count=0)
        return StreamInfo(config=StreamConfig(name=name), state=state)


class MemoryBus(Bus):
    """Keeps messages as JetStream does; its publishing passes the contract of the real one.

    Attributes:
        kept: Subject, data and headers of every message, in order.
        bound: Most messages per subject.
        room: Most bytes of all messages.
        connected: False while the server is away.
        largest: Most bytes of one message.
    """

    accepting = True
    full = False
    connected = True
    largest = 1024**2

    def __init__(
        self, *, bound: int = 100_000, largest: int = 1024**2, room: int = 1024**3
    ) -> None:
        super().__init__(NatsSettings(), name="memory")
        self.stock = MemoryStock(self)
        self.kept: list[tuple[str, bytes, Mapping[str, str]]] = []
        self.bound = bound
        self.room = room
        self.largest = largest
        self._sequences: dict[str, int] = {}

    async def publish(
        self, subject: str, data: bytes, headers: Mapping[str, str], **_waiting: timedelta
    ) -> Ack:
        """Publish one message."""
        if not self.connected:
            raise BusUnavailable("not connected")
        if len(data) > self.largest:
            raise TooLarge("too large")
        message_id = headers.get(names.MESSAGE_ID, "")
        if message_id and message_id in self._sequences:
            return Ack(self._sequences[message_id], duplicate=True)
        if sum(each[0] == subject for each in self.kept) >= self.bound:
            raise BusFull(f"{subject} is full")
        if sum(len(each[1]) for each in self.kept) + len(data) > self.room:
            self.accepting, self.full = False, True
            raise StreamFull("the stream is full")
        self.kept.append((subject, data, headers))
        self._sequences[message_id] = len(self.kept)
        return Ack(len(self.kept), duplicate=False)

    async def ask(self, subject: str, *, wait: timedelta) -> None:
        """Nobody is there who could make room."""


def receiver(
    bus: MemoryBus,
    *,
    max_events: int = 100,
    body_timeout: timedelta = timedelta(seconds=5),
) -> Starlette:
    """The receiver's application."""
    settings = ReceiverSettings(max_events=max_events)
    edge = Edge(
        Keyring(acme()),
        Publisher(bus, acme(), settings),
        Readiness(bus, {}),
        body_timeout=body_timeout,
    )
    return create_app(edge)


def sender(app: Starlette) -> httpx.AsyncClient:
    """A client of the application that needs no socket; an exception of it is a 500.

    It fails the test on an answer that the OpenAPI document does not describe.
    """
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    hooks = {"response": [assert_described]}
    return httpx.AsyncClient(transport=transport, base_url="http://receiver", event_hooks=hooks)


async def assert_described(answer: httpx.Response) -> None:
    """An answer has a status, a type and headers that the document gives for its operation.

    For another method it is what all operations of the path describe; no path at all is a 404.
    """
    method = answer.request.method.lower().replace("head", "get")
    path = next((each for each in document()["paths"] if _fits(each, answer.request.url.path)), "")
    operations = document()["paths"].get(path, {})
    if not operations:
        assert answer.status_code == HTTPStatus.NOT_FOUND
        return
    asked = [operations[method]] if method in operations else operations.values()
    for operation in asked:
        described = operation["responses"].get(str(answer.status_code))
        assert described, f"{method} {path} answers {answer.status_code}, and nobody says so"
        assert answer.headers["content-type"].partition(";")[0] in described["content"]
        assert all(header in answer.headers for header in described.get("headers", {}))


def _fits(template: str, path: str) -> bool:
    return bool(re.fullmatch(re.sub(r"\{\w+\}", ".+", template), path))


def bearer(token: str = TOKEN) -> dict[str, str]:
    """The headers of a sender with a token."""
    return {"Authorization": f"Bearer {token}"}
