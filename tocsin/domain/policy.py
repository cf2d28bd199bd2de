"""Policy as data: CEL expressions that classify an alert and choose who hears of it.

An expression sees `alert` (the fields of `tocsin.domain.alert.Alert`; `time` and `received_at` are
timestamps), `level` (-1 when the sender gives none), `severity_id` and `severity` (of the verdict
so far), and in routes `verdict`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import cel
import msgspec

from tocsin.domain.alert import Alert
from tocsin.domain.expression import EvaluationError, Expression
from tocsin.domain.severity import Severity
from tocsin.domain.text import fitting
from tocsin.domain.verdict import Disposition, Giver, Verdict

STORE: Final = "store"

# Reasons and notes travel through workflow histories, whose payloads stay under 4 KB; a route's
# name stands in a column of lists.
_ROOM: Final = 1600
_ROUTE_ROOM: Final = 500


class RuleSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One step of classification.

    Attributes:
        name: Appears among the verdict's reasons.
        when: CEL condition.
        severity: The severity it sets; None keeps what it was.
        disposition: The disposition it sets; None keeps what it was.
        final: No later rule is tried after a match.
    """

    name: str
    when: str
    severity: Severity | None = None
    disposition: Disposition | None = None
    final: bool = False


class RouteSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Who hears of a matching alert.

    Attributes:
        name: Appears as the alert's route.
        when: CEL condition.
        receivers: Names of receivers.
        continue_: Goes on with the next route after a match.
    """

    name: str
    when: str
    receivers: tuple[str, ...] = ()
    continue_: bool = False


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules made of an alert.

    Attributes:
        verdict: The verdict after the last rule; the first of its reasons, when they are many.
        notes: What the operator should know: the first rules that could not be evaluated.
    """

    verdict: Verdict
    notes: tuple[str, ...] = ()


class Routing(msgspec.Struct, frozen=True, kw_only=True):
    """Where an alert goes.

    Attributes:
        route: Names of the routes that matched, joined by `+`, the first when they are many;
            `store` when none did.
        receivers: Names of receivers, each once, in order of their routes.
        notes: What the operator should know: the first routes that could not be evaluated.
    """

    route: str = STORE
    receivers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Classifier:
    """A tenant's rules, compiled once.

    Rules are tried in order, each seeing the severity that those before it left. A rule that cannot
    be evaluated for an alert changes nothing and leaves a note.

    Args:
        rules: In the order they are tried.

    Raises:
        PolicyError: A condition does not compile.
    """

    def __init__(self, rules: Sequence[RuleSpec]) -> None:
        self._rules = tuple((rule, Expression.compile(rule.when)) for rule in rules)
        self._needs = _Needs(expression for _, expression in self._rules)

    def judge(self, alert: Alert) -> Judged:
        """Give the verdict on an alert, starting from the sender's own severity."""
        verdict = Verdict(severity=alert.severity)
        current: dict[str, Any] = {}
        context = self._needs.context(alert, current)
        notes = []
        for rule, expression in self._rules:
            current.update(severity_id=verdict.severity.id, severity=verdict.severity.value)
            try:
                if not expression.matches(context):
                    continue
            except EvaluationError as error:
                notes.append(f"rule {rule.name} was skipped: {error}")
                continue
            verdict = _applied(rule, verdict)
            if rule.final:
                break
        reasons = fitting(verdict.reasons, room=_ROOM)
        return Judged(
            verdict=msgspec.structs.replace(verdict, reasons=reasons),
            notes=fitting(notes, room=_ROOM),
        )


class Router:
    """A tenant's routes, compiled once.

    The first match wins unless it says `continue`. A route that cannot be evaluated is passed over
    with a note, except for an alert of severity high or above: that one takes the route's receivers
    and goes on, because a fault in a file may ring once too often but never keep silent.

    Args:
        routes: In the order they are tried.

    Raises:
        PolicyError: A condition does not compile.
    """

    def __init__(self, routes: Sequence[RouteSpec]) -> None:
        self._routes = tuple((route, Expression.compile(route.when)) for route in routes)
        self._needs = _Needs(expression for _, expression in self._routes)

    def route(self, alert: Alert, verdict: Verdict) -> Routing:
        """Choose who hears of an alert that was given this verdict."""
        current = {
            "severity_id": verdict.severity.id,
            "severity": verdict.severity.value,
            "verdict": msgspec.to_builtins(verdict),
        }
        context = self._needs.context(alert, current)
        taken: list[RouteSpec] = []
        notes = []
        for route, expression in self._routes:
            try:
                if not expression.matches(context):
                    continue
            except EvaluationError as error:
                loud = verdict.severity.id >= Severity.HIGH.id
                notes.append(f"route {route.name} was {'taken' if loud else 'skipped'}: {error}")
                if loud:
                    taken.append(route)
                continue
            taken.append(route)
            if not route.continue_:
                break
        receivers = (receiver for route in taken for receiver in route.receivers)
        return Routing(
            route="+".join(fitting([route.name for route in taken], room=_ROUTE_ROOM)) or STORE,
            receivers=tuple(dict.fromkeys(receivers)),
            notes=fitting(notes, room=_ROOM),
        )


class _Needs:
    """What a set of expressions asks of an alert; handing CEL only that is five times faster."""

    def __init__(self, expressions: Iterable[Expression]) -> None:
        asked = [expression for expression in expressions if "alert" in expression.names]
        whole = any(expression.alert_fields is None for expression in asked)
        named = frozenset[str]().union(*(each.alert_fields or () for each in asked))
        known = Alert.__struct_fields__
        self._fields = tuple(name for name in known if whole or name in named)

    def context(self, alert: Alert, current: dict[str, Any]) -> cel.Context:
        """Build the variables once per alert; `current` may change between evaluations."""
        fields = {
            name: msgspec.to_builtins(getattr(alert, name), builtin_types=(datetime,))
            for name in self._fields
        }
        level = -1 if alert.level is None else alert.level
        try:
            context = cel.Context(variables={"alert": fields, "level": level})
        except ValueError:
            context = cel.Context(variables={"alert": _plain(fields), "level": level})
        context.set_variable_resolver(current.get)
        return context


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    """The value as CEL can hold it: no lone surrogates, and times with a fixed offset."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, datetime):
        return value.replace(tzinfo=timezone(value.utcoffset() or timedelta()))
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _applied(rule: RuleSpec, verdict: Verdict) -> Verdict:
    return Verdict(
        severity=rule.severity or verdict.severity,
        disposition=rule.disposition or verdict.disposition,
        given_by=Giver.RULES,
        reasons=(*verdict.reasons, rule.name),
    )
