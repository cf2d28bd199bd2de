"""Why JetStream took no message, and whether that concerns everybody's."""

import time
from typing import Final

from nats.js.errors import APIError

from tocsin.bus import ALERTS, FAILED, stream_of
from tocsin.errors import BusFull, BusUnavailable, StreamFull

_REMEMBERED: Final = 5.0
# JetStream has one code for every message that it could not store; the rest it says in words.
_NOT_STORED: Final = 10077
_TENANT_FULL: Final = "maximum messages per subject exceeded"
_STREAM_FULL: Final = frozenset({"maximum bytes exceeded", "maximum messages exceeded"})
_KEPT: Final = {ALERTS: "unprocessed alerts", FAILED: "quarantined bodies and dead letters"}


def read_refusal(subject: str, error: APIError) -> BusUnavailable:
    """What JetStream's answer to a message means for whoever sent it."""
    said = error.description or ""
    stream = stream_of(subject)
    if error.err_code == _NOT_STORED and said == _TENANT_FULL:
        return BusFull(f"There is no room for more {_KEPT[stream]} of this tenant: {said}.")
    if error.err_code == _NOT_STORED and said in _STREAM_FULL:
        return StreamFull(f"There is no room for more {_KEPT[stream]} of any tenant: {said}.")
    return BusUnavailable(f"JetStream refused {subject}: {said}")


class Refusals:
    """Remembers for a while that JetStream takes nobody's alerts.

    A server whose disk was full answers questions, and takes no message until it is restarted; so
    what it did with the last message tells more than its answers.
    """

    def __init__(self) -> None:
        self._last: BusUnavailable | None = None
        self._at = 0.0

    @property
    def standing(self) -> BusUnavailable | None:
        """The last refusal; None when it is long ago, or an alert was taken since."""
        return self._last if time.monotonic() - self._at < _REMEMBERED else None

    def note(self, subject: str, refusal: BusUnavailable) -> None:
        """Remember a refusal, unless others' alerts are taken all the same."""
        full = isinstance(refusal, BusFull)
        if not full or (isinstance(refusal, StreamFull) and stream_of(subject) == ALERTS):
            self._last, self._at = refusal, time.monotonic()

    def forget(self, subject: str) -> None:
        """A message on this subject was stored."""
        if stream_of(subject) == ALERTS:
            self._last = None
