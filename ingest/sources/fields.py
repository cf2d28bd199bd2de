"""Reading fields of JSON that nobody promised anything about: what is not there is empty."""

from datetime import UTC, datetime
from typing import Any

_EARLIEST_YEAR = 1970
_LONGEST_INSTANT = 64
_LONGEST_NUMBER = 32
_FAR_FUTURE_SECONDS = 1e11
_THOUSAND = 1000


def child(mapping: dict[str, Any], *path: str) -> dict[str, Any]:
    """The object that `path` leads to; an empty one when there is none."""
    for key in path:
        value = mapping.get(key)
        if not isinstance(value, dict):
            return {}
        mapping = value
    return mapping


def text(value: Any) -> str:  # noqa: ANN401 - JSON
    """A string as it is, a number as its digits, anything else as the empty string."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return ""


def texts(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - JSON
    """The strings of an array, or of a comma-separated string: stripped, once each, none empty."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list):
        return ()
    return tuple(dict.fromkeys(part for part in (text(item).strip() for item in parts) if part))


def integer(value: Any, least: int, most: int) -> int | None:  # noqa: ANN401 - JSON
    """A whole number, or a string of one, within bounds; None otherwise."""
    if isinstance(value, str):
        decimal = len(value) <= _LONGEST_NUMBER and value.strip().isdecimal()
        value = int(value) if decimal else None
    elif isinstance(value, float):
        value = int(value) if value.is_integer() else None
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    return None


def instant(value: Any) -> datetime | None:  # noqa: ANN401 - JSON
    """A point in time, from ISO 8601 text or a number of seconds or milliseconds since 1970.

    Text without a zone is UTC. What lies before 1970 is nobody's time: clocks that were never
    set and the zero of Go's `time.Time`.
    """
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value[:_LONGEST_INSTANT].strip())
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value if abs(value) < _FAR_FUTURE_SECONDS else value / _THOUSAND
            moment = datetime.fromtimestamp(seconds, UTC)
        else:
            return None
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if moment.year >= _EARLIEST_YEAR else None


def clean(value: str, longest: int) -> str:
    """Shorten a string and make it safe for PostgreSQL, which holds no NUL."""
    return value[:longest].replace("\0", "\ufffd")
