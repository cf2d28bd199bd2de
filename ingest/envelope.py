"""How an event travels on the bus: bytes as the sender wrote them, everything else in headers."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from tocsin import bus
from tocsin.domain.alert import AlertId, AlertRef, TenantName

_LONGEST: Final = 64
_MESSAGE_ID: Final = re.compile(r"([0-9a-f]{32})(?:/([0-9]{1,9}))?")


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the ALERTS stream.

    Attributes:
        tenant: Whose it is; always the subject's last part, never a header.
        sequence: Its stream sequence.
        source: The source named by the publisher; empty when it named none.
        received_at: When the receiver took it; when the stream did, without a header.
        ref: The identity given by the receiver; None when a service published by itself.
        raw: The sender's bytes.
    """

    tenant: TenantName
    sequence: int
    source: str
    received_at: datetime
    ref: AlertRef | None
    raw: bytes


def headers(source: str, received_at: datetime, ref: AlertRef) -> dict[str, str]:
    """The headers of an event that is about to be published."""
    return {
        bus.MESSAGE_ID: ref.message_id,
        bus.SOURCE: source,
        bus.RECEIVED_AT: received_at.isoformat(),
    }


def open_envelope(
    *, subject: str, sequence: int, stored_at: datetime, raw: bytes, given: Mapping[str, str]
) -> Envelope:
    """Read a message; headers that make no sense count as absent.

    Args:
        subject: The subject it was published on.
        sequence: Its stream sequence.
        stored_at: When the stream stored it.
        raw: Its payload.
        given: Its headers.
    """
    tenant = TenantName(subject.rpartition(".")[2])
    match = _MESSAGE_ID.fullmatch(given.get(bus.MESSAGE_ID, ""))
    ref = None
    if match:
        ref = AlertRef(tenant=tenant, alert_id=AlertId(match[1]), run=int(match[2] or 0))
    return Envelope(
        tenant=tenant,
        sequence=sequence,
        source=bus.header_safe(given.get(bus.SOURCE, ""), limit=_LONGEST),
        # Nothing is received after it was stored, whatever a publisher's clock says.
        received_at=min(bus.moment(given.get(bus.RECEIVED_AT, "")) or stored_at, stored_at),
        ref=ref,
        raw=raw,
    )
