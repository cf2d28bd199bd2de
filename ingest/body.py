"""From the bytes of one request to the JSON values in it.

Senders post one object, an array, NDJSON or values one after the other; some bodies are cut, have
a bad line, or hold bytes that are no UTF-8. What parses is found, and the rest is kept as it came,
one piece per bad stretch. The effort is linear in the size of the body, whatever stands in it: the
search ends after `_TRIES` bad objects.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tocsin.errors import BadInput, NotAnAlert, NotJson, TooLarge

MAX_DEPTH = 100
"""Deepest nesting of arrays and objects taken."""

_BOM = b"\xef\xbb\xbf"
_SPACE = b" \t\r\n"
_SEPARATORS = _SPACE + b",[]\x1e" + _BOM
_AROUND_LINE = _SPACE + b",\x1e"
_OPENERS = b"{["
_EXACT_INTEGERS = 2**53
_LONGEST_INTEGER = 4300
_TRIES = 5_000
_EFFORT = 2

STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
"""Regular expression of a string in JSON, taken whole or not at all."""

# The next bracket that stands in no string.
_BRACKET = re.compile(rb'[^"\[\]{}]*+(?:%s[^"\[\]{}]*+)*+[\[\]{}]' % STRING, re.DOTALL)
_LINE_START = re.compile(rb"\n([ \t]*+)[,\[\x1e]*+[ \t]*+(?=\{)")
_SURROGATES = re.compile("[\ud800-\udfff]")


class Piece(msgspec.Struct, frozen=True):
    """One JSON value found in a body, or one stretch of bytes that is none.

    Attributes:
        raw: The exact bytes of it in the (gunzipped) body.
        document: The decoded value.
        fault: Why nothing can be read in it; then `document` is None.
        is_json: False when the fault is that it is no JSON.
    """

    raw: bytes
    document: Any = None
    fault: str = ""
    is_json: bool = True


def decode(raw: bytes) -> Any:  # noqa: ANN401 - JSON
    """Decode one JSON value, forgiving what senders get wrong.

    Bytes that are no UTF-8 and lone surrogates become U+FFFD, control characters may stand bare in
    strings, the last of repeated keys wins. A number has one form, 3.0 is 3; one that no double or
    Python integer holds is its own text.

    Raises:
        NotJson: It is not one JSON value.
        NotAnAlert: It nests deeper than `MAX_DEPTH`.
    """
    try:
        return _exact(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _exact(_repaired(raw))


def split(body: bytes, *, max_events: int) -> list[Piece]:
    """Find the JSON values in a body, in body order.

    The elements of an outermost array are pieces of their own. Adjacent bytes that are no JSON are
    one piece with a fault, so a body without any JSON is one such piece.

    Args:
        body: The body, unpacked.
        max_events: Most pieces it may have.

    Raises:
        TooLarge: There are more pieces than `max_events`.
    """
    body = body.removeprefix(_BOM).strip(_SPACE)
    pieces: list[Piece] = []
    for piece in _whole(body) or _parts(body):
        pieces.append(piece)
        if len(pieces) > max_events:
            raise TooLarge(f"The body holds more than {max_events} events")
    return pieces


def _whole(body: bytes) -> Iterator[Piece] | None:
    """The pieces of a body that is one value of strict JSON; None when it is not."""
    try:
        if body.startswith(b"["):
            elements = msgspec.json.decode(body, type=list[msgspec.Raw])
            return (_piece(bytes(element)) for element in elements)
        return iter((Piece(raw=body, document=_exact(body)),))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, BadInput):
        return None


def _parts(body: bytes) -> Iterator[Piece]:
    """The values in a body that as a whole is no JSON, and what stands between them."""
    at = 0
    for start, piece in _Scan(body).objects():
        yield from _between(body[at:start])
        yield piece
        at = start + len(piece.raw)
    if at:
        yield from _between(body[at:])
    else:
        fault = "There is no JSON in it" if body else "It is empty"
        yield from _values(body) or [Piece(raw=body, fault=fault, is_json=False)]


def _between(stretch: bytes) -> Iterable[Piece]:
    if not stretch.strip(_SEPARATORS):
        return ()
    bad = Piece(raw=stretch.strip(_SPACE), fault="It is no JSON, or it is cut", is_json=False)
    return _values(stretch) or [bad]


def _values(stretch: bytes) -> Iterable[Piece]:
    """The value that a stretch without objects is, or those in its lines; else nothing.

    One line that is no JSON makes none of them a value: they may be the inside of something cut.
    """
    whole = _piece(stretch.strip(_SPACE))
    if whole.is_json:
        return [whole]
    lines = [line for each in stretch.split(b"\n") if (line := each.strip(_AROUND_LINE))]
    if not lines[1:] or not all(_piece(line).is_json for line in lines[:_TRIES]):
        return []
    return (_piece(line) for line in lines)


def _piece(raw: bytes) -> Piece:
    try:
        return Piece(raw=raw, document=decode(raw))
    except NotJson as error:
        return Piece(raw=raw, fault=str(error), is_json=False)
    except NotAnAlert as error:
        return Piece(raw=raw, fault=str(error))


class _Scan:
    """A search for objects in bytes that as a whole are no JSON, with bounded effort.

    An object ends with its line (NDJSON) or where its brackets close. After one that does neither
    the search goes on at the next line that starts with an object and is not indented deeper, so
    that the inside of a cut object is never taken for an object of its own.
    """

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._tries = _TRIES
        self._effort = _EFFORT * len(body)
        self._line_end = 0

    def objects(self) -> Iterator[tuple[int, Piece]]:
        """Yield where each object starts, and the object."""
        start = self._body.find(b"{")
        while start >= 0 and self._tries:
            end = start
            for end in self._ends(start):
                piece = _piece(self._body[start:end])
                if piece.is_json:
                    yield start, piece
                    start = self._body.find(b"{", end)
                    break
                self._effort -= end - start
            else:
                self._tries -= 1
                start = self._resume(start, end)

    def _ends(self, start: int) -> Iterator[int]:
        """Where an object that starts here may end."""
        tried = start
        if start >= self._line_end:
            newline = self._body.find(b"\n", start)
            self._line_end = len(self._body) if newline < 0 else newline
            line = self._body[start : self._line_end].rstrip(b" \t\r,")
            if line.endswith(b"}"):
                tried = start + len(line)
                yield tried
        closing = self._closing(start) if self._effort > 0 else start
        if closing != tried:
            yield closing

    def _closing(self, start: int) -> int:
        """Where the brackets that open here close; `start` when they do not."""
        end = closing(self._body, start)
        if end == start:
            self._effort -= len(self._body) - start
        return end

    def _resume(self, start: int, end: int) -> int:
        """Where to go on after an object that is bad; `end` is `start` when it never closes."""
        if end > start and b"\n" not in self._body[start:end]:
            return self._body.find(b"{", end)
        column = start - self._body.rfind(b"\n", 0, start) - 1
        lines = _LINE_START.finditer(self._body, start)
        return next((line.end() for line in lines if len(line[1]) <= column), -1)


def closing(raw: bytes, start: int) -> int:
    """Where the brackets that open at `start` close; `start` when they do not."""
    depth, at = 0, start
    while bracket := _BRACKET.match(raw, at):
        at = bracket.end()
        depth += 1 if raw[at - 1] in _OPENERS else -1
        if not depth:
            return at
    return start


def _number(text: str) -> int | float | str:
    number = float(text)
    if abs(number) <= _EXACT_INTEGERS and number.is_integer():
        return int(number)
    return text if number in (float("inf"), float("-inf")) else number


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _LONGEST_INTEGER else text


_DECODER = msgspec.json.Decoder(float_hook=_number)


def _exact(raw: bytes) -> Any:  # noqa: ANN401 - JSON
    try:
        document = _DECODER.decode(raw)
    except RecursionError:
        raise _bottomless(raw) from None
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _depth(document) > MAX_DEPTH:
        raise _too_deep()
    return document


def _repaired(raw: bytes) -> bytes:
    """The same value in strict JSON."""
    try:
        loose = json.loads(
            raw.decode(errors="replace"),
            strict=False,
            parse_float=_number,
            parse_int=_integer,
            parse_constant=str,
        )
        text = json.dumps(loose, ensure_ascii=False)
    except RecursionError:
        raise _bottomless(raw) from None
    except ValueError as error:
        raise NotJson(f"It is not JSON: {error}") from error
    return _SURROGATES.sub("\ufffd", text).encode()


def _depth(document: Any) -> int:  # noqa: ANN401 - JSON
    depth = 0
    level = [document]
    while level := [node for node in level if isinstance(node, dict | list)]:
        depth += 1
        level = [
            child for node in level for child in (node.values() if isinstance(node, dict) else node)
        ]
    return depth


def _bottomless(raw: bytes) -> BadInput:
    """What is wrong with bytes that nest too deep to be decoded at all."""
    raw = raw.strip(_SPACE)
    return _too_deep() if closing(raw, 0) == len(raw) else NotJson("It is not JSON: it is cut")


def _too_deep() -> NotAnAlert:
    return NotAnAlert(f"It nests deeper than {MAX_DEPTH} levels")
