"""The files that the operator of a stack may edit: `tocsin.yaml` and the demo tenant.

They are written at the first start only; afterwards they belong to the operator.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from console.embedded.files import write_private
from console.embedded.state import State, fingerprint
from tocsin.documents import check
from tocsin.layers import from_file, from_flags, from_variables, overlaid
from tocsin.settings import PREFIX, Settings

DEMO = "demo"
SMTP_USER = "tocsin"
# Fields of the alert, and what senders that nobody wrote a parser for tend to call them.
GENERIC_FIELDS = {
    "source_event_id": "id",
    "rule.id": "rule",
    "rule.description": "title",
    "severity": "severity",
    "time": "time",
    "agent.name": "host",
    "source_address": "source_ip",
    "message": "message",
}


def write_missing(directory: Path, state: State, postgres: str) -> Path:
    """Write what is not there yet, and the files that hold its secrets.

    Args:
        directory: The data directory.
        state: Ports and secrets.
        postgres: URL of the database.

    Returns:
        The path of `tocsin.yaml`.
    """
    for name, value in _referenced(state, postgres).items():
        path = directory / "secrets" / name
        if not path.exists() or path.read_text(encoding="utf-8") != value:
            write_private(path, value)
    configuration = directory / "tocsin.yaml"
    _write_new(configuration, stack_settings(state))
    _write_new(directory / "tenants" / f"{DEMO}.yaml", demo_tenant(state))
    return configuration


def tenant_names(directory: Path) -> list[str]:
    """Name the tenants of the data directory, the demo's among them."""
    files = (directory / "tenants").glob("*.yaml")
    return sorted({DEMO, *(path.stem for path in files)})


def stack_settings(state: State) -> dict[str, Any]:
    """Settings of the embedded stack, as `tocsin.yaml` holds them; paths start at its folder."""
    ports = state.ports
    return {
        "tenants": "tenants",
        "data_dir": ".",
        "receiver": {"listen": f"127.0.0.1:{ports['receiver']}"},
        "worker": {"metrics_listen": f"127.0.0.1:{ports['worker']}"},
        "api": {
            "listen": f"127.0.0.1:{ports['api']}",
            "operator_token": "file:secrets/operator_token",
        },
        "nats": {
            "url": f"nats://127.0.0.1:{ports['nats']}",
            "user": "tocsin",
            "password": "file:secrets/nats_password",
            "max_bytes": state.store_bytes // 2,
        },
        "temporal": {
            "address": f"127.0.0.1:{ports['temporal']}",
            "ui": f"http://127.0.0.1:{ports['temporal_ui']}",
        },
        "postgres": {"dsn": "file:secrets/postgres_dsn"},
        "vault": {
            "address": f"http://127.0.0.1:{ports['vault']}",
            "role_id": state.secrets["role_id"],
            "secret_id": "file:secrets/vault_secret_id",
        },
        "outbound": {"allow_private": True},
    }


def own_environment(state: State) -> dict[str, str]:
    """Environment of our processes: all of ours, but for what the stack decides.

    `TOCSIN_NATS_URL` in the operator's shell may name the servers of a production that an
    embedded worker must not reach.
    """
    decided = {"TOCSIN_CONFIG"}
    for section, values in stack_settings(state).items():
        names = [f"{section}_{key}" for key in values] if isinstance(values, dict) else [section]
        decided.update(f"TOCSIN_{name}".upper() for name in names)
    return {name: value for name, value in os.environ.items() if name not in decided}


def own_settings(
    configuration: Path, environment: Mapping[str, str], flags: Mapping[str, object]
) -> Settings:
    """Read the settings as our processes will.

    Args:
        configuration: Their `tocsin.yaml`, which the operator may have changed.
        environment: Their variables.
        flags: What they are told beside, by the name of the setting.

    Raises:
        ConfigError: With everything that is wrong in all of them.
    """
    layers = (
        from_file(configuration, Settings),
        from_variables(environment, PREFIX, Settings),
        from_flags(flags),
    )
    return check(Settings, overlaid(layers))


def demo_tenant(state: State) -> dict[str, Any]:
    """A tenant that hears of everything in the demo's own inbox."""
    inbox = f"http://127.0.0.1:{state.ports['inbox_http']}"
    tokens = [fingerprint(state.secrets["token"])]
    return {
        "tenant": DEMO,
        "sources": [
            {
                "name": "wazuh",
                "kind": "wazuh",
                "tokens": tokens,
                "capabilities": [fingerprint(state.secrets["capability"])],
            },
            {"name": "alertmanager", "kind": "alertmanager", "tokens": tokens},
            {
                "name": "generic",
                "kind": "generic",
                "tokens": tokens,
                "mapping": {name: f"event.{key}" for name, key in GENERIC_FIELDS.items()},
                "identity": ["event.id"],
            },
        ],
        "receivers": [
            {"name": "page", "webhook": {"url": f"{inbox}/page"}},
            {"name": "post", "webhook": {"url": f"{inbox}/post"}},
            {"name": "mail", "email": _mail(state)},
        ],
        "routes": [
            {"name": "page", "when": "severity_id >= 4", "receivers": ["page", "mail"]},
            {"name": "post", "when": "severity_id == 3", "receivers": ["post"]},
        ],
        "fallback": "mail",
    }


def _mail(state: State) -> dict[str, Any]:
    return {
        "to": ["soc@example.org"],
        "sender": "tocsin@example.org",
        "host": "127.0.0.1",
        "port": state.ports["inbox_smtp"],
        "security": "none",
        "username": SMTP_USER,
        "password": "vault:smtp#password",
    }


def _referenced(state: State, postgres: str) -> dict[str, str]:
    return {
        "postgres_dsn": postgres,
        "nats_password": state.secrets["nats"],
        "operator_token": state.secrets["operator_token"],
        "smtp_password": state.secrets["smtp"],
        "vault_secret_id": state.secrets["secret_id"],
    }


def _write_new(path: Path, content: dict[str, Any]) -> None:
    if not path.exists():
        write_private(path, yaml.safe_dump(content, sort_keys=False))
