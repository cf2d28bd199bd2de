"""Reading bodies in tests the way the receiver and the dispatcher do."""

import json
from datetime import UTC, datetime
from typing import Any

from ingest.body import decode, split
from ingest.sources.base import Event, Receipt, Source
from tocsin.domain.alert import Alert, TenantName

RECEIVED = datetime(2026, 11, 20, 15, 4, 5, tzinfo=UTC)
RECEIPT = Receipt(tenant=TenantName("acme"), source="a-source", received_at=RECEIVED)


def read_body(source: Source, body: bytes) -> list[Alert]:
    """The alerts of a body; each event is also read again from its bytes, with the same result."""
    events = [event for piece in split(body, max_events=10_000) for event in source.events(piece)]
    alerts = [source.read(event, RECEIPT) for event in events]
    again = [source.read(Event(event.raw, decode(event.raw)), RECEIPT) for event in events]
    assert again == alerts
    return alerts


def read(source: Source, document: Any, receipt: Receipt = RECEIPT) -> Alert:
    """The one alert of a document."""
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    (piece,) = split(raw, max_events=1)
    (event,) = source.events(piece)
    return source.read(event, receipt)
