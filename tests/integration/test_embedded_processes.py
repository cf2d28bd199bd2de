"""Our own processes under the stack: the whole of it, and a receiver that others can reach."""

import shutil
import ssl
import time
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from console.embedded.options import PARTS, StackOptions
from console.embedded.state import choose_ports
from tests.certificates import make_certificate
from tests.stack import eventually, running_command, running_stack
from tocsin.errors import ConfigError

TEN_SECONDS = timedelta(seconds=10)
EDGE = frozenset({"nats", "migrate", "receiver"})


def test_whole_stack_is_ready_and_drained_within_ten_seconds(tmp_path: Path) -> None:
    """Every part of a new data directory is ready within 10 s, and drained within 10 s.

    The best of three counts: what else the machine does at the moment is not the stack's.
    """
    times = []
    for attempt in range(3):
        times.append(once(tmp_path / str(attempt)))
        if max(times[-1]) < TEN_SECONDS.total_seconds():
            return
    pytest.fail(f"seconds to be ready and to drain: {times}")


def once(folder: Path) -> tuple[float, float]:
    """Start and end a whole stack, and give the seconds that both took."""
    began = time.monotonic()
    with running_command(folder, only=PARTS) as running:
        found = running.endpoints
        ready = time.monotonic() - began
        answers = [httpx.get(url, trust_env=False) for url in found.metrics.values()]
        asked = time.monotonic()
        code, _ = running.end()
    assert {answer.status_code for answer in answers} == {httpx.codes.OK}
    assert set(found.pids) == set(PARTS) - {"migrate"}
    assert code == 0
    return ready, time.monotonic() - asked


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_receiver_speaks_tls_to_others(tmp_path: Path) -> None:
    """Asked to listen elsewhere with a certificate, the receiver takes alerts over TLS there."""
    cert, key = make_certificate(tmp_path, "IP:127.0.0.1")
    listen = f"0.0.0.0:{choose_ports(['receiver'])['receiver']}"
    options = StackOptions(
        data_dir=tmp_path / "data",
        without=frozenset(PARTS) - EDGE,
        listen=listen,
        tls_cert=cert,
        tls_key=key,
    )
    with (
        running_stack(options) as running,
        httpx.Client(verify=ssl.create_default_context(cafile=cert), trust_env=False) as client,
    ):
        assert running.endpoints.receiver.startswith("https://127.0.0.1:")
        assert client.get(f"{running.endpoints.receiver}/readyz").status_code == httpx.codes.OK


def test_receiver_refuses_to_be_plain_to_others(tmp_path: Path) -> None:
    """Asked to listen elsewhere without TLS or leave to do without, the stack does not start."""
    options = StackOptions(
        data_dir=tmp_path,
        without=frozenset(PARTS) - EDGE,
        listen=f"0.0.0.0:{choose_ports(['receiver'])['receiver']}",
    )
    with pytest.raises(ConfigError, match="--insecure"), running_stack(options):
        pytest.fail("it started")


def test_variables_reach_receiver_and_probe_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the operator's shell says of the receiver holds for it and is checked like a flag."""
    monkeypatch.setenv("TOCSIN_RECEIVER_TLS_CERT", "cert.pem")
    options = StackOptions(data_dir=tmp_path, without=frozenset(PARTS) - EDGE)
    with pytest.raises(ConfigError, match="tls_key"), running_stack(options):
        pytest.fail("it started")


@pytest.mark.parametrize(
    ("only", "gaps"),
    [
        (
            {"migrate", "receiver", "api"},
            {
                "receiver needs nats, left out of this start",
                "api needs postgres and nats, left out of this start",
            },
        ),
        ({"nats", "receiver"}, {"receiver needs migrate, left out of this start"}),
    ],
)
def test_process_runs_without_what_was_left_out(
    tmp_path: Path, only: set[str], gaps: set[str]
) -> None:
    """A process whose server or migration is left out starts, says so, and answers 503."""
    options = StackOptions(data_dir=tmp_path, without=frozenset(PARTS) - only)
    with running_stack(options) as running:
        assert gaps <= set(running.lines)
        ready = httpx.get(f"{running.endpoints.receiver}/readyz", trust_env=False)
        assert ready.status_code == httpx.codes.SERVICE_UNAVAILABLE


def test_receiver_that_dies_while_nats_is_away_comes_back(tmp_path: Path) -> None:
    """A restarted process is not ended for what another one is missing; it works again later."""
    options = StackOptions(data_dir=tmp_path, without=frozenset(PARTS) - EDGE)
    with running_stack(options) as running:
        url = f"{running.endpoints.receiver}/readyz"

        def status() -> int:
            return httpx.get(url, trust_env=False).status_code

        assert status() == httpx.codes.OK
        running.stop("nats")
        running.restart("receiver")
        assert status() == httpx.codes.SERVICE_UNAVAILABLE
        running.start("nats")
        eventually(lambda: status() == httpx.codes.OK, "it is ready again")


def test_endpoints_lead_to_nothing_that_was_left_out(tmp_path: Path) -> None:
    """Addresses of parts that do not run are empty, in maps absent; tokens are always there."""
    with running_command(tmp_path, only={"nats"}) as running:
        found = running.endpoints
    left_out = ("receiver", "hook", "api", "postgres", "temporal", "temporal_ui", "vault")
    more = ("receiver_certificate", "vault_token", "inbox_http")
    assert {getattr(found, name) for name in (*left_out, *more)} == {""}
    assert found.metrics == {}
    assert set(found.pids) == {"nats"}
    assert set(found.nats_ingest) == {"demo"}
    assert all((found.nats, found.tenant, found.token, found.operator_token, found.configuration))
