"""What a condition may mention, and what is wrong with one that compiles."""

import difflib
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, get_type_hints

import msgspec

from tocsin.domain.alert import (
    Agent,
    Alert,
    AlertId,
    Observable,
    ObservableType,
    Rule,
    TenantName,
)
from tocsin.domain.expression import (
    EvaluationError,
    Expression,
    PolicyError,
    TypesDoNotFit,
    without_strings,
)
from tocsin.domain.severity import Severity
from tocsin.domain.verdict import Verdict

RULE_NAMES = frozenset({"alert", "level", "severity_id", "severity"})
EVENT_NAMES = frozenset({"event"})
ROUTE_NAMES = RULE_NAMES | {"verdict"}
FUNCTIONS = frozenset(
    "bytes contains double duration dyn endsWith getDate getDayOfMonth getDayOfWeek getDayOfYear "  # noqa: SIM905 - reads better
    "getFullYear getHours getMilliseconds getMinutes getMonth getSeconds int matches size "
    "startsWith string timestamp type uint".split()
)
TYPES = frozenset({"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "uint"})
OBSERVABLES = "observables."
MAPPED_FIELDS = frozenset(
    {
        "source_event_id",
        "rule.id",
        "rule.description",
        "rule.groups",
        "rule.mitre",
        "level",
        "severity",
        "agent.id",
        "agent.name",
        "agent.ip",
        "source_address",
        "time",
        "location",
        "message",
        "resolved",
        *(f"{OBSERVABLES}{kind}" for kind in ObservableType),
    }
)
"""Fields a source's mapping may set; `observables.<type>` takes a string or a list of strings."""
ROOTS = {"alert": Alert, "verdict": Verdict}

_MACRO = re.compile(
    r"(\w+)?\s*\.\s*(?:all|exists|exists_one|existsOne|map|filter)\s*\(\s*(\w+)\s*,"
)
_PATH = re.compile(r"(?<![\w.])(\w+)((?:\s*\.\s*\w+)+)(\s*\()?")
_SEVERITY = re.compile(r"""(?:alert\.|verdict\.|(?<![\w.]))severity\s*[!=]=\s*['"](\w*)['"]""")
_NAME = re.compile(r"\w+")
_PATTERN = re.compile(
    r"""\.\s*matches\s*\(\s*(r?(?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'))\s*\)""", re.DOTALL
)


def faults(text: str, names: frozenset[str]) -> tuple[str, ...]:
    """Find what keeps a condition from ever working.

    Args:
        text: A CEL condition.
        names: Variables it may use, `RULE_NAMES` or `ROUTE_NAMES`.

    Returns:
        Sentences; none when nothing is wrong.

    Raises:
        PolicyError: It does not compile.
    """
    expression = Expression.compile(text)
    code = without_strings(text)
    found = [
        *unknown_names(expression, names),
        *_unknown_functions(expression),
        *_unknown_fields(code),
        *_bad_patterns(text),
        *_unknown_severities(text),
    ]
    return tuple(dict.fromkeys(found or _misfits(expression)))


def unknown_names(expression: Expression, names: frozenset[str]) -> tuple[str, ...]:
    """Say of each variable that an expression takes and nobody gives that it is not there."""
    bound = {name for _, name in _MACRO.findall(without_strings(expression.text))}
    strange = sorted(expression.names - names - bound - TYPES)
    return tuple(f"there is no variable {name}{near(name, names)}" for name in strange)


def _unknown_functions(expression: Expression) -> Iterator[str]:
    for name in sorted(expression.functions - FUNCTIONS):
        yield f"there is no function {name}(){near(name, FUNCTIONS)}"


def _unknown_fields(code: str) -> Iterator[str]:
    """Follow each `alert.rule.id` through the types of its parts."""
    items = {name: Observable for over, name in _MACRO.findall(code) if over == "observables"}
    roots = ROOTS | items
    for root, rest, called in _PATH.findall(code):
        steps = _NAME.findall(rest)[: -1 if called else None]
        kind: Any = roots.get(root)
        path = root
        for step in steps if kind else ():
            fields = get_type_hints(kind) if _has_fields(kind) else {}
            if step not in fields:
                yield f"there is no {path}.{step}{near(step, fields)}"
                break
            kind, path = fields[step], f"{path}.{step}"


def _has_fields(kind: Any) -> bool:  # noqa: ANN401 - a type annotation
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _bad_patterns(text: str) -> Iterator[str]:
    for pattern in _PATTERN.findall(text):
        try:
            Expression.compile(f"''.matches({pattern})").evaluate({})
        except (PolicyError, EvaluationError):
            yield f"{pattern} is no regular expression"


def _unknown_severities(text: str) -> Iterator[str]:
    words = [severity.value for severity in Severity]
    for word in _SEVERITY.findall(text):
        if word not in words:
            yield f"there is no severity {word!r}{near(word.lower(), words)}"


def _misfits(expression: Expression) -> Iterator[str]:
    """Try the condition on an alert that has everything."""
    try:
        value = expression.evaluate(
            {
                "alert": msgspec.to_builtins(_full_alert(), builtin_types=(datetime,)),
                "level": 10,
                "severity_id": Severity.HIGH.id,
                "severity": Severity.HIGH.value,
                "verdict": msgspec.to_builtins(Verdict(severity=Severity.HIGH, reasons=("rule",))),
            }
        )
    except TypesDoNotFit:
        yield "it compares or joins values of different types, such as a number and text"
    except EvaluationError:
        return
    else:
        if not isinstance(value, bool):
            yield f"it gives {type(value).__name__}, neither true nor false"


def _full_alert() -> Alert:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    address = Observable(name="data.srcip", type=ObservableType.IP_ADDRESS, value="192.0.2.1")
    return Alert(
        tenant=TenantName("tenant"),
        source="source",
        id=AlertId("0" * 32),
        rule=Rule(id="5712", description="text", groups=("sshd",), mitre=("T1110",)),
        level=10,
        severity=Severity.HIGH,
        agent=Agent(id="001", name="web", ip="192.0.2.2"),
        observables=(address,),
        source_address="192.0.2.1",
        time=now,
        received_at=now,
        message="text",
    )


def near(word: str, known: Iterable[str]) -> str:
    """The question whether another word was meant; empty when none is near."""
    found = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""
