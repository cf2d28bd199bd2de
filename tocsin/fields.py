"""Types of configuration values: each refuses what it cannot be, and says what it should be."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from tocsin.domain.expression import Expression, PolicyError
from tocsin.domain.vocabulary import (
    EVENT_NAMES,
    MAPPED_FIELDS,
    ROUTE_NAMES,
    RULE_NAMES,
    faults,
    near,
    unknown_names,
)

REFERENCE_HINT = "write vault:path#key, env:NAME or file:path"

OF_THE_CONNECTION = frozenset(
    {
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Where a request goes and ends, and what ends with its connection (RFC 9110, section 7.6.1)."""

_REFERENCE = re.compile(r"vault:[^#]+#.+|env:[A-Za-z_][A-Za-z0-9_]*|file:.+", re.DOTALL)
_LOOKS_LIKE_REFERENCE = re.compile(r"(vault|env|file):")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_MAIL = re.compile(r"[^@\s<>,;]+@[^@\s<>,;]+|[^@<>,;\r\n]+ <[^@\s<>,;]+@[^@\s<>,;]+>")
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]]+):(\d{1,5})")
_HIGHEST_PORT = 65535


def is_reference(text: str) -> bool:
    """Whether a configuration value names a secret instead of being one."""
    return _REFERENCE.fullmatch(text) is not None


def wrong(message: str, hint: str) -> PydanticCustomError:
    """The error a field type raises; the message continues a sentence that the key begins."""
    return PydanticCustomError("wrong_value", "{message}", {"message": message, "hint": hint})


def split_address(text: str) -> tuple[str, int]:
    """Host, without brackets, and port of `ADDRESS:PORT`.

    Raises:
        PydanticCustomError: It is none; also a ValueError.
    """
    found = _LISTEN.fullmatch(text)
    if found is None or not 0 < int(found[2]) <= _HIGHEST_PORT:
        raise wrong("must be ADDRESS:PORT", "for example 127.0.0.1:8080 or [::]:8080")
    return found[1].strip("[]"), int(found[2])


def matching(pattern: str, message: str, hint: str) -> AfterValidator:
    """A check that the whole text matches a pattern."""
    compiled = re.compile(pattern)

    def must_match(text: str) -> str:
        if compiled.fullmatch(text) is None:
            raise wrong(message, hint)
        return text

    return AfterValidator(must_match)


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or _DURATION.fullmatch(value) is None:
        raise wrong("must be a duration", "write it with its unit, for example 30s, 5m, 2h or 7d")
    try:
        parts = (timedelta(**{_UNITS[unit]: float(n)}) for n, unit in _PART.findall(value))
        length = sum(parts, timedelta())
    except OverflowError:
        raise wrong("is too long a time", "write a shorter one") from None
    if not length:
        raise wrong("must be longer than nothing", "write at least 1ms")
    return length


def _reference(text: str) -> str:
    if text and not is_reference(text):
        raise wrong("must be a reference to the secret, never the secret itself", REFERENCE_HINT)
    return text


def _local_reference(text: str) -> str:
    if text and (not is_reference(text) or text.startswith("vault:")):
        raise wrong("must be a reference outside the vault it opens", "write env:NAME or file:path")
    return text


def _reference_or(check: Callable[[str], str]) -> Callable[[str], str]:
    def validate(text: str) -> str:
        if is_reference(text):
            return text
        if _LOOKS_LIKE_REFERENCE.match(text):
            raise wrong("is no complete reference", REFERENCE_HINT)
        return check(text)

    return validate


def _url(text: str) -> str:
    try:
        url = urlsplit(text)
        sound = url.scheme in ("http", "https") and url.hostname and url.port != 0
    except ValueError:
        sound = False
    if not sound or any(sign.isspace() for sign in text):
        raise wrong("is no http:// or https:// URL", "write https://host/path")
    if "@" in url.netloc:
        raise wrong("holds a user or password", "send them in a header, by reference")
    return text


def _optional_url(text: str) -> str:
    return _url(text) if text else text


def _not_of_the_connection(name: str) -> str:
    if name.lower() in OF_THE_CONNECTION:
        raise wrong("is a header that tocsin sets itself", "take it out; every request has its own")
    return name


def _mail(text: str) -> str:
    if _MAIL.fullmatch(text) is None:
        raise wrong("is no mail address", "write name@example.org")
    return text


def _listen(text: str) -> str:
    split_address(text)
    return text


def _condition(names: frozenset[str]) -> Callable[[str], str]:
    def validate(text: str) -> str:
        try:
            found = faults(text, names)
        except PolicyError as error:
            raise _no_expression(error) from None
        if found:
            raise wrong(
                f"can never work: {'; '.join(found)}", f"known are {', '.join(sorted(names))}"
            )
        return text

    return validate


def _over_event(text: str) -> str:
    try:
        strange = unknown_names(Expression.compile(text), EVENT_NAMES)
    except PolicyError as error:
        raise _no_expression(error) from None
    if strange:
        raise wrong(f"can never work: {'; '.join(strange)}", "for example event.host.name")
    return text


def _no_expression(error: PolicyError) -> PydanticCustomError:
    place = f"line {error.line}, " if error.line > 1 else ""
    return wrong(f"is no CEL expression: {error}", f"at {place}character {error.column}")


def _alert_field(path: str) -> str:
    if path not in MAPPED_FIELDS:
        raise wrong(
            f"is no field that a mapping can set{near(path, MAPPED_FIELDS)}",
            f"one of {', '.join(sorted(MAPPED_FIELDS))}",
        )
    return path


def _not_empty(items: tuple[str, ...]) -> tuple[str, ...]:
    if not items:
        raise wrong("must not be empty", "write at least one mail address")
    return items


Duration = Annotated[timedelta, BeforeValidator(_duration)]
"""A length of time, in files `500ms`, `30s`, `5m`, `2h`, `7d` or joined, `1h30m`."""

Secret = Annotated[str, AfterValidator(_reference)]
"""A reference to a secret; may be empty where the secret is optional."""

LocalSecret = Annotated[str, AfterValidator(_local_reference)]
"""A reference to a secret that opens the vault, `env:` or `file:`; may be empty."""

Text = Annotated[str, AfterValidator(_reference_or(str))]
"""Text, or a reference to it."""

Url = Annotated[str, AfterValidator(_optional_url)]
"""An `http` or `https` URL without credentials; may be empty where it is optional."""

NatsUrl = Annotated[
    str,
    matching(
        r"(?:nats|tls|ws|wss)://[^\s,]+(?:,(?:nats|tls|ws|wss)://[^\s,]+)*",
        "is no NATS address",
        "write nats://host:4222, several with commas between",
    ),
]
"""Addresses of NATS servers."""

Target = Annotated[str, AfterValidator(_reference_or(_url))]
"""An `http` or `https` URL, or a reference to one."""

Sha256 = Annotated[
    str,
    matching(
        r"^[0-9a-f]{64}$",
        "must be a SHA-256 in hexadecimal, never the token itself",
        "printf %s TOKEN | sha256sum",
    ),
]
"""SHA-256 of a token, in lowercase hexadecimal."""

HeaderName = Annotated[
    str,
    matching(
        r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", "is no header name", "use letters, digits and -, no space"
    ),
    AfterValidator(_not_of_the_connection),
]
"""Name of an HTTP header that a request may be given."""

HeaderValue = Annotated[
    Text,
    matching(
        r"^(?:[!-~](?:[\t -~]*[!-~])?)?$",
        "must be one line of printable ASCII without space at its ends",
        "quote it, and take out what is beyond that",
    ),
]
"""Value of an HTTP header, or a reference to it."""

MailAddress = Annotated[str, AfterValidator(_mail)]
"""A mail address, alone or as `Name <address>`."""

MailAddresses = Annotated[tuple[MailAddress, ...], AfterValidator(_not_empty)]
"""At least one mail address."""

Listen = Annotated[str, AfterValidator(_listen)]
"""`ADDRESS:PORT`; an IPv6 address stands in brackets."""

RuleCondition = Annotated[str, AfterValidator(_condition(RULE_NAMES))]
"""A CEL condition over `alert`, `level`, `severity_id` and `severity`."""

RouteCondition = Annotated[str, AfterValidator(_condition(ROUTE_NAMES))]
"""A CEL condition over the same and `verdict`."""

EventValue = Annotated[str, AfterValidator(_over_event)]
"""A CEL expression over `event`, the JSON object that was posted."""

AlertField = Annotated[str, AfterValidator(_alert_field)]
"""Path of a field of the normalized alert, such as `rule.id`."""
