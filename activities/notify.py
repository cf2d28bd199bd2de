"""`SendNotification`: lease one outbox row, tell one receiver, settle the row."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.channels.base import Channel, Message
from tocsin.bus import notify_subject
from tocsin.domain.alert import TenantName
from tocsin.domain.work import Notified, NotifyRequest
from tocsin.errors import (
    BusUnavailable,
    DeliveryDelayed,
    DeliveryError,
    DeliveryRefused,
    Unavailable,
)
from tocsin.jetstream import Bus
from tocsin.store import alerts, notifications
from tocsin.store.alerts import Outboxed
from tocsin.store.database import Database
from tocsin.store.notifications import Lease
from tocsin.telemetry import EVENTS_UNTOLD, NOTIFICATIONS
from tocsin.tenants import ReceiverConfig, TenantConfig

log = structlog.get_logger()

# Each longer than the one before: an attempt ends before its activity does, and a lease lapses only
# when its holder is gone.
DELIVERY: Final = timedelta(seconds=17)
LEASE: Final = timedelta(seconds=25)
# Both, before a receiver in trouble is given up. An hour holds at least ten attempts, whatever wait
# the receiver asks for; where it held fewer, the worker was away.
GIVE_UP_AFTER: Final = timedelta(hours=1)
FEWEST_ATTEMPTS: Final = 10


class Notifying:
    """Sends notifications out of the outbox.

    Args:
        database: Where the outbox is.
        tenants: The tenant files.
        channels: Ways of telling, by name.
        bus: Where subscribers listen.
        clock: The present moment, aware.
    """

    def __init__(
        self,
        database: Database,
        tenants: Mapping[TenantName, TenantConfig],
        channels: Mapping[str, Channel],
        bus: Bus,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._tenants = tenants
        self._channels = channels
        self._bus = bus
        self._clock = clock

    @activity.defn(name="SendNotification")
    async def send(self, request: NotifyRequest) -> Notified:
        """Make one attempt.

        Returns:
            It is settled: delivered, or failed for good, perhaps with a fallback's notification.

        Raises:
            ApplicationError: Not delivered yet; try again, after the delay it names.
            LookupError: There is no such notification.
            StoreUnavailable: PostgreSQL is away.
        """
        lease = await notifications.take(self._database, request.notification, duration=LEASE)
        if lease is None:
            return await self._settled(request.notification)
        return await self._attempt(lease)

    async def _attempt(self, lease: Lease) -> Notified:
        try:
            async with asyncio.timeout(DELIVERY.total_seconds()):
                answer = await self._deliver(lease)
        except asyncio.CancelledError:
            # The process drains: whoever comes next need not wait for the lease to lapse.
            await notifications.release(self._database, lease, error="the worker drained")
            raise
        except DeliveryRefused as error:
            return await self._fail(lease, error)
        except Exception as error:
            delay = error.retry_after if isinstance(error, DeliveryDelayed) else None
            if self._is_enough(lease, error):
                return await self._fail(lease, error)
            await notifications.release(self._database, lease, error=_reason(error))
            await self._tell(lease, "delayed", _reason(error))
            raise _later(_reason(error), delay) from error
        await notifications.settle_delivered(self._database, lease)
        await self._tell(lease, "delivered", answer)
        return Notified()

    def _is_enough(self, lease: Lease, error: Exception) -> bool:
        """An hour of trouble is; what we lack ourselves only where somebody else can be told."""
        tried_for = self._clock() - lease.first_attempt_at
        if tried_for < GIVE_UP_AFTER or lease.attempts < FEWEST_ATTEMPTS:
            return False
        return not isinstance(error, Unavailable) or self._fallback(lease) is not None

    async def _deliver(self, lease: Lease) -> str:
        receiver = self._receiver(lease.ref.tenant, lease.receiver)
        if receiver is None:
            raise DeliveryRefused(f"receiver {lease.receiver!r} is no longer configured")
        alert, verdict, route = await alerts.load_judged(self._database, lease.ref)
        message = Message(
            key=lease.id,
            ref=lease.ref,
            alert=alert,
            verdict=verdict,
            route=route,
            sent_at=self._clock(),
            fallback_for=lease.fallback_for or "",
        )
        return await self._channels[receiver.channel].send(message, receiver)

    async def _fail(self, lease: Lease, error: Exception) -> Notified:
        """Settle as failed; the tenant's fallback hears of it unless it is the one that failed."""
        fallback = self._fallback(lease)
        settled = await notifications.settle_failed(
            self._database, lease, error=_reason(error), fallback=fallback
        )
        if not settled:
            return await self._settled(lease.id)
        await self._tell(lease, "failed", _reason(error))
        return Notified(fallback=fallback.id if fallback else "")

    async def _settled(self, notification: str) -> Notified:
        """What to answer for a row that is not ours to send."""
        status, lease_until = await notifications.status(self._database, notification)
        if status == "delivered":
            return Notified()
        if status == "failed":
            fallback = fallback_id(notification)
            known = await notifications.exists(self._database, fallback)
            return Notified(fallback=fallback if known else "")
        wait = lease_until - self._clock() if lease_until else timedelta(seconds=1)
        raise _later("another attempt is under way", max(wait, timedelta(milliseconds=100)))

    def _fallback(self, lease: Lease) -> Outboxed | None:
        tenant = self._tenants.get(lease.ref.tenant)
        name = tenant.fallback if tenant else None
        receiver = self._receiver(lease.ref.tenant, name) if name else None
        if lease.fallback_for or receiver is None or receiver.name == lease.receiver:
            return None
        return Outboxed(id=fallback_id(lease.id), receiver=receiver.name, channel=receiver.channel)

    def _receiver(self, tenant: TenantName, name: str) -> ReceiverConfig | None:
        config = self._tenants.get(tenant)
        if config is None:
            return None
        return next((receiver for receiver in config.receivers if receiver.name == name), None)

    async def _tell(self, lease: Lease, outcome: str, detail: str) -> None:
        """Count the attempt, log it, and tell subscribers."""
        NOTIFICATIONS.labels(lease.ref.tenant, lease.channel, outcome).inc()
        log.info(
            "notification_attempted",
            outcome=outcome,
            tenant=lease.ref.tenant,
            alert_id=lease.ref.alert_id,
            receiver=lease.receiver,
            attempt=lease.attempts,
        )
        event = {"lease": lease, "outcome": outcome, "detail": detail}
        try:
            subject = notify_subject(lease.ref.tenant, lease.channel)
            await self._bus.tell(subject, msgspec.json.encode(event))
        except BusUnavailable:
            EVENTS_UNTOLD.labels(lease.ref.tenant).inc()


def fallback_id(notification: str) -> str:
    """The id of the notification that stands in for one that failed for good.

    The stroke is in no receiver's name, so it is no other notification's id.
    """
    return f"{notification}/fallback"


def _reason(error: Exception) -> str:
    response = error.response if isinstance(error, DeliveryError) else ""
    return f"{type(error).__name__}: {error}" + (f" [{response}]" if response else "")


def _later(reason: str, delay: timedelta | None) -> ApplicationError:
    # Benign: an attempt that is made again is no error of this process, and is logged as such.
    return ApplicationError(
        reason,
        type="DeliveryDelayed",
        next_retry_delay=delay,
        category=ApplicationErrorCategory.BENIGN,
    )
