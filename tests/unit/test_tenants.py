"""Tenant files: every problem the lint knows, one row each, and what sound files become."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tocsin.domain.alert import Alert, AlertId, TenantName
from tocsin.domain.severity import Severity
from tocsin.domain.verdict import Disposition, Verdict
from tocsin.errors import ConfigError
from tocsin.tenant_files import load_tenants, survey_tenants
from tocsin.tenants import TenantConfig

A, B = "a" * 64, "b" * 64
SOURCE = f"""\
tenant: acme
sources:
- name: wazuh
  kind: wazuh
  tokens: [{A}]
"""
RECEIVERS = (
    SOURCE
    + """\
receivers:
- name: hook
  webhook: {url: 'https://example.org'}
- name: mail
  email: {to: [a@example.org], sender: b@example.org, host: smtp}
"""
)
RULE = SOURCE + "rules:\n- name: one\n  when: "
ROUTE = RECEIVERS + "routes:\n- name: one\n  receivers: [hook]\n  when: "
WEBHOOK = SOURCE + "routes: []\nreceivers:\n- name: hook\n  webhook:\n    url: "
EMAIL = SOURCE + (
    "routes: []\nreceivers:\n- name: mail\n  email:\n    host: smtp\n    sender: b@example.org\n"
)
HEADERS = WEBHOOK + "'https://example.org'\n    headers: "
GENERIC = f"tenant: acme\nsources:\n- name: g\n  kind: generic\n  tokens: [{A}]\n"
NAME_HINT = "(use 1 to 32 of a-z, 0-9 and -, nothing else)"
REFERENCE_HINT = "(write vault:path#key, env:NAME or file:path)"

PROBLEMS: dict[str, tuple[str, int, str]] = {
    # keys and types
    "no tenant": ("sources: []\n", 1, "tenant is missing (add tenant:)"),
    "empty file": ("", 1, "tenant is missing (add tenant:)"),
    "bad tenant name": ("tenant: Acme Ltd\n", 1, f"tenant is no name {NAME_HINT}"),
    "number as name": ("tenant: 7\n", 1, "tenant must be text (put it in quotes)"),
    "long name": (f"tenant: {'x' * 33}\n", 1, f"tenant is no name {NAME_HINT}"),
    "unknown key": (
        f"{SOURCE}recievers: []\n",
        6,
        "unknown key recievers (did you mean receivers?)",
    ),
    "unknown key in a list": (
        SOURCE + "  tokns: []\n",
        6,
        "unknown key tokns (did you mean tokens?)",
    ),
    "unknown key in a rule's set": (
        RULE + "'true'\n  set:\n    severty: low\n",
        10,
        "unknown key severty (did you mean severity?)",
    ),
    "no list": ("tenant: acme\nsources: wazuh\n", 2, "sources must be a list"),
    "no map": ("tenant: acme\nsources:\n- wazuh\n", 3, "sources must be keys and values"),
    "repeated key": (
        SOURCE + "tenant: acme\n",
        6,
        "tenant is given twice (the first is in line 1)",
    ),
    "syntax": (SOURCE + "rules: [\n", 7, "is no YAML: "),
    # sources
    "no kind": (
        f"tenant: acme\nsources:\n- name: w\n  tokens: [{A}]\n",
        3,
        "kind is missing (add kind:)",
    ),
    "unknown kind": (
        f"tenant: acme\nsources:\n- name: w\n  kind: wazzuh\n  tokens: [{A}]\n",
        4,
        "sources.kind is not one of its values (use wazuh, alertmanager or generic)",
    ),
    "token itself": (
        "tenant: acme\nsources:\n- name: w\n  kind: wazuh\n  tokens: [hunter2]\n",
        5,
        "sources.tokens must be a SHA-256 in hexadecimal, never the token itself",
    ),
    "small bodies": (SOURCE + "  max_body: 3\n", 6, "sources.max_body must be at least 1024"),
    "large bodies": (
        SOURCE + "  max_body: 99999999\n",
        6,
        "sources.max_body must be at most 8388608",
    ),
    "closed source": (
        "tenant: acme\nsources:\n- name: w\n  kind: wazuh\n",
        3,
        "nobody can post to source w (give it the SHA-256 of a token or of a capability)",
    ),
    "source twice": (
        f"{SOURCE}- name: wazuh\n  kind: wazuh\n  tokens: [{B}]\n",
        6,
        "wazuh is the second of its name among sources (rename one)",
    ),
    "capability twice": (
        SOURCE + f"  capabilities: [{B}]\n- name: other\n  kind: wazuh\n  capabilities: [{B}]\n",
        9,
        "this capability stands already in acme.yaml:6",
    ),
    "token as capability": (
        f"{SOURCE}  capabilities:\n  - {A}\n",
        7,
        "this capability stands already in acme.yaml:5",
    ),
    "mapping of wazuh": (
        SOURCE + "  mapping: {message: event.text}\n",
        3,
        "sources has mapping or identity, which only kind generic reads (remove them)",
    ),
    "mapping onto nothing": (
        GENERIC + "  mapping: {mesage: event.text}\n",
        6,
        "sources.mapping.mesage is no field that a mapping can set; did you mean message?",
    ),
    "mapping onto what is ours": (
        GENERIC + "  mapping: {sender_severity: event.text}\n",
        6,
        "sources.mapping.sender_severity is no field that a mapping can set",
    ),
    "mapping of nothing": (
        GENERIC + "  mapping: {message: evnt.text}\n",
        6,
        "sources.mapping.message can never work: there is no variable evnt; did you mean event?",
    ),
    "identity is no CEL": (
        GENERIC + "  identity: ['event.']\n",
        6,
        "sources.identity is no CEL expression: no viable alternative at input '.' (at char",
    ),
    # rules and routes
    "rule twice": (
        f"{RULE}level > 1\n- name: one\n  when: level > 2\n",
        9,
        "one is the second of its name among rules (rename one)",
    ),
    "rule without name": (
        RULE + "level > 1\n- name: ''\n  when: level > 2\n",
        9,
        "rules.name must not be empty",
    ),
    "boolean as condition": (RULE + "true\n", 8, "rules.when must be text (put it in quotes)"),
    "no CEL": (
        RULE + "level >\n",
        8,
        "rules.when is no CEL expression: it ends too early (at character 8)",
    ),
    "no CEL in a block": (
        RULE + "|\n    level > 1\n    && > 2\n",
        8,
        "rules.when is no CEL expression: extraneous input '>'",
    ),
    "long condition": (
        f"{RULE}\"'{'x' * 5000}' == ''\"\n",
        8,
        "rules.when is no CEL expression: an expression may have at most 4096 characters",
    ),
    "unknown variable": (
        RULE + "lvl > 3\n",
        8,
        "rules.when can never work: there is no variable lvl; did you mean level?",
    ),
    "verdict in a rule": (
        RULE + "verdict.severity == 'low'\n",
        8,
        "rules.when can never work: there is no variable verdict",
    ),
    "unknown field": (
        RULE + "alert.rule.idd == '5712' && alert.agnt.name == 'x'\n",
        8,
        "rules.when can never work: there is no alert.rule.idd; did you mean id?; there is no",
    ),
    "unknown field of an observable": (
        RULE + "alert.observables.exists(o, o.val == 'x')\n",
        8,
        "rules.when can never work: there is no o.val; did you mean value?",
    ),
    "unknown function": (
        RULE + "alert.message.startswith('x')\n",
        8,
        "rules.when can never work: there is no function startswith(); did you mean startsWith?",
    ),
    "unknown severity": (
        RULE + "severity == 'High'\n",
        8,
        "rules.when can never work: there is no severity 'High'; did you mean high?",
    ),
    "bad pattern": (
        RULE + "alert.message.matches('(')\n",
        8,
        "rules.when can never work: '(' is no regular expression",
    ),
    "types that do not fit": (
        RULE + "level > '3'\n",
        8,
        "rules.when can never work: it compares or joins values of different types",
    ),
    "no condition": (
        RULE + "level\n",
        8,
        "rules.when can never work: it gives int, neither true nor false",
    ),
    "unknown severity to set": (
        RULE + "level > 1\n  set: {severity: severe}\n",
        9,
        "rules.set.severity is not one of its values (use unknown, informational, low, medium,",
    ),
    "unknown disposition": (
        RULE + "level > 1\n  set: {disposition: bad}\n",
        9,
        "rules.set.disposition is not one of its values (use benign, undecided, suspicious or",
    ),
    "rule behind a final one": (
        RULE + "'true'\n  final: true\n- name: two\n  when: level > 1\n",
        10,
        "two is never reached (one always matches and lets nothing pass)",
    ),
    "route twice": (
        ROUTE + "level > 1\n- name: one\n  when: level > 2\n  receivers: []\n",
        15,
        "one is the second of its name among routes (rename one)",
    ),
    "route behind one that always matches": (
        ROUTE + "' true '\n- name: two\n  when: level > 2\n  receivers: []\n",
        15,
        "two is never reached (one always matches and lets nothing pass)",
    ),
    "route to nobody known": (
        ROUTE + "level > 1\n- name: two\n  when: level > 2\n  receivers:\n  - mail\n  - hok\n",
        19,
        "there is no receiver hok (did you mean hook?)",
    ),
    "route without any receiver": (
        SOURCE + "routes: [{name: one, when: level > 1, receivers: [hook]}]\n",
        6,
        "there is no receiver hook (write it under receivers:)",
    ),
    "route is no CEL": (
        ROUTE + "severity_id >= 4 &&\n",
        14,
        "routes.when is no CEL expression: it ends too early (at character 20)",
    ),
    "shipped routes without receivers of theirs": (
        SOURCE + "receivers:\n- {name: page, webhook: {url: 'https://example.org'}}\n",
        6,
        "the shipped routes need a receiver named post (name one so, or write routes:)",
    ),
    "unknown fallback": (
        ROUTE + "level > 1\nfallback: mial\n",
        15,
        "there is no receiver mial (did you mean mail?)",
    ),
    # receivers
    "receiver twice": (
        WEBHOOK + "'https://example.org'\n- name: hook\n  webhook: {url: 'https://example.org'}\n",
        11,
        "hook is the second of its name among receivers (rename one)",
    ),
    "no channel": (
        SOURCE + "routes: []\nreceivers:\n- name: hook\n",
        8,
        "receivers has no channel (give it exactly one of webhook, email)",
    ),
    "two channels": (
        EMAIL + "    to: [a@example.org]\n  webhook: {url: 'https://example.org'}\n",
        8,
        "receivers has 2 channels (give it exactly one of webhook, email)",
    ),
    "no URL": (
        WEBHOOK + "example.org/hook\n",
        10,
        "receivers.webhook.url is no http:// or https:// URL (write https://host/path)",
    ),
    "other scheme": (WEBHOOK + "ftp://example.org\n", 10, "receivers.webhook.url is no http://"),
    "bad port": (WEBHOOK + "'https://h:x/'\n", 10, "receivers.webhook.url is no http://"),
    "user in URL": (
        WEBHOOK + "'https://u:p@example.org'\n",
        10,
        "receivers.webhook.url holds a user or password (send them in a header, by reference)",
    ),
    "half a reference": (
        WEBHOOK + "'vault:hook'\n",
        10,
        f"receivers.webhook.url is no complete reference {REFERENCE_HINT}",
    ),
    "plain signing secret": (
        WEBHOOK + "'https://example.org'\n    secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        11,
        "receivers.webhook.secret must be a reference to the secret, never the secret itself",
    ),
    "plain credentials in a header": (
        HEADERS + "{X-Api-Key: hunter2}\n",
        9,
        f"receivers.webhook header X-Api-Key must be a reference to the secret {REFERENCE_HINT}",
    ),
    "bad header name": (
        HEADERS + "{'a b': c}\n",
        11,
        "receivers.webhook.headers.a b is no header name",
    ),
    "header of the connection": (
        HEADERS + "{hOST: example.org}\n",
        11,
        "receivers.webhook.headers.hOST is a header that tocsin sets itself (take it out; ",
    ),
    "bad header value": (
        HEADERS + '{a: "b\\nc"}\n',
        11,
        "receivers.webhook.headers.a must be one line of printable ASCII",
    ),
    "plain password": (
        EMAIL + "    to: [a@example.org]\n    password: hunter2\n",
        13,
        "receivers.email.password must be a reference to the secret, never the secret itself",
    ),
    "no address": (
        EMAIL + "    to:\n    - a@example.org\n    - nobody\n",
        14,
        "receivers.email.to is no mail address (write name@example.org)",
    ),
    "two addresses in one": (
        EMAIL + "    to: ['a@example.org, b@example.org']\n",
        12,
        "receivers.email.to is no mail address",
    ),
    "nobody": (EMAIL + "    to: []\n", 12, "receivers.email.to must not be empty"),
    "port": (
        EMAIL + "    to: [a@example.org]\n    port: 70000\n",
        13,
        "receivers.email.port must be at most 65535",
    ),
    "security": (
        EMAIL + "    to: [a@example.org]\n    security: ssl\n",
        13,
        "receivers.email.security is not one of its values (use starttls, tls or none)",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return Path()


@pytest.mark.parametrize(("text", "line", "message"), PROBLEMS.values(), ids=PROBLEMS)
def test_problems(folder: Path, text: str, line: int, message: str) -> None:
    """Each mistake is reported once, with its file and line, what is wrong, and what to do."""
    (folder / "acme.yaml").write_text(text)
    (problem,) = survey_tenants(folder).problems
    assert str(problem).startswith(f"acme.yaml:{line}: {message}")
    with pytest.raises(ConfigError):
        load_tenants(folder)


SHARED = f"{SOURCE}- name: other\n  kind: wazuh\n  tokens: [{A}]\n"


@pytest.mark.parametrize(
    "text", [SOURCE, SHARED, ROUTE + "level > 1\n", GENERIC, WEBHOOK + "vault:a#b\n"]
)
def test_sound_files(folder: Path, text: str) -> None:
    """What the rows above begin with is sound; so is one token for two sources of a tenant."""
    (folder / "acme.yaml").write_text(text)
    assert survey_tenants(folder).problems == ()


def test_all_problems_at_once(folder: Path) -> None:
    """Problems of keys, of what they refer to, and of several files come together, in order."""
    (folder / "a.yaml").write_text(
        SOURCE + "fallback: nobody\nrules: [{name: r, when: lvl}]\nreceiver: []\n"
    )
    (folder / "b.yaml").write_text(SOURCE)
    (folder / "c.yml").write_text(SOURCE)
    places = [(problem.file, problem.line) for problem in survey_tenants(folder).problems]
    assert places == [
        ("a.yaml", 6),
        ("a.yaml", 7),
        ("a.yaml", 8),
        ("b.yaml", 1),
        ("b.yaml", 5),
        ("c.yml", 0),
    ]


def test_secrets_stay_out_of_messages(folder: Path) -> None:
    """A secret written where a reference belongs is not repeated in the message."""
    (folder / "a.yaml").write_text(
        "tenant: acme\nsources: [{name: w, kind: wazuh, tokens: [hunter2]}]\nreceivers:\n"
        "- {name: page, email: {to: [], sender: x, host: h, password: hunter2}}\n"
        "- {name: post, webhook: {url: 'hunter2', secret: hunter2, headers: {token: hunter2}}}\n"
    )
    problems = survey_tenants(folder).problems
    assert len(problems) >= 5
    assert "hunter2" not in "".join(str(problem) for problem in problems)


@pytest.mark.parametrize(
    ("name", "message"), [(".", "holds no tenant file"), ("nowhere", "is no folder")]
)
def test_no_tenants(folder: Path, name: str, message: str) -> None:
    """A folder without tenant files is a problem: nobody could post."""
    (problem,) = survey_tenants(folder / name).problems
    assert problem.message == message


def test_sound_tenants_beside_faulty_ones(folder: Path) -> None:
    """A survey gives the tenants whose own file is sound, whatever is wrong with others."""
    (folder / "a.yaml").write_text(SOURCE)
    (folder / "b.yaml").write_text(f"{SOURCE}extra: 1\n".replace("acme", "other").replace(A, B))
    survey = survey_tenants(folder)
    assert list(survey.tenants) == ["acme"]
    assert [problem.file for problem in survey.problems] == ["b.yaml"]
    assert survey.files == 2


def test_file_references_start_at_their_file(folder: Path) -> None:
    """A relative `file:` reference is meant from the folder of the tenant file."""
    (folder / "t").mkdir()
    (folder / "t" / "acme.yaml").write_text(WEBHOOK + "'file:url'\n    secret: 'file:/etc/s'\n")
    webhook = load_tenants(folder / "t")[TenantName("acme")].receivers[0].webhook
    assert webhook is not None
    assert (webhook.url, webhook.secret) == ("file:t/url", "file:/etc/s")


def test_classifier_and_router(folder: Path) -> None:
    """Rules and routes of a file do what it says."""
    (folder / "acme.yaml").write_text(
        ROUTE.replace(
            "tenant: acme\n",
            "tenant: acme\nrules:\n- {name: r, when: level > 9, final: true, "
            "set: {severity: low, disposition: benign}}\n- {name: s, when: level > 8}\n",
        )
        + "severity == 'low'\n  continue: true\n- {name: two, when: 'true', receivers: [mail]}\n"
    )
    config = load_tenants(folder)[TenantName("acme")]
    alert = Alert(tenant=TenantName("acme"), source="wazuh", id=AlertId("0"), level=10)
    verdict = config.classifier().judge(alert).verdict
    assert verdict.reasons == ("r",)
    assert (verdict.severity, verdict.disposition) == (Severity.LOW, Disposition.BENIGN)
    routing = config.router().route(alert, verdict)
    assert (routing.route, routing.receivers) == ("one+two", ("hook", "mail"))


@pytest.mark.parametrize(
    ("severity", "route"),
    [
        (Severity.CRITICAL, "page"),
        (Severity.HIGH, "page"),
        (Severity.MEDIUM, "post"),
        (Severity.LOW, "store"),
        (Severity.UNKNOWN, "store"),
    ],
)
def test_shipped_routes(severity: Severity, route: str) -> None:
    """High and above pages, medium posts, below is only stored; so is all without receivers."""
    receivers = [
        {"name": name, "webhook": {"url": "https://example.org"}} for name in ("page", "post")
    ]
    alert = Alert(tenant=TenantName("acme"), source="wazuh", id=AlertId("0"))
    verdict = Verdict(severity=severity)
    config = TenantConfig.model_validate({"tenant": "acme", "receivers": receivers})
    assert config.router().route(alert, verdict).route == route
    bare = TenantConfig.model_validate({"tenant": "acme"})
    assert bare.router().route(alert, verdict).route == "store"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from([A, "hook"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "kind", "tokens", "when", "receivers", "webhook", "url"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)
GROUPS = st.sampled_from(["tenant", "sources", "rules", "receivers", "routes", "fallback"])


@given(st.dictionaries(GROUPS, JSON, max_size=6))
def test_any_shape(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]) -> None:
    """Whatever shape a tenant file has, the lint ends with an answer."""
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    (folder / "any.yaml").write_text(yaml.safe_dump(data))
    survey = survey_tenants(folder)
    assert bool(survey.tenants) != bool(survey.problems)


def test_one_tenants_mistake_stops_no_other(folder: Path) -> None:
    """A process runs with the sound tenants; what is wrong in the others is a problem of theirs."""
    (folder / "acme.yaml").write_text(SOURCE)
    (folder / "other.yaml").write_text("tenant: other\nroutes: 7\n")
    assert list(load_tenants(folder)) == ["acme"]
    assert survey_tenants(folder).problems
