"""The order of work that every source shares: find the shape, read it, identify, clean, assemble.

A source file supplies the shapes of its sender's bodies and one small reading of each; what is
the same for all of them happens here, so that a new sender costs one file (see
`docs/adding-a-source.md`).
"""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any, ClassVar

import msgspec
import structlog

from ingest.body import Piece, decode
from ingest.sources.bundles import unbundle
from ingest.sources.fields import clean
from tocsin.domain.alert import Agent, Alert, Observable, Rule, TenantName
from tocsin.domain.identity import hour_of, identify
from tocsin.domain.severity import Severity
from tocsin.errors import NotAnAlert, TooLarge

log = structlog.get_logger()

LONGEST_MESSAGE = 8192
"""Longest normalized message, in characters; the raw bytes keep all of it."""

LONGEST_TEXT = 1024
"""Longest description, location or observable, in characters."""

LONGEST_NAME = 256
"""Longest identifier, name, group or severity word, in characters."""

MOST_OBSERVABLES = 64
"""Most observables kept of one alert, in document order."""

MOST_LABELS = 64
"""Most groups, and most techniques, kept of one alert."""

MOST_BUNDLED = 5000
"""Most events one JSON value may bundle."""


class Event(msgspec.Struct, frozen=True):
    """One thing a sender posted.

    Attributes:
        raw: Its bytes; decoding them again gives an event that reads the same.
        document: Its JSON, decoded.
    """

    raw: bytes
    document: Any


class Receipt(msgspec.Struct, frozen=True):
    """How an event came in.

    Attributes:
        tenant: Whose it is.
        source: Name of the source it came through.
        received_at: When it came (UTC).
    """

    tenant: TenantName
    source: str
    received_at: datetime


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a source reads in one document; the rest of an alert follows from it and the receipt.

    Attributes:
        identity: JSON values that make it this event and no other.
        complete: True when `identity` is enough by itself; otherwise an event with neither id nor
            time is told apart from its like by the hour of its receipt.
        source_event_id: See `Alert`, as all that follow.
        time: When the sender says it happened; None when it does not say.
    """

    identity: tuple[Any, ...]
    complete: bool = False
    source_event_id: str = ""
    shape: str = ""
    rule: Rule = Rule()
    level: int | None = None
    sender_severity: str = ""
    severity: Severity = Severity.UNKNOWN
    agent: Agent = Agent()
    observables: tuple[Observable, ...] = ()
    source_address: str = ""
    time: datetime | None = None
    location: str = ""
    message: str = ""
    resolved: bool = False


class Source(ABC):
    """A kind of sender; stateless once built, so one instance serves all requests.

    Attributes:
        bundles: Paths to the arrays in which the sender bundles events; the first that is there
            counts. `parse` meets such an array with one event in it.
    """

    bundles: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def events(self, piece: Piece) -> list[Event]:
        """The events in one JSON value of a body: itself, unless the sender bundles several.

        Raises:
            TooLarge: It bundles more events than one value may.
        """
        path, bundled = self._bundled(piece.document)
        if len(bundled) > MOST_BUNDLED:
            raise TooLarge(f"One JSON value bundles more than {MOST_BUNDLED} events")
        if len(bundled) > 1:
            return [Event(raw=raw, document=decode(raw)) for raw in unbundle(piece.raw, path)]
        return [Event(raw=piece.raw, document=piece.document)]

    def _bundled(self, document: Any) -> tuple[tuple[str, ...], list[Any]]:  # noqa: ANN401 - JSON
        """Where a document bundles events, and which; nothing when it bundles none."""
        if not isinstance(document, dict):
            return (), []
        for path in self.bundles:
            if path[0] not in document:
                continue
            found: Any = document
            for key in path:
                found = found.get(key) if isinstance(found, dict) else None
            if isinstance(found, list) and found:
                return path, found
        return (), []

    def read(self, event: Event, receipt: Receipt) -> Alert:
        """Normalize one event.

        Strings come out without NUL, which PostgreSQL refuses, and bounded in length.

        Raises:
            NotAnAlert: The event is no alert of this kind of sender; the message says why.
        """
        reading = self._parse(event.document)
        dated = reading.complete or reading.source_event_id or reading.time
        hour = () if dated else (hour_of(receipt.received_at),)
        return Alert(
            tenant=receipt.tenant,
            source=receipt.source,
            id=identify(receipt.tenant, receipt.source, *reading.identity, *hour),
            source_event_id=clean(reading.source_event_id, LONGEST_NAME),
            shape=reading.shape,
            rule=_clean_rule(reading.rule),
            level=reading.level,
            sender_severity=clean(reading.sender_severity, LONGEST_NAME),
            severity=reading.severity,
            agent=_clean_agent(reading.agent),
            observables=_distinct(reading.observables),
            source_address=reading.source_address,
            time=reading.time or receipt.received_at,
            received_at=receipt.received_at,
            location=clean(reading.location, LONGEST_TEXT),
            message=clean(reading.message, LONGEST_MESSAGE),
            resolved=reading.resolved,
        )

    def _parse(self, document: Any) -> Reading:  # noqa: ANN401 - JSON
        """Parse; a parser that breaks costs one event its reading, and nobody their alerts."""
        try:
            return self.parse(document)
        except NotAnAlert:
            raise
        except Exception as error:
            log.exception("parser_failed", source=type(self).__name__)
            raise NotAnAlert(f"the parser failed on it: {type(error).__name__}") from error

    @abstractmethod
    def parse(self, document: Any) -> Reading:  # noqa: ANN401 - JSON
        """Read one document of this sender.

        Raises:
            NotAnAlert: It is none; the message says why.
        """


def _clean_rule(rule: Rule) -> Rule:
    return Rule(
        id=clean(rule.id, LONGEST_NAME),
        description=clean(rule.description, LONGEST_TEXT),
        groups=tuple(clean(group, LONGEST_NAME) for group in rule.groups[:MOST_LABELS]),
        mitre=tuple(clean(technique, LONGEST_NAME) for technique in rule.mitre[:MOST_LABELS]),
    )


def _clean_agent(agent: Agent) -> Agent:
    return Agent(
        id=clean(agent.id, LONGEST_NAME),
        name=clean(agent.name, LONGEST_NAME),
        ip=clean(agent.ip, LONGEST_NAME),
    )


def _distinct(observables: tuple[Observable, ...]) -> tuple[Observable, ...]:
    distinct: dict[tuple[str, str], Observable] = {}
    for observable in observables:
        distinct.setdefault((observable.type, observable.value), observable)
    return tuple(distinct.values())[:MOST_OBSERVABLES]
