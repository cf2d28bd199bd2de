"""Rules and routes: order, what a match changes, and what a fault may and may not do."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.domain.alert import (
    Agent,
    Alert,
    AlertId,
    AlertRef,
    Observable,
    ObservableType,
    Rule,
    TenantName,
)
from tocsin.domain.expression import EvaluationError, Expression, PolicyError, TypesDoNotFit
from tocsin.domain.policy import Classifier, Router, RouteSpec, RuleSpec
from tocsin.domain.severity import Severity
from tocsin.domain.verdict import Disposition, Giver, Verdict
from tocsin.domain.work import Plan, SaveRequest
from tocsin.temporal import DATA_CONVERTER

FAULTY = "alert.observables[7].value == 'x'"


def alert(**changes: Any) -> Alert:
    """A Wazuh alert of level 10."""
    fields: dict[str, Any] = {
        "tenant": TenantName("acme"),
        "source": "wazuh",
        "id": AlertId("0" * 32),
        "rule": Rule(id="5712", groups=("syslog", "sshd"), mitre=("T1110.001",)),
        "level": 10,
        "severity": Severity.HIGH,
        "agent": Agent(name="web"),
        "observables": (
            Observable(name="data.srcip", type=ObservableType.IP_ADDRESS, value="192.0.2.1"),
        ),
        "time": datetime(2026, 11, 20, 3, tzinfo=UTC),
        "message": 'say "hi"',
    }
    return Alert(**(fields | changes))


def rule(when: str = "true", name: str = "rule", **changes: Any) -> RuleSpec:
    """A rule."""
    return RuleSpec(name=name, when=when, **changes)


def route(when: str, name: str = "route", **changes: Any) -> RouteSpec:
    """A route to a receiver of its own name."""
    return RouteSpec(name=name, when=when, receivers=changes.pop("receivers", (name,)), **changes)


def verdict(severity: Severity = Severity.LOW) -> Verdict:
    """A verdict of our rules."""
    return Verdict(severity=severity, given_by=Giver.RULES)


@pytest.mark.parametrize(
    "when",
    [
        "'sshd' in alert.rule.groups",
        "alert.rule.mitre.exists(t, t.startsWith('T1110'))",
        "alert.observables.exists(o, o.type == 'ip_address' && o.value == '192.0.2.1')",
        "alert.time.getHours() < 6 && alert.time > timestamp('2026-01-01T00:00:00Z')",
        "level == 10 && alert.level == 10 && severity_id == 4 && severity == 'high'",
        "alert.agent.name.matches('^w.b$') && alert['source'] == 'wazuh'",
        "alert.message == 'say \"hi\"' && !alert.resolved",
        "has(alert.rule) && !has(alert.nothing)",
    ],
)
def test_what_conditions_see(when: str) -> None:
    """A condition sees the alert's fields as CEL values, its level and its severity."""
    assert Classifier([rule(when)]).judge(alert()).verdict.reasons == ("rule",)


def test_without_rules() -> None:
    """Without a matching rule, the verdict is the sender's severity, undecided."""
    judged = Classifier([rule("false", severity=Severity.FATAL)]).judge(alert())
    assert judged.verdict == Verdict(severity=Severity.HIGH, given_by=Giver.SENDER)
    assert judged.notes == ()


def test_level_of_none() -> None:
    """An alert without a level has level -1."""
    judged = Classifier([rule("level == -1 && alert.level == null")]).judge(alert(level=None))
    assert judged.verdict.reasons == ("rule",)


def test_rules_build_on_each_other() -> None:
    """Each rule sees the severity the last match left; what a rule leaves out stays."""
    rules = [
        rule("severity == 'high'", "lower", severity=Severity.LOW),
        rule("severity_id == 2", "suspect", disposition=Disposition.SUSPICIOUS),
        rule("severity == 'high'", "never", severity=Severity.FATAL),
    ]
    assert Classifier(rules).judge(alert()).verdict == Verdict(
        severity=Severity.LOW,
        disposition=Disposition.SUSPICIOUS,
        given_by=Giver.RULES,
        reasons=("lower", "suspect"),
    )


def test_final() -> None:
    """After the match of a final rule, none is tried."""
    rules = [rule("true", "last", final=True), rule("true", "more", severity=Severity.FATAL)]
    assert Classifier(rules).judge(alert()).verdict.reasons == ("last",)


@pytest.mark.parametrize(
    ("when", "note"),
    [
        (FAULTY, "rule rule was skipped: index out of bounds: 7"),
        ("alert.nothing == 1", "rule rule was skipped: there is no 'nothing' here"),
        ("level", "rule rule was skipped: it gives int, neither true nor false"),
        ("level > 'a'", "rule rule was skipped: No such overload"),
        ("1 / (level - 10) == 1", "rule rule was skipped: division by zero"),
        ("int(alert.message) == 1", "rule rule was skipped: Function 'int' error"),
        ("nothing == 1", "rule rule was skipped: Undefined variable"),
        ("alert.message.nothing()", "rule rule was skipped: Undefined variable or function"),
    ],
)
def test_faulty_rule(when: str, note: str) -> None:
    """A rule that cannot be evaluated changes nothing, leaves a note, and stops nothing."""
    rules = [rule(when, severity=Severity.FATAL, final=True), rule("true", "next")]
    judged = Classifier(rules).judge(alert())
    assert judged.verdict.reasons == ("next",)
    assert judged.verdict.severity is Severity.HIGH
    assert [text[: len(note)] for text in judged.notes] == [note]


def test_first_route_wins() -> None:
    """The first route that matches is the alert's route."""
    router = Router([route("false", "a"), route("severity == 'low'", "b"), route("true", "c")])
    routing = router.route(alert(), verdict())
    assert (routing.route, routing.receivers, routing.notes) == ("b", ("b",), ())


def test_continue() -> None:
    """Routes that say continue join the next match; each receiver hears once."""
    routes = [
        route("true", "a", receivers=("x", "y"), continue_=True),
        route("false", "b"),
        route("true", "c", receivers=("y", "z")),
        route("true", "d"),
    ]
    routing = Router(routes).route(alert(), verdict())
    assert (routing.route, routing.receivers) == ("a+c", ("x", "y", "z"))


def test_no_route() -> None:
    """What matches no route is only stored."""
    routing = Router([route("severity_id >= 4")]).route(alert(), verdict(Severity.MEDIUM))
    assert (routing.route, routing.receivers) == ("store", ())


def test_routes_follow_the_verdict() -> None:
    """Routes see the verdict, not the sender's severity."""
    routes = [route("severity_id == 2 && verdict.severity == 'low' && alert.severity == 'high'")]
    assert Router(routes).route(alert(), verdict(Severity.LOW)).route == "route"


@pytest.mark.parametrize("severity", [Severity.HIGH, Severity.CRITICAL, Severity.FATAL])
def test_faulty_route_of_a_loud_alert(severity: Severity) -> None:
    """A route that cannot be evaluated rings for a loud alert, and the next is tried too."""
    routes = [route(FAULTY, "a"), route("true", "b"), route("true", "c")]
    routing = Router(routes).route(alert(), verdict(severity))
    assert (routing.route, routing.receivers) == ("a+b", ("a", "b"))
    assert routing.notes == ("route a was taken: index out of bounds: 7",)


@pytest.mark.parametrize(
    "name", ["a rule of ours " * 40, "\U0001f514" * 300, '"\\' * 300, "\x01x" * 300, "\ud800" * 300]
)
def test_whatever_the_file_the_payloads_are_small(name: str) -> None:
    """Many rules with long names, matching or erring, leave less than 4 KB in history."""
    lacking = rule("alert[alert.message] == 1", name)
    judged = Classifier([rule("true", name), rule(FAULTY, name), lacking] * 100).judge(
        alert(message="\U0001f514" * 100_000)
    )
    ref = AlertRef(tenant=TenantName("t" * 32), alert_id=AlertId("0" * 32), run=2**63)
    for payload in (
        Plan(verdict=judged.verdict, notes=judged.notes),
        SaveRequest(ref=ref, verdict=judged.verdict, notes=judged.notes),
    ):
        assert len(DATA_CONVERTER.payload_converter.to_payload(payload).data) < 4096


def test_many_faulty_rules_are_counted() -> None:
    """The first rules that could not be evaluated are named, and the others counted."""
    names = [f"rule-{number}" for number in range(60)]
    judged = Classifier([rule("int(alert.message) > 3", name) for name in names]).judge(alert())
    *notes, last = judged.notes
    assert [note.split()[1] for note in notes] == names[: len(notes)]
    assert last == f"and {60 - len(notes)} more"


def test_many_faulty_routes_are_counted() -> None:
    """Where all routes of a loud alert err, all ring, and the first are named."""
    names = [f"route-{number}" for number in range(200)]
    routing = Router([route(FAULTY, name) for name in names]).route(alert(), verdict(Severity.HIGH))
    assert routing.receivers == tuple(names)
    *notes, last = routing.notes
    assert last == f"and {200 - len(notes)} more"
    assert len(routing.route) < 1024


@pytest.mark.parametrize("severity", [Severity.UNKNOWN, Severity.LOW, Severity.MEDIUM])
def test_faulty_route_of_a_quiet_alert(severity: Severity) -> None:
    """A route that cannot be evaluated wakes nobody for a quiet alert."""
    routing = Router([route(FAULTY)]).route(alert(), verdict(severity))
    assert (routing.route, routing.receivers) == ("store", ())
    assert routing.notes == ("route route was skipped: index out of bounds: 7",)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("level >", 1, 8), ("level\n> > 3", 2, 3), ("x" * 5000, 1, 0), ("", 1, 1), ("'", 1, 1)],
)
def test_no_expression(text: str, line: int, column: int) -> None:
    """What is no CEL is refused with its place, when the policy is made."""
    for make in (Expression.compile, lambda text: Router([route(text)])):
        with pytest.raises(PolicyError) as caught:
            make(text)
        assert (caught.value.line, caught.value.column) == (line, column)


def test_faults_have_types() -> None:
    """Types that do not fit are told from data that is not there."""
    with pytest.raises(TypesDoNotFit):
        Expression.compile("x > 'a'").evaluate({"x": 1})
    with pytest.raises(EvaluationError):
        Expression.compile("x.y").evaluate({"x": {}})


@given(st.text(max_size=60) | st.text("()[]{}'\"alert.rue|&=<>!? 1", max_size=60))
def test_any_text(text: str) -> None:
    """Any text compiles or is refused."""
    with contextlib.suppress(PolicyError):
        assert Expression.compile(text).text == text


TEXT = st.text(st.characters(), max_size=20)
ALERTS = st.builds(
    alert,
    source=TEXT,
    rule=st.builds(
        Rule, id=TEXT, description=TEXT, groups=st.tuples(TEXT), mitre=st.just(()) | st.tuples(TEXT)
    ),
    level=st.none() | st.integers(),
    severity=st.sampled_from(Severity),
    agent=st.builds(Agent, name=TEXT),
    observables=st.lists(
        st.builds(Observable, name=TEXT, type=st.sampled_from(ObservableType), value=TEXT),
        max_size=3,
    ).map(tuple),
    time=st.datetimes() | st.datetimes(timezones=st.timezones()),
    message=TEXT,
    resolved=st.booleans(),
)
CONDITIONS = [
    "true",
    "level > 5 || alert.level > 5",
    "alert.message.contains(alert.source)",
    "alert.message.matches(alert.rule.id)",
    "alert.observables[0].value == alert.rule.mitre[0]",
    "timestamp(alert.message) > alert.time",
    "alert.time.getHours() + int(alert.agent.name) > 3",
    "alert.rule.groups.all(g, size(g) > level / 0)",
    "alert",
]


@given(ALERTS, st.lists(st.sampled_from(CONDITIONS), max_size=4))
def test_any_alert(alert: Alert, conditions: list[str]) -> None:
    """Whatever an alert holds, it is judged and routed."""
    judged = Classifier([rule(when) for when in conditions]).judge(alert)
    assert len(judged.verdict.reasons) + len(judged.notes) <= len(conditions)
    Router([route(when, continue_=True) for when in conditions]).route(alert, judged.verdict)


def test_lone_surrogates() -> None:
    """A text that UTF-8 cannot hold is judged with replacement characters."""
    value = Observable(name="x", type=ObservableType.HOSTNAME, value="\ud800")
    odd = alert(message="a\ud800b", observables=(value,))
    judged = Classifier([rule("alert.message + alert.observables[0].value == 'a?b?'")]).judge(odd)
    assert (judged.verdict.reasons, judged.notes) == (("rule",), ())
