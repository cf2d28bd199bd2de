"""Notifications: leased, sent, settled, over the real outbox and real listeners."""

import asyncio
import base64
import hashlib
import hmac
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from temporalio.exceptions import ApplicationError

from activities.channels.base import Channel, Message
from activities.notify import FEWEST_ATTEMPTS, GIVE_UP_AFTER, Notifying
from activities.registry import channels
from tests.integration.listener import answer, listening
from tests.road import Road, eventually
from tocsin.domain.alert import Alert, AlertId, AlertRef, TenantName
from tocsin.domain.severity import Severity
from tocsin.domain.verdict import Verdict
from tocsin.domain.work import Notified, NotifyRequest
from tocsin.errors import DeliveryDelayed, VaultUnavailable
from tocsin.outbound import Outbound, retry_after
from tocsin.secrets import Secrets
from tocsin.settings import OutboundSettings, VaultSettings
from tocsin.store import alerts, notifications
from tocsin.store.alerts import Decision, Outboxed
from tocsin.store.events import Arrival, record
from tocsin.store.notifications import Lease
from tocsin.tenants import ReceiverConfig, TenantConfig
from workflows import policies

TENANT = TenantName("notify-test")
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def tenant(url: str, *, secret: str = "", fallback: str | None = None) -> TenantConfig:
    """A tenant with a webhook, and another as its fallback."""
    return TenantConfig.model_validate(
        {
            "tenant": TENANT,
            "receivers": [
                {"name": "first", "webhook": {"url": url, "secret": secret}},
                {"name": "second", "webhook": {"url": url + "/fallback"}},
            ],
            "routes": [],
            "fallback": fallback,
        }
    )


class Sender:
    """The activity under test, with its clients."""

    def __init__(
        self,
        road: Road,
        config: TenantConfig,
        *,
        ways: dict[str, Channel] | None = None,
        **more: Any,
    ) -> None:
        self.road = road
        self.outbound = Outbound(OutboundSettings(allow_private=True, timeout=timedelta(seconds=1)))
        secrets = Secrets(VaultSettings())
        self.activity = Notifying(
            road.database,
            {TENANT: config},
            ways or channels(self.outbound, secrets),
            road.bus,
            **more,
        )

    async def send(self, notification: str) -> Notified:
        """One attempt."""
        return await self.activity.send(NotifyRequest(tenant=TENANT, notification=notification))


async def outboxed(road: Road, receiver: str = "first") -> str:
    """Put an alert with one notification into the outbox, and give the notification's id."""
    ref = AlertRef(tenant=TENANT, alert_id=AlertId(uuid.uuid4().hex))
    now = datetime.now(UTC)
    alert = Alert(
        tenant=TENANT, source="wazuh", id=ref.alert_id, received_at=now, severity=Severity.HIGH
    )
    arrival = Arrival(
        sequence=uuid.uuid4().int % 2**60,
        source="wazuh",
        ref=ref,
        received_at=now,
        raw=b"{}",
        alert=alert,
    )
    # The books count an epoch of its own as messages of an earlier stream, all of them settled.
    await record(road.database, TENANT, 1, [arrival])
    notification = f"{ref.alert_id}-0-{receiver}"
    outbox = (Outboxed(id=notification, receiver=receiver, channel="webhook"),)
    decision = Decision(verdict=Verdict(severity=Severity.HIGH), route="page", outbox=outbox)
    try:
        await alerts.save(road.database, ref, decision, workflow_run_id="run")
    finally:
        await alerts.mark_finished(road.database, ref)
    return notification


async def tried(road: Road, notification: str, times: int) -> str:
    """Note that many attempts at a notification were made, without making them."""
    statement = "UPDATE notifications SET attempts = :times WHERE id = :id"
    async with road.database.transaction() as connection:
        await connection.execute(text(statement), {"id": notification, "times": times})
    return notification


async def row(road: Road, notification: str) -> Any:
    """The row of a notification."""
    (found,) = await road.rows("SELECT * FROM notifications WHERE id = :id", id=notification)
    return found


async def test_delivered_notification_is_never_sent_again(road: Road) -> None:
    """A second attempt on a delivered row answers delivered, and sends nothing."""
    async with listening(answer(204)) as listener:
        sender = Sender(road, tenant(listener.url))
        notification = await outboxed(road)
        assert await sender.send(notification) == Notified()
        assert await sender.send(notification) == Notified()
        assert len(listener.seen) == 1
    assert (await row(road, notification)).status == "delivered"


async def test_webhook_carries_one_key_and_a_standard_webhooks_signature(
    road: Road, tmp_path: Path
) -> None:
    """Every attempt has the same webhook-id, and its signature verifies over the raw body."""
    key_file = tmp_path / "key"
    key_file.write_text(SECRET)
    async with listening(answer(500), answer(200, "thanks")) as listener:
        sender = Sender(road, tenant(listener.url, secret=f"file:{key_file}"))
        notification = await outboxed(road)
        with pytest.raises(ApplicationError):
            await sender.send(notification)
        await sender.send(notification)
    first, second = listener.seen
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == notification
    signed = f"{notification}.{second.headers['webhook-timestamp']}.".encode() + second.body
    digest = base64.b64encode(hmac.new(b"k" * 32, signed, hashlib.sha256).digest()).decode()
    assert second.headers["webhook-signature"] == f"v1,{digest}"


async def test_busy_receiver_says_when_to_come_back(road: Road) -> None:
    """429 with Retry-After leaves the row pending, and Temporal is told to wait that long."""
    async with listening(answer(429, Retry_After="7")) as listener:
        notification = await outboxed(road)
        with pytest.raises(ApplicationError) as caught:
            await Sender(road, tenant(listener.url)).send(notification)
    assert caught.value.next_retry_delay == timedelta(seconds=7)
    kept = await row(road, notification)
    assert (kept.status, kept.attempts, kept.lease_until) == ("pending", 1, None)
    assert "429" in kept.error


@pytest.mark.parametrize("reply", [answer(503), None, b"HTTP/1.1 200"], ids=["503", "hang", "cut"])
async def test_receiver_in_trouble_is_tried_again(road: Road, reply: bytes | None) -> None:
    """5xx, silence and a cut answer are delays, not refusals."""
    async with listening(reply) as listener:
        notification = await outboxed(road)
        with pytest.raises(ApplicationError) as caught:
            await Sender(road, tenant(listener.url)).send(notification)
    assert caught.value.type == "DeliveryDelayed"
    assert (await row(road, notification)).status == "pending"


async def test_refused_for_good_goes_to_the_fallback(road: Road) -> None:
    """A 4xx settles the row as failed and asks the fallback, whose message says for whom."""
    async with listening(answer(410), answer(200)) as listener:
        sender = Sender(road, tenant(listener.url, fallback="second"))
        notification = await outboxed(road)
        outcome = await sender.send(notification)
        assert outcome == Notified(fallback=f"{notification}/fallback")
        assert await sender.send(notification) == outcome
        assert await sender.send(outcome.fallback) == Notified()
    assert (await row(road, outcome.fallback)).status == "delivered"
    assert (await row(road, notification)).status == "failed"
    assert (await row(road, outcome.fallback)).fallback_for == "first"
    assert b'"fallback_for":"first"' in listener.seen[-1].body


async def test_redirect_is_refused(road: Road) -> None:
    """A redirect is never followed."""
    async with listening(answer(302, Location="http://127.0.0.1:1/")) as listener:
        notification = await outboxed(road)
        outcome = await Sender(road, tenant(listener.url)).send(notification)
    assert outcome == Notified()
    assert (await row(road, notification)).status == "failed"
    assert len(listener.seen) == 1


def later() -> datetime:
    """The time in a little more than an hour."""
    return datetime.now(UTC) + timedelta(hours=1, seconds=1)


async def test_an_hour_of_trouble_is_enough(road: Road) -> None:
    """When the first of many attempts lies an hour back, trouble counts as a refusal."""
    async with listening(answer(503)) as listener:
        sender = Sender(road, tenant(listener.url, fallback="second"), clock=later)
        notification = await outboxed(road)
        for _ in range(FEWEST_ATTEMPTS - 1):
            with pytest.raises(ApplicationError):
                await sender.send(notification)
        assert (await sender.send(notification)).fallback
    assert len(listener.seen) == FEWEST_ATTEMPTS


async def test_many_attempts_within_the_hour_are_not_enough(road: Road) -> None:
    """However often it was tried, a receiver has an hour to recover."""
    async with listening(answer(503)) as listener:
        notification = await tried(road, await outboxed(road), 1000)
        with pytest.raises(ApplicationError):
            await Sender(road, tenant(listener.url, fallback="second")).send(notification)


async def test_an_hour_without_a_worker_is_not_held_against_the_receiver(road: Road) -> None:
    """When the worker was away after the first attempt, the second is not the last."""
    async with listening(answer(503)) as listener:
        config = tenant(listener.url, fallback="second")
        notification = await outboxed(road)
        with pytest.raises(ApplicationError):
            await Sender(road, config).send(notification)
        with pytest.raises(ApplicationError):
            await Sender(road, config, clock=later).send(notification)
    assert (await row(road, notification)).status == "pending"


def test_an_hour_holds_the_fewest_attempts() -> None:
    """However long a receiver asks us to wait, an hour is enough for the fewest attempts."""
    asked = retry_after({"retry-after": "86400"})
    assert asked is not None
    for longest in (asked, policies.NOTIFY_RETRY.maximum_interval):
        assert longest is not None
        assert (longest + policies.NOTIFY_TIMEOUT) * (FEWEST_ATTEMPTS - 1) <= GIVE_UP_AFTER


async def test_attempt_under_way_is_waited_for(road: Road) -> None:
    """While one sender holds the lease another sends nothing, and comes back when it lapses."""
    async with listening(None) as listener:
        sender = Sender(road, tenant(listener.url))
        notification = await outboxed(road)
        first = asyncio.create_task(sender.send(notification))
        await listener.asked.wait()
        with pytest.raises(ApplicationError) as caught:
            await sender.send(notification)
        assert caught.value.next_retry_delay is not None
        with pytest.raises(ApplicationError):
            await first
    assert len(listener.seen) == 1


async def test_lapsed_lease_sends_again_under_the_same_key(road: Road) -> None:
    """After a crash between sending and settling, the same key is sent again."""
    async with listening(answer(200)) as listener:
        notification = await outboxed(road)
        async with road.database.transaction() as connection:
            statement = (
                "UPDATE notifications SET status = 'sending', attempts = 1, "
                "lease_until = now() - interval '1 second' WHERE id = :id"
            )
            await connection.execute(text(statement), {"id": notification})
        await Sender(road, tenant(listener.url)).send(notification)
    assert listener.seen[0].headers["webhook-id"] == notification
    settled = await row(road, notification)
    assert (settled.status, settled.attempts) == ("delivered", 2)


async def test_bug_in_a_channel_is_a_failed_attempt(road: Road) -> None:
    """An exception nobody thought of does not end the workflow; it is tried again."""

    class Broken(Channel):
        async def send(self, message: Message, receiver: ReceiverConfig) -> str:
            raise KeyError(message.key, receiver.name)

    notification = await outboxed(road)
    with pytest.raises(ApplicationError) as caught:
        await Sender(road, tenant("http://127.0.0.1:9"), ways={"webhook": Broken()}).send(
            notification
        )
    assert not caught.value.non_retryable
    assert (await row(road, notification)).status == "pending"


async def test_receiver_that_is_gone_from_the_file_goes_to_the_fallback(road: Road) -> None:
    """A notification for a receiver nobody configures any more is not waited for."""
    async with listening(answer(200)) as listener:
        sender = Sender(road, tenant(listener.url, fallback="second"))
        outcome = await sender.send(await outboxed(road, receiver="third"))
    assert outcome.fallback


async def test_private_targets_are_refused_unless_allowed() -> None:
    """Without outbound.allow_private a notification never reaches loopback."""
    outbound = Outbound(OutboundSettings())
    with pytest.raises(Exception, match="private address"):
        await outbound.post("http://127.0.0.1:1/", b"", {})
    await outbound.close()


async def test_name_that_does_not_resolve_is_a_delay() -> None:
    """DNS trouble passes."""
    outbound = Outbound(OutboundSettings(allow_private=True))
    with pytest.raises(DeliveryDelayed):
        await outbound.post("http://no-such-host.invalid/", b"", {})
    await outbound.close()


async def test_draining_worker_gives_its_lease_back(road: Road) -> None:
    """An attempt that is cancelled leaves the row pending, for the next worker to send at once."""
    async with listening(None) as listener:
        notification = await outboxed(road)
        attempt = asyncio.create_task(Sender(road, tenant(listener.url)).send(notification))
        await listener.asked.wait()
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
    assert (await row(road, notification)).status == "pending"


async def test_answer_that_no_column_takes_does_not_silence_the_page(road: Road) -> None:
    """A refusal whose text holds NUL is stored readable, and the fallback is asked."""
    async with listening(answer(400, "bad\0thing"), answer(200)) as listener:
        sender = Sender(road, tenant(listener.url, fallback="second"))
        notification = await outboxed(road)
        outcome = await sender.send(notification)
    assert outcome.fallback
    assert "bad\ufffdthing" in (await row(road, notification)).error


async def test_fallback_is_no_other_notification(road: Road) -> None:
    """A receiver whose name ends in -fallback is not taken for the fallback of another."""
    async with listening(answer(400), answer(200)) as listener:
        sender = Sender(road, tenant(listener.url, fallback="second"))
        notification = await outboxed(road)
        namesake = f"{notification}-fallback"
        async with road.database.transaction() as connection:
            await connection.execute(
                text(
                    "INSERT INTO notifications"
                    " (id, tenant, alert_id, run, receiver, channel, status)"
                    " SELECT :namesake, tenant, alert_id, run, 'first-fallback', channel, 'pending'"
                    " FROM notifications WHERE id = :id"
                ),
                {"namesake": namesake, "id": notification},
            )
        outcome = await sender.send(notification)
    assert (await row(road, outcome.fallback)).receiver == "second"
    assert (await row(road, namesake)).status == "pending"


async def test_sender_that_comes_back_late_settles_nothing(road: Road) -> None:
    """After its lease was taken over, a sender's outcome does not touch the row."""
    notification = await outboxed(road)
    late = await notifications.take(road.database, notification, duration=timedelta(0))
    assert late is not None
    now = await eventually_taken(road, notification)
    await notifications.release(road.database, late, error="late")
    assert not await notifications.settle_failed(road.database, late, error="late", fallback=None)
    await notifications.settle_delivered(road.database, late)
    kept = await row(road, notification)
    assert (kept.status, kept.attempts, kept.error) == ("sending", now.attempts, "")


async def eventually_taken(road: Road, notification: str) -> Lease:
    """Take over a lease as soon as it has lapsed."""

    async def take() -> Lease | None:
        return await notifications.take(road.database, notification, duration=timedelta(seconds=60))

    lease = await eventually(take, "the lease lapses")
    assert lease is not None
    return lease


async def test_vault_that_is_away_sends_to_who_can_be_told(road: Road) -> None:
    """After an hour without its secret a notification goes to the fallback, where there is one."""

    class Sealed(Channel):
        async def send(self, message: Message, receiver: ReceiverConfig) -> str:
            raise VaultUnavailable(f"{message.key} {receiver.name}")

    url = "http://127.0.0.1:9"
    ways: dict[str, Channel] = {"webhook": Sealed()}
    with_fallback = Sender(road, tenant(url, fallback="second"), ways=ways, clock=later)
    outcome = await with_fallback.send(await tried(road, await outboxed(road), FEWEST_ATTEMPTS))
    await tried(road, outcome.fallback, FEWEST_ATTEMPTS)
    with pytest.raises(ApplicationError):
        await with_fallback.send(outcome.fallback)
    alone = await tried(road, await outboxed(road), FEWEST_ATTEMPTS)
    with pytest.raises(ApplicationError):
        await Sender(road, tenant(url), ways=ways, clock=later).send(alone)
