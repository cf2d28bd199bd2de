"""Whatever is wrong in a configuration file, its problem says where and what to do."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from console.commands import config
from tocsin.documents import LARGEST, Where
from tocsin.errors import ConfigError, Problem
from tocsin.nodes import DEEPEST
from tocsin.settings import load_settings
from tocsin.tenant_files import load_tenants, survey_files

TENANT: dict[str, Any] = {
    "tenant": "acme",
    "sources": [
        {
            "name": "w",
            "kind": "generic",
            "tokens": ["a" * 64],
            "capabilities": ["b" * 64],
            "max_body": 4096,
            "mapping": {"rule.id": "event.id"},
            "identity": ["event.id"],
        }
    ],
    "rules": [{"name": "r", "when": "level > 3", "set": {"severity": "low"}, "final": False}],
    "receivers": [
        {
            "name": "page",
            "webhook": {
                "url": "https://a.example",
                "secret": "env:SECRET",
                "headers": {"X-Team": "soc"},
            },
        },
        {
            "name": "mail",
            "email": {
                "to": ["a@b.example"],
                "sender": "a@b.example",
                "host": "smtp",
                "port": 25,
                "security": "tls",
                "username": "u",
                "password": "env:PASSWORD",
            },
        },
    ],
    "routes": [{"name": "all", "when": "true", "receivers": ["page"], "continue": True}],
    "fallback": "mail",
}
SETTINGS: dict[str, Any] = {
    "tenants": "tenants",
    "receiver": {"listen": "127.0.0.1:1", "insecure": False, "max_events": 1},
    "worker": {"batch": 1, "ack_wait": "10s", "sandbox": False},
    "api": {"operator_token": "env:TOKEN", "tls_cert": "c", "tls_key": "k"},
    "nats": {"url": "nats://h:1", "credentials": "c", "keep": "7d"},
    "temporal": {"address": "h:1", "namespace": "n", "ui": "https://h"},
    "postgres": {"dsn": "env:DSN", "pool": 8},
    "vault": {"address": "https://h", "token": "env:TOKEN", "ca_cert": "c"},
    "outbound": {"allow_private": False, "timeout": "1s"},
}
ODD: tuple[Any, ...] = (
    None,
    "",
    " ",
    "x y",
    "vault:",
    7,
    -1,
    0.5,
    10**30,
    True,
    [],
    [7],
    {},
    {7: 7},
)
ODD += ("0s", "9999999999d", "a\nb", float("inf"), [["x"]], {"unknown": "key"})
CONTENT = {
    "no UTF-8": (b"a: 1\nb: caf\xe9\n", 2),
    "control character": (b"a: 1\nb: \x07\n", 2),
    "bracket": (b"a: 1\nb: [\n", 3),
    "tab": (b"a:\n\tb: 1\n", 2),
    "tag": (b"a: 1\nb: !!python/name:os {}\n", 2),
    "merge": (b"a: &a {b: 1}\nc:\n  <<: *a\n", 3),
    "list": (b"- a\n", 1),
    "text": (b"hello\n", 1),
    "deep": (b"a: 1\nb: " + b"[" * (DEEPEST + 5) + b"]" * (DEEPEST + 5) + b"\n", 2),
    "very deep": (b"a: 1\nb: " + b"[" * 5000 + b"]" * 5000 + b"\n", 2),
    "alias to itself": (b"a: 1\nb: &b\n  c: *b\n", 2),
    "number": (b"a: 1\nb: " + b"9" * 5000 + b"\n", 2),
    "twice": (b"tenant: a\ntenant: a\n", 2),
    "no character": (b'a: 1\nb: "\\UFFFFFFFF"\n', 2),
    "half a character": (b'a: 1\nb: "\\uD800"\n', 2),
    "endless version": (b"%YAML " + b"9" * 5000 + b".1\n", 1),
}
MISTYPED = (
    "!!bool nope",
    "!!bool ''",
    "!!int x",
    "!!int ''",
    "!!int '+'",
    "!!int 1:x",
    "!!int 0x",
    "!!int 0b2",
    "!!int {}",
    "!!float ''",
    "!!float -",
    "!!float 1e",
    f"!!float 1{':00' * 300}",
    "!!null [a]",
    "!!str {a: b}",
    "!!timestamp [x]",
    "!!binary x",
    "!!set {a, b}",
    "!!omap [a: b]",
    "!!pairs [a: b]",
    "!!map x",
    "!!seq {}",
    "!!python/object/apply:os.system [ls]",
    "!<tag:example.org,2026:x> x",
)


def places(data: Any, where: Where = ()) -> Iterator[Where]:
    """The path of every value within a document."""
    steps = data.items() if isinstance(data, dict) else enumerate(data)
    for step, value in steps:
        yield (*where, step)
        if isinstance(value, dict | list):
            yield from places(value, (*where, step))


def spoilt(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The document with one value gone, or odd, each in turn."""
    for *way, last in places(data):
        for odd in (places, *ODD):
            broken = copy.deepcopy(data)
            parent: Any = broken
            for step in way:
                parent = parent[step]
            if odd is places:
                del parent[last]
            else:
                parent[last] = odd
            yield broken


def problems_of(file: Path, content: bytes, *, tenant: bool) -> tuple[Problem, ...]:
    """What is wrong in a file of that content."""
    file.write_bytes(content)
    if tenant:
        return survey_files([file]).problems
    try:
        load_settings(file)
    except ConfigError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("tenant", [True, False])
def test_every_problem_helps(tmp_path: Path, tenant: bool) -> None:  # noqa: FBT001 - a parameter
    """A value that is missing or cannot be is told with file, line and a hint."""
    file = tmp_path / "file.yaml"
    sound = TENANT if tenant else SETTINGS
    assert problems_of(file, yaml.safe_dump(sound).encode(), tenant=tenant) == ()
    found = 0
    for broken in spoilt(sound):
        content = yaml.safe_dump(broken, sort_keys=False).encode()
        for problem in problems_of(file, content, tenant=tenant):
            found += 1
            assert problem.file == str(file), (problem, content.decode())
            assert problem.line, (problem, content.decode())
            assert problem.hint, (problem, content.decode())
    assert found > 300


@pytest.mark.parametrize(("content", "line"), CONTENT.values(), ids=CONTENT)
def test_every_unreadable_content_helps(tmp_path: Path, content: bytes, line: int) -> None:
    """What cannot be read as plain data is told with file, line and a hint."""
    file = tmp_path / "file.yaml"
    for tenant in (True, False):
        first, *_ = problems_of(file, content, tenant=tenant)
        assert (first.file, first.line) == (str(file), line)
        assert first.hint


@pytest.mark.parametrize("value", MISTYPED)
def test_every_mistyped_tag_helps(tmp_path: Path, value: str) -> None:
    """A tag that does not fit its value is told with file, line and a hint."""
    test_every_unreadable_content_helps(tmp_path, f"a: 1\nb: {value}\n".encode(), 2)


def test_whole_files_help(tmp_path: Path) -> None:
    """A file that cannot be read, or is too large, has no line, but a hint."""
    large = tmp_path / "large.yaml"
    large.write_bytes(b"a" * (LARGEST + 1))
    for file in (large, tmp_path / "absent.yaml", tmp_path):
        (problem,) = survey_files([file]).problems
        assert problem.hint


def test_clashes_help(tmp_path: Path) -> None:
    """A tenant, token or capability of two files is told with file, line and a hint."""
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    for file in files:
        file.write_text(yaml.safe_dump(TENANT, sort_keys=False))
    problems = survey_files(files).problems
    assert len(problems) == 3
    assert all(each.file == str(files[1]) and each.line and each.hint for each in problems)


def test_known_names_stand_once(tmp_path: Path) -> None:
    """Where nothing is near, each known name is listed once."""
    twice = TENANT | {"receivers": [TENANT["receivers"][0]] * 2, "fallback": "nobody"}
    content = yaml.safe_dump(twice).encode()
    problems = problems_of(tmp_path / "file.yaml", content, tenant=True)
    assert "known are page" in {each.hint for each in problems}


@pytest.mark.parametrize("value", ["!!bool nope", "!!int ''", "!!float '-'", '"\\uD800"'])
def test_mistyped_tag_stops_no_other_tenant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    """Beside a file with a mistyped tag the sound ones are loaded, and it is told."""
    (tmp_path / "acme.yaml").write_text(yaml.safe_dump(TENANT))
    (tmp_path / "beta.yaml").write_text(f"tenant: beta\nfallback: {value}\n")
    assert list(load_tenants(tmp_path)) == ["acme"]
    assert "beta.yaml:2: " in capsys.readouterr().out


def test_lint_ends_by_itself_at_a_mistyped_tag(tmp_path: Path) -> None:
    """`config lint` prints a mistyped tag as a problem of its line, and ends with 2."""
    file = tmp_path / "beta.yaml"
    file.write_text("tenant: beta\nfallback: !!bool nope\n")
    ran = CliRunner().invoke(config.app, ["lint", str(file)])
    assert (ran.exit_code, ran.stdout.partition(" is ")[0]) == (2, f"{file}:2:")
