"""From a message on the stream to an alert, or to the reason why it is none."""

from collections.abc import Mapping

import msgspec

from ingest.body import Piece, decode
from ingest.envelope import Envelope, open_envelope
from ingest.sources.base import Event, Receipt, Source
from tocsin.domain.alert import Alert, AlertRef
from tocsin.domain.identity import identify
from tocsin.errors import BadInput, NotAnAlert
from tocsin.pulling import Delivery
from tocsin.store.events import Arrival


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """A message and what it turned out to be.

    Attributes:
        message: The message, to be acknowledged.
        arrival: What is recorded of it.
        fault: Why it is no alert; empty when it is one.
    """

    message: Delivery
    arrival: Arrival
    fault: str = ""


class Reader:
    """Reads one tenant's messages.

    Args:
        sources: The tenant's sources by name; the first is meant where a publisher names none.
    """

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources

    def read(self, message: Delivery, epoch: int) -> Reading:
        """Read one message; whatever is in it, the answer is a reading."""
        envelope = open_envelope(
            subject=message.subject,
            sequence=message.sequence,
            stored_at=message.stored_at,
            raw=message.data,
            given=message.headers,
        )
        source = envelope.source or next(iter(self._sources), "")
        try:
            alert = self._alert(envelope, source)
        except BadInput as error:
            id_ = identify(envelope.tenant, source, epoch, envelope.sequence)
            ref = AlertRef(tenant=envelope.tenant, alert_id=id_)
            arrival = _arrival(envelope, source, ref, None)
            return Reading(message=message, arrival=arrival, fault=str(error))
        ref = AlertRef(
            tenant=alert.tenant, alert_id=alert.id, run=envelope.ref.run if envelope.ref else 0
        )
        return Reading(message=message, arrival=_arrival(envelope, source, ref, alert))

    def _alert(self, envelope: Envelope, source: str) -> Alert:
        parser = self._sources.get(source)
        if parser is None:
            raise NotAnAlert(f"the tenant has no source {source!r}")
        event = sole_event(parser, envelope.raw)
        alert = parser.read(event, Receipt(envelope.tenant, source, envelope.received_at))
        if envelope.ref is None:
            return alert
        # The identity the receiver answered with stands, even when a mapping changed since.
        return msgspec.structs.replace(alert, id=envelope.ref.alert_id)


def sole_event(source: Source, raw: bytes) -> Event:
    """The one event of a message.

    Raises:
        NotJson: It is no JSON.
        NotAnAlert: It carries several, or none.
    """
    events = source.events(Piece(raw, decode(raw)))
    if len(events) != 1:
        raise NotAnAlert(f"it carries {len(events)} events, not one; redrive splits it")
    return events[0]


def _arrival(envelope: Envelope, source: str, ref: AlertRef, alert: Alert | None) -> Arrival:
    return Arrival(
        sequence=envelope.sequence,
        source=source,
        ref=ref,
        received_at=envelope.received_at,
        raw=envelope.raw,
        alert=alert,
    )
