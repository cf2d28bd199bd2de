"""What could not be processed: its bytes on the FAILED stream, and why, in headers.

The receiver posts quarantine, the dispatcher quarantine and dead letters; the ledger copies both to
PostgreSQL, where operators read them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Self

import msgspec

from tocsin import bus
from tocsin.bus import failed_subject, header_safe
from tocsin.domain.alert import AlertId, TenantName
from tocsin.domain.identity import identify
from tocsin.jetstream import Ack, Bus

# The most digits that fit PostgreSQL's bigint whatever they are.
_DIGITS: Final = 18


class Kind(StrEnum):
    """Quarantine is what is no alert; a dead letter is an alert that could not be worked on."""

    QUARANTINE = "quarantine"
    DEAD = "dead"


class Stage(StrEnum):
    """Where on the road it happened."""

    RECEIVE = "receive"
    DISPATCH = "dispatch"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the FAILED stream.

    Attributes:
        tenant: Whose it is.
        source: Source it came through.
        kind: Quarantine or dead letter.
        stage: Where it happened.
        reason: Why, in one sentence.
        received_at: When it was received.
        raw: The bytes as they came.
        attempts: How often it was tried.
        alert_id: The alert it would have been; empty in quarantine.
        epoch: Second in which the ALERTS stream was created; 0 when it never was there.
        sequence: Its sequence on ALERTS; 0 when it never was there.
    """

    tenant: TenantName
    source: str
    kind: Kind
    stage: Stage
    reason: str
    received_at: datetime
    raw: bytes
    attempts: int = 1
    alert_id: str = ""
    epoch: int = 0
    sequence: int = 0

    @property
    def id(self) -> AlertId:
        """Its identity: the message on ALERTS, or the bytes, so that a looping sender adds none."""
        if self.sequence:
            return identify(self.tenant, self.source, self.epoch, self.sequence)
        return identify(self.tenant, self.source, self.raw)

    @classmethod
    def open(cls, subject: str, raw: bytes, given: Mapping[str, str]) -> Self:
        """Read a message; headers that make no sense count as absent."""
        return cls(
            tenant=TenantName(subject.rpartition(".")[2]),
            source=header_safe(given.get(bus.SOURCE, "")),
            kind=Kind.DEAD if given.get(bus.KIND) == Kind.DEAD else Kind.QUARANTINE,
            stage=Stage.DISPATCH if given.get(bus.STAGE) == Stage.DISPATCH else Stage.RECEIVE,
            reason=header_safe(given.get(bus.REASON, "")),
            received_at=bus.moment(given.get(bus.RECEIVED_AT, "")) or datetime.now(UTC),
            raw=raw,
            attempts=min(_number(given.get(bus.ATTEMPTS, "")) or 1, 2**31 - 1),
            alert_id=header_safe(given.get(bus.ALERT_ID, "")),
            epoch=_number(given.get(bus.EPOCH, "")),
            sequence=_number(given.get(bus.SEQUENCE, "")),
        )

    async def post(
        self,
        to: Bus,
        *,
        timeout: timedelta = timedelta(seconds=2),  # noqa: ASYNC109 - of one request
    ) -> Ack:
        """Publish it.

        Raises:
            BusFull: The tenant's bound of FAILED is reached.
            BusUnavailable: No acknowledgement.
        """
        headers = {
            bus.MESSAGE_ID: self.id,
            bus.SOURCE: header_safe(self.source),
            bus.KIND: self.kind.value,
            bus.STAGE: self.stage.value,
            bus.REASON: header_safe(self.reason),
            bus.RECEIVED_AT: self.received_at.isoformat(),
            bus.ATTEMPTS: str(self.attempts),
            bus.ALERT_ID: self.alert_id,
            bus.EPOCH: str(self.epoch),
            bus.SEQUENCE: str(self.sequence),
        }
        # A service that publishes by itself may fill a message to the last byte.
        data = self.raw[: to.largest]
        return await to.publish(failed_subject(self.tenant), data, headers, timeout=timeout)


def _number(text: str) -> int:
    """A count or sequence; 0 for what is none, or is larger than any of ours."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _DIGITS else 0
