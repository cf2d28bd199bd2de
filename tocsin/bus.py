"""The bus, named once: streams, subjects, consumers and headers of NATS JetStream.

`ALERTS` holds work to be done, then history for replay; `FAILED` holds dead letters and quarantine;
`EVENTS` tells subscribers what happened.
"""

from datetime import UTC, datetime
from typing import Final

from tocsin.domain.alert import TenantName

ALERTS: Final = "ALERTS"
FAILED: Final = "FAILED"
EVENTS: Final = "EVENTS"

INGEST_SUBJECTS: Final = "alerts.ingest.*"
FAILED_SUBJECTS: Final = "alerts.failed.*"
ENRICHED_SUBJECTS: Final = "alerts.enriched.*"
NOTIFY_SUBJECTS: Final = "notify.*.*"
EVENT_SUBJECTS: Final = (ENRICHED_SUBJECTS, NOTIFY_SUBJECTS)

LEDGER: Final = "ledger"
JANITOR: Final = "janitor"
ROOM_SUBJECTS: Final = "tocsin.room.*"

# Headers of a message on ALERTS; a service that publishes by itself sets the first.
SOURCE: Final = "Tocsin-Source"
RECEIVED_AT: Final = "Tocsin-Received-At"
MESSAGE_ID: Final = "Nats-Msg-Id"
# Headers of a message on FAILED.
KIND: Final = "Tocsin-Kind"
STAGE: Final = "Tocsin-Stage"
REASON: Final = "Tocsin-Reason"
ATTEMPTS: Final = "Tocsin-Attempts"
SEQUENCE: Final = "Tocsin-Sequence"
EPOCH: Final = "Tocsin-Epoch"
ALERT_ID: Final = "Tocsin-Alert-Id"


def ingest_subject(tenant: TenantName) -> str:
    """Where a tenant's events wait to be worked on."""
    return f"alerts.ingest.{tenant}"


def failed_subject(tenant: TenantName) -> str:
    """Where a tenant's quarantine and dead letters are kept."""
    return f"alerts.failed.{tenant}"


def stream_of(subject: str) -> str:
    """The stream that keeps what is published on an ingest or a failed subject."""
    return FAILED if subject.startswith(FAILED_SUBJECTS.removesuffix("*")) else ALERTS


def enriched_subject(tenant: TenantName) -> str:
    """Where a tenant's finished alerts are told to subscribers."""
    return f"alerts.enriched.{tenant}"


def notify_subject(tenant: TenantName, channel: str) -> str:
    """Where a tenant's notifications by one channel are told to subscribers."""
    return f"notify.{tenant}.{channel}"


def room_subject(tenant: TenantName) -> str:
    """Where the receiver asks for room when a tenant's bound is reached."""
    return f"tocsin.room.{tenant}"


def dispatcher_consumer(tenant: TenantName) -> str:
    """The durable consumer that dispatches one tenant: a flood waits in its own queue."""
    return f"dispatch-{tenant}"


def header_safe(text: str, *, limit: int = 500) -> str:
    """Make free text fit a NATS header: one line of printable ASCII, shortened."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)[:limit]


def moment(text: str) -> datetime | None:
    """Read a time from a header, ISO 8601 with a zone; None when it is none."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else None
    except (ValueError, OverflowError):  # at the edge of the calendar, UTC may be beyond it
        return None
