"""Taking a JSON value apart that bundles events, with the bytes that were sent.

Each event is the value as it came, with the other elements cut out: nothing is written anew, so
numbers, escapes, repeated keys and bytes that are no UTF-8 stay what they were.
"""

import re
from typing import Final

import msgspec

from ingest.body import STRING, closing, decode

LARGEST_ENVELOPE: Final = 4096
"""Most bytes of the envelope's members that go with any event but the first."""

_SMALLEST_ENVELOPE: Final = 256
_ALL_ENVELOPES: Final = 64 * 1024

_SPACE: Final = b" \t\r\n"
# What ends or opens something at the level of the members, and so stands in no string.
_MARK = re.compile(rb'[^"\[\]{},]*+(?:%s[^"\[\]{},]*+)*+([\[\]{},])' % STRING, re.DOTALL)
_KEY = re.compile(rb"[ \t\r\n]*+(%s)[ \t\r\n]*+:[ \t\r\n]*+" % STRING, re.DOTALL)

_Span = tuple[int, int]


class _Level(msgspec.Struct):
    """An object or array on the way to the elements, or the array that holds them.

    Attributes:
        members: Where its members or elements begin and end.
        end: Where it ends.
        key: The key that leads further, as it was written.
        way: The member of that key, by its place among the members.
        inner: What it leads to.
    """

    members: list[_Span]
    end: int = 0
    key: bytes = b""
    way: int = 0
    inner: "_Level | None" = None


def unbundle(raw: bytes, path: tuple[str, ...]) -> list[bytes]:
    """Each element of an array, in what stands around the array.

    A large envelope goes with the first element only; its largest members are left out of what
    goes with the others. All together they are no larger than the body, or than 64 KiB, so that a
    small body that bundles thousands stays small; 256 bytes go with any.

    Args:
        raw: JSON as `ingest.body.decode` takes it.
        path: Keys that lead to an array that is not empty.
    """
    way = [_open(raw, raw.index(b"{"), path)]
    while inner := way[-1].inner:
        way.append(inner)
    bundled = way.pop()
    elements = [raw[at:end].strip(_SPACE) for at, end in bundled.members]
    head, tail = raw[: bundled.members[0][0]], raw[bundled.end - 1 :]
    first = head + elements[0] + tail
    share = max(len(raw), _ALL_ENVELOPES) // len(elements)
    room = min(max(share, _SMALLEST_ENVELOPE), LARGEST_ENVELOPE)
    if len(head) + len(tail) > room:
        head, tail = _reduced(raw, way, room)
    return [first, *(head + element + tail for element in elements[1:])]


def _open(raw: bytes, start: int, path: tuple[str, ...]) -> _Level:
    """Find the members of what opens at `start`, and what the path leads to among them."""
    level = _Level([])
    begin = at = start + 1
    while mark := _MARK.match(raw, at):
        at = mark.end()
        if mark[1] in b"{[":
            key = _KEY.match(raw, begin, at) if path else None
            if key and decode(key[1]) == path[0]:
                inner = _open(raw, at - 1, path[1:])
                level.key, level.way, level.inner = key[1], len(level.members), inner
                at = inner.end
            else:
                at = closing(raw, at - 1)
            continue
        level.members.append((begin, at - 1))
        begin = at
        if mark[1] != b",":
            break
    level.end = at
    return level


def _reduced(raw: bytes, way: list[_Level], room: int) -> tuple[bytes, bytes]:
    """What stands before and behind the elements, without the largest members."""
    beside = [span for each in way for span in each.members if span != each.members[each.way]]
    kept = _smallest(beside, room)
    head, tail = b"", b""
    for level in way:
        before, behind = level.members[: level.way], level.members[level.way + 1 :]
        head += b"{" + b"".join(raw[slice(*span)] + b"," for span in before if span in kept)
        head += level.key + b":"
        tail = b"".join(b"," + raw[slice(*span)] for span in behind if span in kept) + b"}" + tail
    return head + b"[", b"]" + tail


def _smallest(members: list[_Span], room: int) -> set[_Span]:
    """As many members as there is room for, each with its comma."""
    kept: set[_Span] = set()
    for begin, end in sorted(members, key=lambda span: span[1] - span[0]):
        room -= end - begin + 1
        if room < 0:
            break
        kept.add((begin, end))
    return kept
