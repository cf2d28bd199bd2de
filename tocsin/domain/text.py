"""Text that strangers wrote, made fit to be shown and small enough to be kept."""

from collections.abc import Sequence

import msgspec


def one_line(text: str, *, limit: int = 200) -> str:
    """Make stranger's text harmless in a line: no control or direction marks, shortened."""
    clean = "".join(c if c.isprintable() else " " for c in text[: limit * 2])
    return " ".join(clean.split())[:limit]


def fitting(texts: Sequence[str], *, room: int) -> tuple[str, ...]:
    """The texts as lines: the first that fit, then how many more there are.

    Args:
        texts: As many and as long as may be.
        room: Size of the result as a list in JSON, in bytes; at least 100.
    """
    if not texts:
        return ()
    lines: list[str] = []
    left = room - len("[]") - _size(_more(len(texts)))
    for text in texts:
        line = one_line(text)
        left -= _size(line)
        if left < 0:
            return (*lines, _more(len(texts) - len(lines)))
        lines.append(line)
    return tuple(lines)


def _more(number: int) -> str:
    return f"and {number} more"


def _size(line: str) -> int:
    return len(msgspec.json.encode(line)) + len(",")
