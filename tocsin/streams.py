"""What JetStream must hold: streams, consumers and buckets, created or updated idempotently."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

import nats.errors
import nats.js.errors
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)

from tocsin import bus
from tocsin.domain.alert import TenantName
from tocsin.errors import BusUnavailable
from tocsin.jetstream import Bus
from tocsin.settings import NatsSettings, WorkerSettings

# A sender's repeat within this time is recognised by JetStream itself.
DUPLICATE_WINDOW: Final = timedelta(hours=1)
EVENTS_KEPT: Final = timedelta(hours=24)
EVENTS_BYTES: Final = 256 * 1024**2
FAILED_SHARE: Final = 4

CACHE: Final = "TOCSIN_CACHE"
CACHE_KEPT: Final = timedelta(hours=1)
CACHE_BYTES: Final = 64 * 1024**2

_MAX_ACK_PENDING: Final = 1000

# What decides whether a message is taken and kept, and by whom it can be published.
_COMPARED: Final = (
    "subjects",
    "retention",
    "discard",
    "discard_new_per_subject",
    "max_bytes",
    "max_msgs_per_subject",
    "num_replicas",
)


def stream_configs(settings: NatsSettings) -> tuple[StreamConfig, ...]:
    """The streams as they shall be.

    ALERTS and FAILED have no age limit: what is not worked on yet is never dropped by the clock.
    The worker's janitor makes room of what is finished.
    """
    kept: dict[str, Any] = {
        "retention": RetentionPolicy.LIMITS,
        "storage": StorageType.FILE,
        "num_replicas": settings.replicas,
        "allow_direct": True,
    }
    bounded: dict[str, Any] = {
        **kept,
        "discard": DiscardPolicy.NEW,
        "discard_new_per_subject": True,
        "max_msgs_per_subject": settings.max_messages_per_tenant,
        "duplicate_window": DUPLICATE_WINDOW.total_seconds(),
    }
    return (
        StreamConfig(
            name=bus.ALERTS,
            description="Events: work to be done, then history for replay",
            subjects=[bus.INGEST_SUBJECTS],
            max_bytes=settings.max_bytes,
            **bounded,
        ),
        StreamConfig(
            name=bus.FAILED,
            description="Quarantine and dead letters",
            subjects=[bus.FAILED_SUBJECTS],
            max_bytes=settings.max_bytes // FAILED_SHARE,
            **bounded,
        ),
        StreamConfig(
            name=bus.EVENTS,
            description="What happened, for subscribers",
            subjects=list(bus.EVENT_SUBJECTS),
            discard=DiscardPolicy.OLD,
            max_age=EVENTS_KEPT.total_seconds(),
            max_bytes=EVENTS_BYTES,
            **kept,
        ),
        StreamConfig(
            name=f"KV_{CACHE}",
            description="Caches of enrichment; losing them costs time only",
            subjects=[f"$KV.{CACHE}.>"],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.MEMORY,
            num_replicas=settings.replicas,
            discard=DiscardPolicy.NEW,
            max_msgs_per_subject=1,
            max_age=CACHE_KEPT.total_seconds(),
            max_bytes=CACHE_BYTES,
            allow_rollup_hdrs=True,
            deny_delete=True,
            allow_direct=True,
        ),
    )


def consumer_configs(
    tenants: Iterable[TenantName], worker: WorkerSettings
) -> tuple[tuple[str, ConsumerConfig], ...]:
    """The durable consumers as they shall be, each with the stream it belongs to."""
    common: dict[str, Any] = {
        "ack_policy": AckPolicy.EXPLICIT,
        "ack_wait": worker.ack_wait.total_seconds(),
        # Every negative acknowledgement counts as a delivery; faults are counted in PostgreSQL.
        "max_deliver": -1,
        "max_ack_pending": _MAX_ACK_PENDING,
    }
    dispatchers = (
        (
            bus.ALERTS,
            ConsumerConfig(
                durable_name=bus.dispatcher_consumer(tenant),
                filter_subject=bus.ingest_subject(tenant),
                **common,
            ),
        )
        for tenant in tenants
    )
    ledger = ConsumerConfig(durable_name=bus.LEDGER, **common)
    return (*dispatchers, (bus.FAILED, ledger))


async def provide(
    to: Bus, settings: NatsSettings, worker: WorkerSettings, tenants: Iterable[TenantName]
) -> None:
    """Create what is missing and update what differs.

    Raises:
        BusUnavailable: JetStream does not answer, or refuses a change.
    """
    try:
        for config in stream_configs(settings):
            await _provide_stream(to, config)
        await provide_consumers(to, worker, tenants)
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise BusUnavailable(f"JetStream was not set up: {error!r}") from error


async def provide_consumers(to: Bus, worker: WorkerSettings, tenants: Iterable[TenantName]) -> None:
    """Create or update the consumers; the worker does this too, for tenants that are new.

    Raises:
        BusUnavailable: JetStream does not answer, or has no such stream.
    """
    try:
        for stream, config in consumer_configs(tenants, worker):
            await to.jetstream.add_consumer(stream, config)
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise BusUnavailable(f"JetStream has no consumers: {error!r}") from error


async def find_missing(
    on: Bus, settings: NatsSettings, worker: WorkerSettings, tenants: Iterable[TenantName]
) -> list[str]:
    """What JetStream lacks of what `provide` makes, or holds otherwise, by name.

    Raises:
        BusUnavailable: JetStream does not answer.
    """
    try:
        wrong = [
            await _compare_stream(on, config)
            for config in stream_configs(settings)
            # A single server forgets what is in memory when it restarts, and nothing is lost by it.
            if config.storage is StorageType.FILE
        ]
    except (nats.errors.Error, OSError, TimeoutError) as error:
        raise BusUnavailable(f"no answer about the streams: {error!r}") from error
    if not any(wrong):
        for stream, consumer in consumer_configs(tenants, worker):
            name = str(consumer.durable_name)
            if await on.stock.consumer(stream, name) is None:
                wrong.append(f"consumer {name} of {stream}")
    return [each for each in wrong if each]


async def _compare_stream(on: Bus, wanted: StreamConfig) -> str:
    """What is wrong with a stream; empty when nothing is."""
    try:
        held = (await on.jetstream.stream_info(str(wanted.name))).config
    except nats.js.errors.NotFoundError:
        return f"stream {wanted.name}"
    differing = [name for name in _COMPARED if getattr(held, name) != getattr(wanted, name)]
    return f"stream {wanted.name} with other {', '.join(differing)}" if differing else ""


async def _provide_stream(to: Bus, config: StreamConfig) -> None:
    try:
        await to.jetstream.stream_info(str(config.name))
    except nats.js.errors.NotFoundError:
        await to.jetstream.add_stream(config)
    else:
        await to.jetstream.update_stream(config)
