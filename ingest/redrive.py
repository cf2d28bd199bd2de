"""Redrive: what went wrong goes onto the bus once more.

An alert that failed or is dead becomes a further run of itself, with a message id and a workflow id
of its own, because the same ones would silently count as duplicates. A quarantined body is read
again by the present configuration; what is an alert now starts as if it came for the first time.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from ingest.body import split
from ingest.dispatcher.reader import sole_event
from ingest.envelope import headers
from ingest.letters import Kind, Letter, Stage
from ingest.sources.base import Event, Receipt, Source
from ingest.sources.registry import open_source
from tocsin.bus import ALERTS, ingest_subject
from tocsin.domain.alert import Alert, AlertId, AlertRef, TenantName
from tocsin.domain.identity import identify
from tocsin.errors import BadInput, NotAnAlert, NotRedrivable, TooLarge
from tocsin.jetstream import Bus
from tocsin.store.database import Database
from tocsin.store.dead_letters import StoredLetter, is_quarantined, mark_redriven
from tocsin.store.dossier import Dossier, highest_run, open_dossier
from tocsin.tenants import TenantConfig

_ENDED_BADLY: Final = frozenset({"failed", "dead"})


class _Once(msgspec.Struct, frozen=True, kw_only=True):
    """One event that goes onto the bus once more.

    Attributes:
        ref: The run it starts.
        raw: Its bytes.
        receipt: How it came in, the first time.
    """

    ref: AlertRef
    raw: bytes
    receipt: Receipt


class Redriver:
    """Publishes again.

    Args:
        bus: Where to.
        database: What happened before.
        tenants: The tenant files, as they are now.
        max_events: Most events that one quarantined body may hold.
    """

    def __init__(
        self,
        bus: Bus,
        database: Database,
        tenants: Mapping[TenantName, TenantConfig],
        *,
        max_events: int,
    ) -> None:
        self._bus = bus
        self._database = database
        self._max_events = max_events
        self._sources: dict[tuple[str, str], Source] = {
            (name, source.name): open_source(source)
            for name, tenant in tenants.items()
            for source in tenant.sources
        }

    async def redrive_alert(self, dossier: Dossier) -> AlertRef:
        """Publish an alert as its next run.

        Args:
            dossier: Its latest run.

        Raises:
            NotRedrivable: It did not end badly, or its source does not read it any more.
            Unavailable: JetStream or PostgreSQL is away.
        """
        if dossier.status not in _ENDED_BADLY:
            raise NotRedrivable(f"It is {dossier.status}; only a failed or dead alert can be.")
        source = dossier.alert.source
        receipt = Receipt(dossier.tenant, source, dossier.alert.received_at)
        ref = await self._next_run(dossier.id, dossier.raw, receipt)
        letter = identify(dossier.tenant, source, dossier.epoch, dossier.sequence)
        await mark_redriven(self._database, letter)
        return ref

    async def redrive_letter(self, letter: StoredLetter) -> tuple[AlertRef, ...]:
        """Publish what is in a letter.

        Returns:
            The runs that stand for it from now on, in body order.

        Raises:
            NotRedrivable: It was before, or nothing in it reads as an alert of its source.
            Unavailable: JetStream or PostgreSQL is away.
        """
        if letter.redriven_at:
            raise NotRedrivable(f"It was redriven at {letter.redriven_at.isoformat()}.")
        receipt = Receipt(TenantName(letter.tenant), letter.source, letter.received_at)
        revive = self._revive if letter.alert_id else self._release
        refs = await revive(letter, receipt)
        # Last of all: whoever was interrupted before finds the letter open, and only repeats.
        await mark_redriven(self._database, letter.id)
        return refs

    async def _revive(self, letter: StoredLetter, receipt: Receipt) -> tuple[AlertRef, ...]:
        """Bring a dead alert back, unless another message has done so."""
        dossier = await open_dossier(self._database, letter.alert_id, tenant=letter.tenant)
        if dossier and dossier.status not in _ENDED_BADLY:
            return (dossier.ref,)
        return (await self._next_run(AlertId(letter.alert_id), letter.raw, receipt),)

    async def _next_run(self, alert_id: AlertId, raw: bytes, receipt: Receipt) -> AlertRef:
        source = self._source(receipt)
        try:
            source.read(sole_event(source, raw), receipt)
        except BadInput as error:
            raise NotRedrivable(f"It is no alert any more: {error}") from error
        run = await highest_run(self._database, receipt.tenant, alert_id) + 1
        ref = AlertRef(tenant=receipt.tenant, alert_id=alert_id, run=run)
        return await self._publish(_Once(ref=ref, raw=raw, receipt=receipt))

    async def _release(self, letter: StoredLetter, receipt: Receipt) -> tuple[AlertRef, ...]:
        """Let go what is an alert by now, and keep the rest in letters of its own."""
        try:
            alerts, rest = self._sort(letter, receipt)
        except TooLarge as error:
            raise NotRedrivable(str(error)) from error
        if not alerts:
            reasons = {each.reason: None for each in rest}
            raise NotRedrivable(f"There is still no alert in it: {'; '.join(reasons)}")
        for each in rest:
            await each.post(self._bus)
        return tuple([await self._publish(each) for each in alerts])

    def _sort(self, letter: StoredLetter, receipt: Receipt) -> tuple[list[_Once], list[Letter]]:
        """What in a letter reads as an alert, and letters for what does not."""
        source = self._source(receipt)
        alerts: list[_Once] = []
        rest: list[Letter] = []
        for event, fault in self._events(letter.raw, source):
            try:
                alert = _read(source, event, fault, receipt)
            except NotAnAlert as error:
                rest.append(_kept(event.raw, str(error), receipt))
            else:
                ref = AlertRef(tenant=receipt.tenant, alert_id=alert.id)
                alerts.append(_Once(ref=ref, raw=event.raw, receipt=receipt))
        return alerts, rest

    def _events(self, body: bytes, source: Source) -> Iterator[tuple[Event, str]]:
        """The events in a body, each with what is wrong with it; empty when nothing is yet."""
        for piece in split(body, max_events=self._max_events):
            if piece.fault:
                yield Event(piece.raw, None), piece.fault
            else:
                yield from ((event, "") for event in source.events(piece))

    def _source(self, receipt: Receipt) -> Source:
        source = self._sources.get((receipt.tenant, receipt.source))
        if source is None:
            raise NotRedrivable(f"{receipt.tenant} has no source {receipt.source!r} any more.")
        return source

    async def _publish(self, once: _Once) -> AlertRef:
        """Publish, past message ids that JetStream remembers of messages in quarantine.

        Returns:
            The run that JetStream holds now.
        """
        receipt = once.receipt
        given = headers(receipt.source, receipt.received_at, once.ref)
        ack = await self._bus.publish(ingest_subject(receipt.tenant), once.raw, given)
        if not ack.duplicate:
            return once.ref
        epoch = await self._bus.stock.epoch(ALERTS)
        if not await is_quarantined(self._database, epoch, ack.sequence):
            return once.ref
        following = msgspec.structs.replace(once.ref, run=once.ref.run + 1)
        return await self._publish(msgspec.structs.replace(once, ref=following))


def _read(source: Source, event: Event, fault: str, receipt: Receipt) -> Alert:
    if fault:
        raise NotAnAlert(fault)
    return source.read(event, receipt)


def _kept(raw: bytes, reason: str, receipt: Receipt) -> Letter:
    return Letter(
        tenant=receipt.tenant,
        source=receipt.source,
        kind=Kind.QUARANTINE,
        stage=Stage.RECEIVE,
        reason=reason,
        received_at=receipt.received_at,
        raw=raw,
    )
