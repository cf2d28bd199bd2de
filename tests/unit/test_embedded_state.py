"""What a data directory remembers, and what is written into it for the operator."""

from pathlib import Path

import pytest

from console.embedded import configuration, state
from console.embedded.state import PORTS, SECRETS, fingerprint
from tocsin.documents import check
from tocsin.domain.alert import TenantName
from tocsin.layers import from_file
from tocsin.settings import Settings
from tocsin.tenant_files import load_tenants

DSN = "postgresql://tocsin:hidden@127.0.0.1:1/tocsin"

# The kernel's default, `net.ipv4.ip_local_port_range`.
FIRST_EPHEMERAL = 32_768


def test_state_is_chosen_once(tmp_path: Path) -> None:
    """What was chosen at the first start is what every later start reads."""
    first = state.load(tmp_path, ["demo"])
    assert state.load(tmp_path, ["demo"]) == first
    assert set(first.ports) == set(PORTS)
    assert len(set(first.ports.values())) == len(PORTS)
    assert max(first.ports.values()) < FIRST_EPHEMERAL
    assert set(first.secrets) == set(SECRETS)


def test_older_state_gains_what_is_new(tmp_path: Path) -> None:
    """A state written before a port, secret or tenant existed keeps its own and gains the rest."""
    (tmp_path / "state.json").write_text('{"ports":{"nats":4222},"secrets":{"nats":"kept"}}')
    loaded = state.load(tmp_path, ["new"])
    assert loaded.ports["nats"] == 4222
    assert loaded.secrets["nats"] == "kept"
    assert set(loaded.ports) == set(PORTS)
    assert loaded.tenants["new"]


def test_state_is_private(tmp_path: Path) -> None:
    """The file with all secrets is mode 0600 from the beginning."""
    state.load(tmp_path, [])
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_settings_file_is_valid(tmp_path: Path) -> None:
    """The settings written for a stack are settings, and carry no secret."""
    chosen = state.load(tmp_path, [])
    file = configuration.write_missing(tmp_path, chosen, DSN)
    settings = check(Settings, from_file(file, Settings))
    assert settings.postgres.dsn == f"file:{tmp_path / 'secrets' / 'postgres_dsn'}"
    assert settings.tenants == tmp_path / "tenants"
    kept = {value for name, value in chosen.secrets.items() if name != "role_id"}
    assert not any(secret in file.read_text() for secret in kept)


def test_demo_tenant_is_valid(tmp_path: Path) -> None:
    """The demo's tenant file has no problem, and opens by fingerprint only."""
    chosen = state.load(tmp_path, [])
    configuration.write_missing(tmp_path, chosen, DSN)
    demo = load_tenants(tmp_path / "tenants")[TenantName("demo")]
    token, capability = chosen.secrets["token"], chosen.secrets["capability"]
    assert {source.kind for source in demo.sources} == {"wazuh", "alertmanager", "generic"}
    assert all(fingerprint(token) in source.tokens for source in demo.sources)
    assert demo.sources[0].capabilities == (fingerprint(capability),)
    text = (tmp_path / "tenants" / "demo.yaml").read_text()
    assert token not in text
    assert capability not in text


def test_environment_names_no_other_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server named in the operator's shell is hidden from our processes; tuning is not."""
    monkeypatch.setenv("TOCSIN_NATS_URL", "nats://production")
    monkeypatch.setenv("TOCSIN_WORKER_IN_FLIGHT", "7")
    passed = configuration.own_environment(state.load(tmp_path, []))
    assert "TOCSIN_NATS_URL" not in passed
    assert passed["TOCSIN_WORKER_IN_FLIGHT"] == "7"
