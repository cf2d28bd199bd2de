"""Pulling messages from a durable consumer of JetStream."""

from collections.abc import Awaitable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from tocsin.errors import BusUnavailable


class Delivery:
    """One message handed to us, ours until it is acknowledged or its time is over."""

    def __init__(self, message: Msg) -> None:
        self._message = message
        self.subject = message.subject
        self.data = message.data
        self.headers: Mapping[str, str] = message.headers or {}
        self.sequence = message.metadata.sequence.stream
        self.stored_at: datetime = message.metadata.timestamp.astimezone(UTC)

    @property
    def settled(self) -> bool:
        """True once it was acknowledged or handed back."""
        return self._message.is_acked

    async def ack(self) -> None:
        """Take it off the queue.

        Raises:
            BusUnavailable: The acknowledgement could not be sent; it will be delivered again.
        """
        await _send(self._message.ack())

    async def retry(self, *, after: timedelta = timedelta()) -> None:
        """Hand it back, to be delivered again after a pause.

        Raises:
            BusUnavailable: That could not be sent; it will be delivered again anyhow.
        """
        await _send(self._message.nak(delay=after.total_seconds() or None))

    async def keep(self) -> None:
        """Ask for more time.

        Raises:
            BusUnavailable: That could not be sent.
        """
        await _send(self._message.in_progress())


class Subscription:
    """A durable consumer that we pull from."""

    def __init__(self, subscription: JetStreamContext.PullSubscription) -> None:
        self._subscription = subscription

    async def close(self) -> None:
        """Stop listening, so that no message is delivered to a fetch that nobody awaits."""
        with suppress(nats.errors.Error):
            await self._subscription.unsubscribe()

    async def fetch(self, *, batch: int, wait: timedelta) -> list[Delivery]:
        """Fetch up to `batch` messages, waiting for the first; an empty list when none came.

        Raises:
            BusUnavailable: The server does not answer; bind again.
        """
        try:
            messages = await self._subscription.fetch(batch, timeout=wait.total_seconds())
        except (TimeoutError, nats.errors.TimeoutError):
            return []
        except (nats.errors.Error, OSError) as error:
            raise BusUnavailable(f"no messages: {error!r}") from error
        return [Delivery(message) for message in messages]


async def _send(answer: Awaitable[None]) -> None:
    try:
        await answer
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise BusUnavailable(f"NATS took no answer: {error!r}") from error
