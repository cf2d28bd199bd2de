"""What JetStream holds: the state of its streams and consumers, single messages, and purging."""

import json
from typing import Final

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import ConsumerInfo, RawStreamMsg, StreamInfo
from nats.js.client import JetStreamContext

from tocsin.errors import BusUnavailable

_ERRORS: Final = (nats.errors.Error, OSError, TimeoutError)


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream holds at one moment.

    Attributes:
        bytes: On disk, of all subjects.
        first: Its lowest sequence.
        messages: Subject to number of messages.
    """

    bytes: int
    first: int
    messages: dict[str, int]


class Stock:
    """Looks at what is in JetStream, and takes out what is done.

    Args:
        client: The connection.
        jetstream: JetStream on it.
    """

    def __init__(self, client: Client, jetstream: JetStreamContext) -> None:
        self._client = client
        self._jetstream = jetstream

    async def stream(self, name: str) -> StreamInfo:
        """State of one stream.

        Raises:
            BusUnavailable: The server does not answer, or has no such stream.
        """
        try:
            return await self._jetstream.stream_info(name)
        except _ERRORS as error:
            raise BusUnavailable(f"no answer about stream {name}: {error!r}") from error

    async def epoch(self, stream: str) -> int:
        """The second in which a stream was created: one made anew counts from one again.

        Raises:
            BusUnavailable: The server does not answer, or has no such stream.
        """
        created = (await self.stream(stream)).created
        if created is None:
            raise BusUnavailable(f"stream {stream} does not say when it was created")
        return int(created.timestamp())

    async def consumer(self, stream: str, name: str) -> ConsumerInfo | None:
        """State of one consumer; None when there is none.

        Raises:
            BusUnavailable: The server does not answer.
        """
        try:
            info: ConsumerInfo = await self._jetstream.consumer_info(stream, name)
        except nats.js.errors.NotFoundError:
            return None
        except _ERRORS as error:
            raise BusUnavailable(f"no answer about consumer {name}: {error!r}") from error
        return info

    async def holdings(self, stream: str, subjects: str) -> Holdings:
        """What a stream holds.

        Args:
            stream: Which stream.
            subjects: Subjects to count, with wildcards.

        Raises:
            BusUnavailable: The server does not answer.
        """
        request = json.dumps({"subjects_filter": subjects}).encode()
        try:
            reply = await self._client.request(f"$JS.API.STREAM.INFO.{stream}", request, timeout=5)
        except _ERRORS as error:
            raise BusUnavailable(f"no answer about stream {stream}: {error!r}") from error
        state = json.loads(reply.data).get("state", {})
        return Holdings(
            bytes=state.get("bytes", 0),
            first=state.get("first_seq", 0),
            messages=state.get("subjects") or {},
        )

    async def message(self, stream: str, sequence: int) -> RawStreamMsg | None:
        """Read one stored message; None when it is not in the stream any more.

        Raises:
            BusUnavailable: The server does not answer.
        """
        try:
            return await self._jetstream.get_msg(stream, sequence)
        except nats.js.errors.NotFoundError:
            return None
        except _ERRORS as error:
            raise BusUnavailable(f"no answer about {stream} {sequence}: {error!r}") from error

    async def purge(self, stream: str, subject: str, *, below: int) -> int:
        """Delete a subject's messages with a sequence lower than `below`, and say how many.

        Raises:
            BusUnavailable: The server does not answer.
        """
        if below <= 1:  # to the server, 0 means all of them
            return 0
        request = json.dumps({"filter": subject, "seq": below}).encode()
        try:
            reply = await self._client.request(f"$JS.API.STREAM.PURGE.{stream}", request, timeout=5)
        except _ERRORS as error:
            raise BusUnavailable(f"{stream} was not purged: {error!r}") from error
        return int(json.loads(reply.data).get("purged", 0))
