"""Settings: which source wins, and what is said of a wrong one."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tocsin.errors import ConfigError
from tocsin.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no variable of ours."""
    monkeypatch.chdir(tmp_path)
    for name in ("TOCSIN_CONFIG", "TOCSIN_DATA_DIR", "TOCSIN_URL", "TOCSIN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(text: str, name: str = "tocsin.yaml") -> Path:
    """A file in the working directory."""
    file = Path(name)
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def problems(config: Path | None = None, flags: dict[str, Any] | None = None) -> list[str]:
    """What is said of settings that are wrong."""
    with pytest.raises(ConfigError) as caught:
        load_settings(config, flags)
    return [str(problem) for problem in caught.value.problems]


def test_defaults() -> None:
    """Without any source, the defaults hold."""
    assert load_settings() == Settings()


def test_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag wins over a variable, a variable over the file, the file over the default."""
    write("worker: {batch: 1, in_flight: 1, max_attempts: 1}\n")
    monkeypatch.setenv("TOCSIN_WORKER_BATCH", "2")
    monkeypatch.setenv("TOCSIN_WORKER_IN_FLIGHT", "2")
    worker = load_settings(flags={"worker.batch": 3, "worker.in_flight": None}).worker
    assert (worker.batch, worker.in_flight, worker.max_attempts) == (3, 2, 1)
    assert worker.sweep_interval == Settings().worker.sweep_interval


def test_which_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is the one given, else the one TOCSIN_CONFIG names, else ./tocsin.yaml."""
    write("nats: {user: here}\n")
    assert load_settings().nats.user == "here"
    monkeypatch.setenv("TOCSIN_CONFIG", str(write("nats: {user: named}\n", "named.yaml")))
    assert load_settings().nats.user == "named"
    assert load_settings(write("nats: {user: given}\n", "given.yaml")).nats.user == "given"


def test_file_that_is_not_there() -> None:
    """A file that was named and is not there is a problem."""
    hint = "name a file that is there, and that we may read"
    message = f"no.yaml: cannot be read: No such file or directory ({hint})"
    assert problems(Path("no.yaml")) == [message]


def test_relative_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in the file start at its folder, those in variables where the process runs."""
    file = write(
        "tenants: tenants\nreceiver: {tls_cert: a.pem, tls_key: /etc/b.pem}\n"
        "nats: {password: 'file:secret'}\n",
        "etc/tocsin.yaml",
    )
    monkeypatch.setenv("TOCSIN_DATA_DIR", "data")
    settings = load_settings(file)
    assert settings.tenants == Path("etc/tenants")
    assert settings.receiver.tls_cert == Path("etc/a.pem")
    assert settings.receiver.tls_key == Path("/etc/b.pem")
    assert settings.nats.password == "file:etc/secret"
    assert settings.data_dir == Path("data")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("1.5s", timedelta(seconds=1.5)),
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("1h30m", timedelta(minutes=90)),
    ],
)
def test_durations(text: str, length: timedelta) -> None:
    """A duration is written with its units."""
    assert load_settings(write(f"nats: {{keep: {text}}}\n")).nats.keep == length


DURATION = "must be a duration (write it with its unit, for example 30s, 5m, 2h or 7d)"
REFERENCE = (
    "must be a reference to the secret, never the secret itself"
    " (write vault:path#key, env:NAME or file:path)"
)
LISTEN = "must be ADDRESS:PORT (for example 127.0.0.1:8080 or [::]:8080)"
LOCAL = "must be a reference outside the vault it opens (write env:NAME or file:path)"
WHOLE = "must be a whole number (write it in digits)"
POSITIVE = "must be more than 0 (raise it, or leave it out for the default)"
WRONG = {
    "unknown section": (
        "natts: {}",
        "unknown key natts (did you mean nats?)",
    ),
    "unknown key": ("nats: {urll: x}", "unknown key urll (did you mean url?)"),
    "key like no other": (
        "outbound: {zzz: 1}",
        "unknown key zzz (known are allow_private, timeout)",
    ),
    "no section": (
        "nats: hello",
        "nats must be keys and values (write key: value on lines of its own, indented, below it)",
    ),
    "whole number": ("worker: {batch: many}", f"worker.batch {WHOLE}"),
    "positive number": ("worker: {batch: 0}", f"worker.batch {POSITIVE}"),
    "true or false": (
        "worker: {sandbox: perhaps}",
        "worker.sandbox must be true or false (write it without quotes)",
    ),
    "text": ("nats: {user: 5}", "nats.user must be text (put it in quotes)"),
    "path": ("tenants: [a]", "tenants must be a path (write it as text)"),
    "duration without unit": ("nats: {keep: 5}", f"nats.keep {DURATION}"),
    "duration in words": ("nats: {keep: a week}", f"nats.keep {DURATION}"),
    "no duration": (
        "nats: {keep: 0s}",
        "nats.keep must be longer than nothing (write at least 1ms)",
    ),
    "endless duration": (
        "nats: {keep: 9999999999999d}",
        "nats.keep is too long a time (write a shorter one)",
    ),
    "listen": (
        "api: {listen: localhost}",
        f"api.listen {LISTEN}",
    ),
    "port": (
        "api: {listen: 'localhost:99999'}",
        f"api.listen {LISTEN}",
    ),
    "half of TLS": (
        "api: {tls_cert: a}",
        "api has one of tls_cert and tls_key (give both, or none for plain HTTP)",
    ),
    "plain secret": ("nats: {password: hunter2}", f"nats.password {REFERENCE}"),
    "half a reference": (
        "postgres: {dsn: 'vault:path'}",
        "postgres.dsn is no complete reference (write vault:path#key, env:NAME or file:path)",
    ),
    "vault in itself": (
        "vault: {secret_id: 'vault:a#b'}",
        f"vault.secret_id {LOCAL}",
    ),
    "vault address": (
        "vault: {address: 'vault:8200'}",
        "vault.address is no http:// or https:// URL (write https://host/path)",
    ),
    "nats address": (
        "nats: {url: 'localhost:4222'}",
        "nats.url is no NATS address (write nats://host:4222, several with commas between)",
    ),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_wrong_files(text: str, message: str) -> None:
    """What is wrong in the file is said with its line, and what to do about it."""
    assert problems(write(f"# settings\n{text}\n")) == [f"tocsin.yaml:2: {message}"]


def test_every_source_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Problems of flags, variables and the file come together, each with its place."""
    write("worker:\n  batch: x\n  batsch: 1\n")
    monkeypatch.setenv("TOCSIN_WORKER_IN_FLIGHT", "-1")
    monkeypatch.setenv("TOCSIN_NATS_URLL", "nats://x")
    assert problems(flags={"api.listen": "here"}) == [
        "TOCSIN_NATS_URLL: unknown key urll (did you mean url?)",
        f"TOCSIN_WORKER_IN_FLIGHT: worker.in_flight {POSITIVE}",
        f"flag api.listen: api.listen {LISTEN}",
        f"tocsin.yaml:2: worker.batch {WHOLE}",
        "tocsin.yaml:3: unknown key batsch (did you mean batch?)",
    ]


def test_variables_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables for references, of an orchestrator, or without a value set nothing."""
    monkeypatch.setenv("TOCSIN_POSTGRES_URL", "postgresql://localhost")
    monkeypatch.setenv("TOCSIN_OPERATOR_TOKEN", "secret")
    monkeypatch.setenv("TOCSIN_NATS_PORT", "tcp://10.0.0.1:4222")
    monkeypatch.setenv("TOCSIN_TEST_DATA", "data")
    monkeypatch.setenv("TOCSIN_NATS_URL", "")
    assert load_settings() == Settings()


def test_values_stay_out_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message never repeats a value: it may be a secret in the wrong place."""
    write("nats: {password: hunter2, url: hunter2, keep: hunter2}\nvault: {address: hunter2}\n")
    monkeypatch.setenv("TOCSIN_API_OPERATOR_TOKEN", "hunter2")
    assert "hunter2" not in "".join(problems())
