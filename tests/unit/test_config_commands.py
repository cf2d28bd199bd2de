"""`config lint` and `secrets check`: what they print, and how they end."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from console.commands import config, secrets

TENANT = "tenant: acme\nsources:\n- {name: w, kind: wazuh, tokens: [" + "a" * 64 + "]}\n"
MAIL = """\
routes: []
receivers:
- name: mail
  email: {to: [a@b.c], sender: a@b.c, host: smtp, password: 'env:SMTP_PASSWORD'}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with sound settings and one sound tenant."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOCSIN_CONFIG", raising=False)
    monkeypatch.setenv("TOCSIN_OPERATOR_TOKEN", "hunter2")
    monkeypatch.setenv("TOCSIN_POSTGRES_URL", "hunter2")
    monkeypatch.setenv("SMTP_PASSWORD", "hunter2")
    Path("tocsin.yaml").write_text("tenants: t\n")
    Path("t").mkdir()
    Path("t/acme.yaml").write_text(TENANT + MAIL)
    return tmp_path


def lint(*arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines of `config lint`."""
    result = CliRunner().invoke(config.app, ["lint", *arguments])
    return result.exit_code, result.stdout.splitlines()


def check(*arguments: str) -> tuple[int, list[str]]:
    """Exit code and lines of `secrets check`."""
    result = CliRunner().invoke(secrets.app, ["check", *arguments])
    return result.exit_code, result.stdout.splitlines()


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        ([], "2 files"),
        (["--config", "tocsin.yaml"], "2 files"),
        (["t"], "1 file"),
        (["t/acme.yaml"], "1 file"),
        (["tocsin.yaml"], "1 file"),
        (["tocsin.yaml", "t/acme.yaml"], "2 files"),
    ],
)
def test_sound_files(arguments: list[str], files: str) -> None:
    """Sound files are counted, and the command ends with 0."""
    assert lint(*arguments) == (0, [f"{files}, no problems"])


@pytest.mark.parametrize("arguments", [[], ["--config", "tocsin.yaml"], ["tocsin.yaml", "t"]])
def test_problems(arguments: list[str]) -> None:
    """Problems of settings and tenants are printed one a line, and the command ends with 2."""
    Path("tocsin.yaml").write_text("tenants: t\nnatts: {}\n")
    Path("t/acme.yaml").write_text(f"{TENANT}fallback: nobody\n")
    assert lint(*arguments) == (
        2,
        [
            "t/acme.yaml:4: there is no receiver nobody (write it under receivers:)",
            "tocsin.yaml:2: unknown key natts (did you mean nats?)",
        ],
    )


def test_problems_as_json() -> None:
    """With --json, each problem is an object on its line, and nothing else is printed."""
    Path("t/acme.yaml").write_text(f"{TENANT}fallback: nobody\n")
    code, lines = lint("--json")
    assert code == 2
    assert [json.loads(line) for line in lines] == [
        {
            "file": "t/acme.yaml",
            "line": 4,
            "message": "there is no receiver nobody",
            "hint": "write it under receivers:",
        }
    ]
    Path("t/acme.yaml").write_text(TENANT)
    assert lint("--json") == (0, [])


def test_unreadable_settings() -> None:
    """Settings that are no YAML do not hide what is wrong elsewhere."""
    Path("tocsin.yaml").write_text("nats: [\n")
    code, lines = lint()
    assert code == 2
    assert [line.partition(" ")[0] for line in lines] == ["tenants:", "tocsin.yaml:2:"]


def test_file_that_is_not_there() -> None:
    """A path that leads nowhere is a problem."""
    code, (line,) = lint("no.yaml")
    assert code == 2
    assert line.startswith("no.yaml: cannot be read: No such file or directory (")


def test_all_secrets_there() -> None:
    """Each reference is printed with where it stands and that it is fine, never its value."""
    assert check() == (
        0,
        [
            "api.operator_token: env:TOCSIN_OPERATOR_TOKEN: ok",
            "postgres.dsn: env:TOCSIN_POSTGRES_URL: ok",
            "acme: receivers.mail.email.password: env:SMTP_PASSWORD: ok",
        ],
    )


def test_secret_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is missing is printed with what is wrong, and the command ends with 1."""
    monkeypatch.delenv("SMTP_PASSWORD")
    code, lines = check("--json")
    assert code == 1
    assert json.loads(lines[-1]) == {
        "where": "acme: receivers.mail.email.password",
        "reference": "env:SMTP_PASSWORD",
        "ok": False,
        "problem": "the variable SMTP_PASSWORD is not set",
    }
    assert "hunter2" not in "".join(lines)
