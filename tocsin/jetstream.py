"""The client of NATS JetStream; a 2xx of the receiver means an acknowledgement from here."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from tocsin.errors import BusUnavailable, StreamFull, TooLarge
from tocsin.pulling import Subscription
from tocsin.refusals import Refusals, read_refusal
from tocsin.settings import NatsSettings
from tocsin.stock import Stock

INBOX_PREFIX: Final = "_TOCSIN"

_HEADERS: Final = 4096
_BUFFER: Final = 64 * 1024**2
_FULL_BUFFER_SECONDS: Final = 0.3
_ERRORS: Final = (nats.errors.Error, OSError, TimeoutError)


class Ack(msgspec.Struct, frozen=True):
    """JetStream's acknowledgement of one message.

    Attributes:
        sequence: Sequence in the stream.
        duplicate: True when the stream already held this message id, and stored nothing.
    """

    sequence: int
    duplicate: bool


class Bus:
    """One connection to NATS, reconnecting for as long as it is open.

    Args:
        settings: Where the server is and how to log in.
        name: Shown in the server's list of connections.
        password: Resolves the password when a connection is opened.

    Attributes:
        client: The connection itself.
        jetstream: JetStream on it.
        stock: What JetStream holds.
    """

    def __init__(
        self,
        settings: NatsSettings,
        *,
        name: str,
        password: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._settings = settings
        self._password = password
        self._name = name
        self.client = Client()
        self.jetstream = self.client.jetstream(timeout=5)
        self.stock = Stock(self.client, self.jetstream)
        self._refusals = Refusals()
        self._opened = False

    async def connect(self) -> None:
        """Connect, waiting for a server that is not there yet.

        Raises:
            SecretMissing: The password's reference names nothing.
            VaultUnavailable: The password is in Vault, and Vault is away.
        """
        login: dict[str, Any] = {}
        if self._settings.user and self._password:
            login = {"user": self._settings.user, "password": await self._password()}
        if self._settings.credentials:
            login = {"user_credentials": str(self._settings.credentials)}
        self._opened = True
        await self.client.connect(
            servers=self._settings.url.split(","),
            name=self._name,
            # Other publishers may listen to `_INBOX.>`: what is delivered to us is not theirs.
            inbox_prefix=INBOX_PREFIX,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            ping_interval=5,
            max_outstanding_pings=2,
            connect_timeout=2,
            # A server that stands still reads nothing; the wait for room in this buffer comes
            # before the wait for the acknowledgement, and on top of it.
            pending_size=_BUFFER,
            flush_timeout=_FULL_BUFFER_SECONDS,
            error_cb=_ignore,
            **login,
        )

    async def close(self) -> None:
        """Flush what is buffered and close the connection."""
        if self._opened and not self.client.is_closed:
            await self.client.close()

    @property
    def connected(self) -> bool:
        """True while the connection stands, as far as the client knows."""
        return bool(self.client.is_connected)

    @property
    def largest(self) -> int:
        """Most bytes of data that fit one message with any headers of ours."""
        return int(self.client.max_payload) - _HEADERS

    @property
    def accepting(self) -> bool:
        """False for a while after JetStream refused an alert as it would refuse anybody's."""
        return self._refusals.standing is None

    @property
    def full(self) -> bool:
        """True when it refused it because the stream of alerts is full for every tenant."""
        return isinstance(self._refusals.standing, StreamFull)

    async def publish(
        self,
        subject: str,
        data: bytes,
        headers: Mapping[str, str],
        *,
        timeout: timedelta = timedelta(seconds=2),  # noqa: ASYNC109 - of one request, not a scope
    ) -> Ack:
        """Publish one message and wait until JetStream has it on disk.

        Args:
            subject: One of the subjects that `tocsin.bus` names.
            data: The message.
            headers: Printable ASCII only; `Nats-Msg-Id` makes a repeat within the duplicate window
                harmless.
            timeout: Longest wait for the acknowledgement.

        Returns:
            The acknowledgement.

        Raises:
            TooLarge: The server takes no message of this size.
            BusFull: The subject's bound is reached.
            StreamFull: The stream's bound is reached.
            BusUnavailable: No acknowledgement; the message may or may not be stored, so try again
                with the same message id.
        """
        if not self.connected:
            raise BusUnavailable("NATS is not connected")
        if len(data) > self.largest:
            raise TooLarge(f"The event is over the bus's limit of {self.largest} bytes.")
        try:
            # The client's own limit begins when the message left its buffer; ours, before.
            async with asyncio.timeout(timeout.total_seconds()):
                ack = await self.jetstream.publish(
                    subject, data, timeout=timeout.total_seconds(), headers=dict(headers)
                )
        except _ERRORS as error:
            if isinstance(error, nats.js.errors.APIError):
                refusal = read_refusal(subject, error)
            else:
                refusal = BusUnavailable(f"JetStream did not acknowledge: {error!r}")
            self._refusals.note(subject, refusal)
            raise refusal from error
        if not ack.duplicate:
            self._refusals.forget(subject)
        return Ack(ack.seq, bool(ack.duplicate))

    async def ask(self, subject: str, *, wait: timedelta) -> None:
        """Ask whoever serves a subject, and wait until it is done; nobody may be there."""
        with suppress(*_ERRORS):
            await self.client.request(subject, timeout=wait.total_seconds())

    async def serve(
        self, subjects: str, group: str, work: Callable[[str], Awaitable[None]]
    ) -> None:
        """Do work whenever it is asked for on some subjects; of a group, one does it.

        Raises:
            BusUnavailable: The connection is closed.
        """

        async def answer(message: Msg) -> None:
            await work(message.subject)
            await message.respond(b"")

        try:
            await self.client.subscribe(subjects, queue=group, cb=answer)
        except nats.errors.Error as error:
            raise BusUnavailable(f"{subjects} is not served: {error!r}") from error

    async def tell(self, subject: str, data: bytes) -> None:
        """Publish to subscribers without waiting; what cannot be sent is dropped.

        Raises:
            BusUnavailable: The connection does not stand.
        """
        if not self.connected:
            raise BusUnavailable("NATS is not connected")
        try:
            await self.client.publish(subject, data)
        except nats.errors.Error as error:
            raise BusUnavailable(f"NATS took nothing: {error!r}") from error

    async def listen(self, subject: str) -> AsyncIterator[bytes]:
        """What is told to subscribers from now on.

        Raises:
            BusUnavailable: The connection does not stand.
        """
        try:
            subscription = await self.client.subscribe(subject)
            async for message in subscription.messages:
                yield message.data
        except nats.errors.Error as error:
            raise BusUnavailable(f"nobody listens to {subject}: {error!r}") from error

    async def pull(self, stream: str, consumer: str) -> Subscription:
        """Bind to a durable pull consumer that `tocsin migrate` created.

        Raises:
            BusUnavailable: The server or the consumer is not there.
        """
        try:
            await self.jetstream.consumer_info(stream, consumer)
            bound = await self.jetstream.pull_subscribe_bind(consumer=consumer, stream=stream)
        except _ERRORS as error:
            raise BusUnavailable(f"no consumer {consumer} on {stream}: {error!r}") from error
        return Subscription(bound)


async def _ignore(_error: Exception) -> None:
    """Connection errors show where they are felt: in publish, fetch and `/readyz`."""
