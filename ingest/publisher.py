"""From the bytes of one request to acknowledged messages on the bus."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec

from ingest.auth import Sender
from ingest.body import Piece, split
from ingest.encoding import unpack
from ingest.envelope import headers
from ingest.letters import Kind, Letter, Stage
from ingest.room import Room
from ingest.sources.base import Event, Receipt, Source
from ingest.sources.registry import open_source
from tocsin.bus import ingest_subject
from tocsin.domain.alert import AlertId, AlertRef, TenantName
from tocsin.errors import NotAnAlert, NotJson, TooLarge
from tocsin.jetstream import Bus
from tocsin.settings import ReceiverSettings
from tocsin.telemetry import EVENTS
from tocsin.tenants import TenantConfig

# On a slow disk JetStream takes a few hundred messages within the time we wait for one.
_AT_ONCE: Final = 128


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one body; the answer to its sender.

    Attributes:
        accepted: Events that JetStream stored now.
        duplicates: Events that it held already.
        quarantined: Pieces kept because they are no alert.
        ids: Alert ids in body order, duplicates included; None for a quarantined piece.
    """

    accepted: int
    duplicates: int
    quarantined: int
    ids: tuple[str | None, ...]


class _Kept(msgspec.Struct, frozen=True):
    """What became of one event."""

    id: str | None
    duplicate: bool = False


class Publisher:
    """Takes bodies to the bus.

    Args:
        bus: Where to.
        tenants: The tenant files.
        settings: Limits and waiting times.
    """

    def __init__(
        self, bus: Bus, tenants: Mapping[TenantName, TenantConfig], settings: ReceiverSettings
    ) -> None:
        self._bus = bus
        self._room = Room(bus)
        self._settings = settings
        self._sources: dict[tuple[TenantName, str], Source] = {
            (name, source.name): open_source(source)
            for name, tenant in tenants.items()
            for source in tenant.sources
        }

    async def take(
        self, sender: Sender, body: bytes, encoding: str, received_at: datetime
    ) -> Outcome:
        """Publish every event of a body, and wait for every acknowledgement.

        Args:
            sender: Who posted it.
            body: As it was posted.
            encoding: The request's `Content-Encoding`.
            received_at: When it came.

        Raises:
            NotJson: Nothing in it parses; the bytes are in quarantine.
            TooLarge: It unpacks to more than the source allows, or to too many events.
            BusFull: The tenant's bound is reached; post it again later.
            BusUnavailable: No acknowledgement; post it again, what was stored counts once.
        """
        if not body.strip():
            raise NotJson("The body is empty.")
        try:
            pieces = split(
                unpack(body, encoding, sender.source.max_body),
                max_events=self._settings.max_events,
            )
        except NotJson as error:
            pieces = [Piece(raw=body, fault=str(error), is_json=False)]
        kept = await self._publish(sender, pieces, received_at)
        quarantined = sum(each.id is None for each in kept)
        self._count(sender, kept, quarantined)
        if pieces and not any(piece.is_json for piece in pieces):
            raise NotJson(f"{pieces[0].fault}. The bytes are kept in quarantine.")
        duplicates = sum(each.duplicate for each in kept)
        return Outcome(
            accepted=len(kept) - quarantined - duplicates,
            duplicates=duplicates,
            quarantined=quarantined,
            ids=tuple(each.id for each in kept),
        )

    async def _publish(
        self, sender: Sender, pieces: list[Piece], received_at: datetime
    ) -> list[_Kept]:
        source = self._sources[sender.tenant, sender.source.name]
        receipt = Receipt(sender.tenant, sender.source.name, received_at)
        found: list[Piece | Event] = []
        for piece in pieces:
            found.extend([piece] if piece.fault else source.events(piece))
            if len(found) > self._settings.max_events:
                raise TooLarge(f"The body holds more than {self._settings.max_events} events")
        kept: list[_Kept] = []
        for start in range(0, len(found), _AT_ONCE):
            together = found[start : start + _AT_ONCE]
            kept += await _all(self._keep(source, each, receipt) for each in together)
        return kept

    async def _keep(self, source: Source, found: Piece | Event, receipt: Receipt) -> _Kept:
        if isinstance(found, Piece):
            return await self._quarantine(found.raw, found.fault, receipt)
        try:
            alert = source.read(found, receipt)
        except NotAnAlert as error:
            return await self._quarantine(found.raw, str(error), receipt)
        ref = AlertRef(tenant=receipt.tenant, alert_id=AlertId(alert.id))
        publish = partial(
            self._bus.publish,
            ingest_subject(receipt.tenant),
            found.raw,
            headers(receipt.source, receipt.received_at, ref),
            timeout=self._settings.publish_timeout,
        )
        ack = await self._room.find(receipt.tenant, publish)
        return _Kept(alert.id, ack.duplicate)

    async def _quarantine(self, raw: bytes, reason: str, receipt: Receipt) -> _Kept:
        letter = Letter(
            tenant=receipt.tenant,
            source=receipt.source,
            kind=Kind.QUARANTINE,
            stage=Stage.RECEIVE,
            reason=reason,
            received_at=receipt.received_at,
            raw=raw,
        )
        post = partial(letter.post, self._bus, timeout=self._settings.publish_timeout)
        await self._room.find(receipt.tenant, post)
        return _Kept(None)

    def _count(self, sender: Sender, kept: list[_Kept], quarantined: int) -> None:
        count = partial(EVENTS.labels, sender.tenant, sender.source.name)
        duplicates = sum(each.duplicate for each in kept)
        count("quarantined").inc(quarantined)
        count("duplicate").inc(duplicates)
        count("accepted").inc(len(kept) - quarantined - duplicates)


async def _all(work: Iterable[Coroutine[Any, Any, _Kept]]) -> list[_Kept]:
    """Do everything at once and await all of it: none is forgotten when one fails."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if isinstance(result, _Kept)]
