"""Any JSON object, read by a table of CEL expressions from the source's configuration.

The table maps fields of the normalized alert to expressions over `event`, the posted object. An
expression that meets a missing field has no value, which is no error: senders leave out what they
do not know. Expressions see the first 256 items of a list and the first 1024 keys of an object:
what an expression costs grows with the square of them, and no body shall hold up those behind it.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any

import cel
import msgspec

from ingest.sources.base import LONGEST_MESSAGE, MOST_OBSERVABLES, Reading, Source
from ingest.sources.fields import instant, integer, text, texts
from tocsin.domain.alert import Agent, Observable, ObservableType, Rule
from tocsin.domain.expression import EvaluationError, Expression
from tocsin.domain.observables import address, observe
from tocsin.domain.severity import Severity, from_wazuh_level, from_word
from tocsin.domain.vocabulary import OBSERVABLES
from tocsin.errors import NotAnAlert
from tocsin.tenants import SourceConfig

_MOST_ITEMS = 256
_MOST_KEYS = 1024
_HIGHEST_LEVEL = 2**15 - 1
_LONGEST_INTEGER = 19


class Generic(Source):
    """A sender that nobody wrote a parser for.

    Args:
        config: Its mapping, and the expressions that identify an event. An event that lacks one
            of those is identified as if there were none: by the mapped `source_event_id`, or by
            its whole content.
    """

    def __init__(self, config: SourceConfig) -> None:
        self._mapping = {k: Expression.compile(v) for k, v in config.mapping.items()}
        self._identity = tuple(Expression.compile(text) for text in config.identity)

    def parse(self, document: Any) -> Reading:  # noqa: ANN401 - JSON
        """Evaluate the mapping."""
        if not isinstance(document, dict):
            raise NotAnAlert("It is no JSON object")
        context = _context(document)
        values = {key: _value(expression, context) for key, expression in self._mapping.items()}
        event_id = text(values.get("source_event_id"))
        parts = tuple(_value(expression, context) for expression in self._identity)
        named = bool(parts) and all(part not in (None, "") for part in parts)
        level = integer(values.get("level"), 0, _HIGHEST_LEVEL)
        word = text(values.get("severity"))
        return Reading(
            identity=parts if named else ("event", event_id or document),
            complete=named,
            source_event_id=event_id,
            shape="generic",
            rule=_rule(values),
            level=level,
            sender_severity=word,
            severity=_severity(values.get("severity")) if word else from_wazuh_level(level),
            agent=_agent(values),
            observables=_observables(values),
            source_address=address(text(values.get("source_address"))),
            time=instant(values.get("time")),
            location=text(values.get("location")),
            message=text(values.get("message")) or _content(document),
            resolved=values.get("resolved") is True,
        )


def _rule(values: Mapping[str, Any]) -> Rule:
    return Rule(
        id=text(values.get("rule.id")),
        description=text(values.get("rule.description")),
        groups=texts(values.get("rule.groups")),
        mitre=texts(values.get("rule.mitre")),
    )


def _agent(values: Mapping[str, Any]) -> Agent:
    return Agent(
        id=text(values.get("agent.id")),
        name=text(values.get("agent.name")),
        ip=text(values.get("agent.ip")),
    )


def _shortened(value: Any) -> Any:  # noqa: ANN401 - JSON
    """The same with the ends of long lists and objects cut off."""
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in islice(value.items(), _MOST_KEYS)}
    if isinstance(value, list):
        return [_shortened(item) for item in value[:_MOST_ITEMS]]
    return value


def _context(document: dict[str, Any]) -> cel.Context:
    document = _shortened(document)
    try:
        return cel.Context(variables={"event": document})
    except ValueError:
        # CEL holds no integer beyond the range of a double; as text it can still be compared.
        smaller = json.loads(json.dumps(document), parse_int=_short_integer)
        return cel.Context(variables={"event": smaller})


def _short_integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else digits


def _value(expression: Expression, context: cel.Context) -> Any:  # noqa: ANN401 - CEL value
    """The value of an expression; None when it has none or is of a type that JSON lacks."""
    try:
        value = expression.evaluate(context)
    except EvaluationError:
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str | int | float | list | dict) else None


def _severity(value: Any) -> Severity:  # noqa: ANN401 - CEL value
    """A severity from a word, or from an OCSF `severity_id`."""
    number = integer(value, 0, len(Severity) - 1)
    return from_word(text(value)) if number is None else tuple(Severity)[number]


def _observables(values: Mapping[str, Any]) -> tuple[Observable, ...]:
    return tuple(
        observable
        for key, value in values.items()
        if key == "source_address" or key.startswith(OBSERVABLES)
        for item in (value[:MOST_OBSERVABLES] if isinstance(value, list) else [value])
        for observable in observe(_kind(key), key, text(item))
    )


def _kind(key: str) -> ObservableType:
    if key.startswith(OBSERVABLES):
        return ObservableType(key.removeprefix(OBSERVABLES))
    return ObservableType.IP_ADDRESS


def _content(document: dict[str, Any]) -> str:
    return msgspec.json.encode(document).decode()[:LONGEST_MESSAGE]
