"""Query parameters: each declared once, for reading requests and for the OpenAPI document."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, get_args

import msgspec
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import QueryParams

from console.api.paging import LONGEST_PAGE, USUAL_PAGE, decode_cursor
from ingest.sources.base import LONGEST_NAME
from tocsin.domain.severity import Severity
from tocsin.errors import InvalidParameter
from tocsin.fields import Duration
from tocsin.store import dead_letters, deliveries, listing

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ID: Final = re.compile(r"[0-9a-f]{32}")
_HIGHEST_RUN: Final = 2**31 - 1


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One query parameter.

    Attributes:
        name: Its name.
        description: What it does.
        allowed: What its value may be, in words.
        schema: The same as JSON Schema.
        parse: Reads a value; raises ValueError for one that is not allowed.
        default: What is meant without it.
    """

    name: str
    description: str
    allowed: str
    schema: dict[str, Any]
    parse: Callable[[str], Any]
    default: Any = None


def read(query: QueryParams, parameters: Iterable[Parameter]) -> dict[str, Any]:
    """Read the parameters of a request; one that is not given has its default.

    Raises:
        InvalidParameter: One is not known, or has a value that it cannot have.
    """
    known = {parameter.name: parameter for parameter in parameters}
    values = {parameter.name: parameter.default for parameter in known.values()}
    for name, text in query.multi_items():
        if name not in known:
            raise InvalidParameter(
                name[:64], "is no parameter here", allowed=", ".join(known) or "none"
            )
        try:
            values[name] = known[name].parse(text)
        except ValueError:
            raise InvalidParameter(
                name, f"cannot be {text[:100]!r}", allowed=known[name].allowed
            ) from None
    return values


def words(name: str, description: str, choices: Sequence[str]) -> Parameter:
    """One or several words of a few."""

    def parse(text: str) -> tuple[str, ...]:
        given = tuple(word.strip() for word in text.split(",") if word.strip())
        if not given or not set(given) <= set(choices):
            raise ValueError(text)
        return given

    item = "|".join(choices)
    return Parameter(
        name=name,
        description=f"{description}; one or several, with commas between",
        allowed=", ".join(choices),
        schema={"type": "string", "pattern": f"^({item})(,({item}))*$"},
        parse=parse,
        default=(),
    )


def word(name: str, description: str, choices: Sequence[str], default: str = "") -> Parameter:
    """One word of a few."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    schema: dict[str, Any] = {"type": "string", "enum": list(choices)}
    return Parameter(
        name=name,
        description=description,
        allowed=", ".join(choices),
        schema=schema | ({"default": default} if default else {}),
        parse=parse,
        default=default,
    )


def matching(name: str, description: str, pattern: re.Pattern[str], allowed: str) -> Parameter:
    """A text of a certain form."""

    def parse(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise ValueError(text)
        return text

    return Parameter(
        name=name,
        description=description,
        allowed=allowed,
        schema={"type": "string", "pattern": f"^{pattern.pattern}$"},
        parse=parse,
        default="",
    )


def number(
    name: str, description: str, least: int, most: int, default: int | None = None
) -> Parameter:
    """A whole number between two others, in no more digits than the greater of them."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) <= len(str(most))):
            raise ValueError(text)
        value = int(text)
        if not least <= value <= most:
            raise ValueError(text)
        return value

    schema: dict[str, Any] = {"type": "integer", "minimum": least, "maximum": most}
    return Parameter(
        name=name,
        description=description,
        allowed=f"{least} to {most}",
        schema=schema | ({} if default is None else {"default": default}),
        parse=parse,
        default=default,
    )


def _moment(text: str) -> datetime:
    """A time, or how long ago it was."""
    try:
        return datetime.now(UTC) - TypeAdapter(Duration).validate_python(text)
    except (ValidationError, OverflowError):
        moment = datetime.fromisoformat(text)
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError(text) from None


SINCE: Final = Parameter(
    name="since",
    description="Only what is not older, by the time that the list is ordered by",
    allowed="a length of time such as 30m, 2h or 7d, or an ISO 8601 time (UTC unless it says)",
    schema={"type": "string", "examples": ["2h", "2026-11-20T15:00:00Z"]},
    parse=_moment,
)
SEVERITY: Final = words("severity", "Effective OCSF severity", tuple(Severity))
STATUS: Final = words("status", "Where the latest run is", get_args(listing.Status))
KIND: Final = word("kind", "Kind of letter", get_args(dead_letters.Kind))
OPEN: Final = word(
    "status", "Open letters, or those redriven since", ("open", "redriven", "all"), "open"
)
OUTBOX_STATUS: Final = words("status", "Where it is", get_args(deliveries.Status))
CHANNEL: Final = matching("channel", "Channel it goes by", _NAME, "a name such as webhook or email")
SOURCE: Final = matching("source", "Source it came through", _NAME, "a name such as wazuh")
SOURCE_EVENT_ID: Final = matching(
    "source_event_id",
    "The sender's identifier; one event may have come as several alerts",
    re.compile(rf"[^\x00]{{1,{LONGEST_NAME}}}"),
    f"1 to {LONGEST_NAME} characters",
)
TENANT: Final = matching("tenant", "Whose it is", _NAME, "a tenant's name")
ALERT: Final = matching("alert", "Alert it tells of", _ID, "an alert's id, 32 of 0-9 and a-f")
RUN: Final = number("run", "Which run; the latest without it", 0, _HIGHEST_RUN)
FORMAT: Final = word("format", "OCSF Detection Finding instead of all we know", ("ocsf",))
LIMIT: Final = number("limit", "Most items of one page", 1, LONGEST_PAGE, USUAL_PAGE)
CURSOR: Final = Parameter(
    name="cursor",
    description="Goes on where a page ended: its `next`, with the same other parameters",
    allowed="the `next` of a page, as it is",
    schema={"type": "string"},
    parse=decode_cursor,
)
