"""The receiver as a process: what it says of itself, what it never says, and when it refuses."""

import asyncio
import resource
import signal
import sys
import uuid
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from console.embedded.state import choose_ports
from tests.road import Road, eventually, wazuh_alert

TEMPLATES = {
    "/v1/alerts/{source}",
    "/v1/hook/{capability}",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "other",
}


async def metrics(road: Road) -> str:
    """What Prometheus reads."""
    answer = await road.web.get(road.stack.endpoints.metrics["receiver"])
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


async def test_secrets_are_never_told(road: Road) -> None:
    """Neither log, nor metrics, nor answers hold a capability or token, valid or not."""
    endpoints = road.stack.endpoints
    wrong = [uuid.uuid4().hex for _ in range(3)]
    capability = endpoints.hook.rpartition("/")[2]
    told = []
    paths = [
        f"/v1/hook/{capability}",
        f"/v1/hook/{capability}/",
        f"/v1/hook/{capability}/{wrong[0]}",
        f"/v1/hook/{wrong[0]}",
        f"/{capability}",
        f"/v1/hook/{capability}?token={endpoints.token}",
    ]
    for path in paths:
        for method in ("POST", "GET"):
            answer = await road.web.request(method, endpoints.receiver + path, content=b"no json")
            assert not answer.is_redirect
            told.append(answer.text + str(answer.headers))
    for token in (endpoints.token, endpoints.operator_token, wrong[1]):
        answer = await road.post(b"no json", Authorization=f"Bearer {token}")
        told.append(answer.text)
    answer = await road.post(b"x", "nothing", **{"X-API-Key": wrong[2]})
    told += [answer.text, await metrics(road)]
    logs = list((road.stack.data_dir / "log").iterdir())
    assert {"receiver.log", "worker.log", "api.log", "nats.log"} <= {log.name for log in logs}
    told += [log.read_text(errors="replace") for log in logs]
    for secret in (capability, endpoints.token, endpoints.operator_token, *wrong):
        assert not [text for text in told if secret in text]


async def test_operator_token_opens_no_source(road: Road) -> None:
    """The operators' token posts nothing."""
    answer = await road.post(
        wazuh_alert(), Authorization=f"Bearer {road.stack.endpoints.operator_token}"
    )
    assert answer.status_code == 401


async def test_source_that_does_not_exist_is_refused(road: Road) -> None:
    """A valid token for a source that nobody configured gets 403, and nothing is kept."""
    answer = await road.post(wazuh_alert(), "nothing")
    assert answer.status_code == 403


async def test_metrics_have_few_labels(road: Road) -> None:
    """Requests are counted by the template of their route; what has none is counted as other."""
    for _ in range(5):
        await road.web.get(f"{road.stack.endpoints.receiver}/{uuid.uuid4().hex}")
    routes = {
        sample.labels["route"]
        for family in text_string_to_metric_families(await metrics(road))
        for sample in family.samples
        if "route" in sample.labels
    }
    assert "other" in routes
    assert routes <= TEMPLATES


async def test_events_are_counted_by_what_became_of_them(road: Road) -> None:
    """Accepted, duplicate and quarantined events are counted for tenant and source."""

    async def counts() -> dict[str, float]:
        return {
            sample.labels["outcome"]: sample.value
            for family in text_string_to_metric_families(await metrics(road))
            for sample in family.samples
            if sample.name == "tocsin_receiver_events_total"
            and (sample.labels["tenant"], sample.labels["source"]) == ("demo", "wazuh")
        }

    alert = wazuh_alert()
    before = await counts()
    await road.take(alert)
    await road.take(alert)
    await road.post(b"no json" + uuid.uuid4().bytes)
    after = await counts()
    grown = {outcome: after[outcome] - before.get(outcome, 0) for outcome in after}
    assert grown == {"accepted": 1, "duplicate": 1, "quarantined": 1}


async def receive(road: Road, *flags: str) -> asyncio.subprocess.Process:
    """Run `tocsin receive` with the stack's settings."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "console.main", "receive"),
        *("--config", road.stack.endpoints.configuration, *flags),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("flags", "hint"),
    [
        (("--listen", "0.0.0.0:1"), "--insecure"),
        (("--listen", "127.0.0.1:1", "--tls-cert", "cert.pem"), "tls_key"),
        (("--listen", "127.0.0.1:1", "--tls-cert", "no.pem", "--tls-key", "no.pem"), "certificate"),
        (("--listen", "nonsense"), "ADDRESS:PORT"),
    ],
)
async def test_dangerous_flags_are_refused(road: Road, flags: tuple[str, ...], hint: str) -> None:
    """Plain HTTP beyond loopback, or half a certificate, ends with exit code 2 and a hint."""
    process = await receive(road, *flags)
    _, said = await process.communicate()
    assert process.returncode == 2
    assert hint in said.decode()
    assert "Traceback" not in said.decode()


async def answers(url: str) -> bool:
    """Whether a receiver is there."""
    async with httpx.AsyncClient(trust_env=False) as web:
        try:
            return (await web.get(f"{url}/healthz")).status_code == 200
        except httpx.TransportError:
            return False


async def test_terminated_receiver_answers_what_is_under_way(road: Road) -> None:
    """SIGTERM under load: each connection has its answer or none, and it exits with 0 in 10 s."""
    port = choose_ports(["x"])["x"]
    url = f"http://127.0.0.1:{port}"
    process = await receive(road, "--listen", f"127.0.0.1:{port}")
    await eventually(lambda: answers(url), "it listens")
    headers = {"X-API-Key": road.stack.endpoints.token}
    taken: list[str] = []
    told = asyncio.Event()

    async def post(web: httpx.AsyncClient, alert: dict[str, object]) -> None:
        try:
            answer = await web.post(f"{url}/v1/alerts/wazuh", json=alert, headers=headers)
        except httpx.TransportError:
            return
        if answer.status_code == 202:
            taken.extend(answer.json()["ids"])
        if len(taken) >= 40 and not told.is_set():
            told.set()
            process.send_signal(signal.SIGTERM)

    async with httpx.AsyncClient(trust_env=False) as web:
        await asyncio.gather(*(post(web, wazuh_alert()) for _ in range(150)))
    async with asyncio.timeout(10):
        await process.communicate()
    assert process.returncode == 0
    assert len(taken) >= 40
    await eventually(lambda: recorded(road, taken), "every 202 is in the books")


async def recorded(road: Road, ids: list[str]) -> bool:
    """Whether all of these alerts are recorded."""
    rows = await road.rows(
        "SELECT DISTINCT alert_id FROM events WHERE alert_id = ANY(:ids)", ids=ids
    )
    return len(rows) == len(ids)


def open_files(pid: int) -> int:
    """How many file descriptors a process has."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def test_receiver_survives_too_many_connections(road: Road) -> None:
    """Out of file descriptors it takes no more; when strangers leave it answers again."""
    port = choose_ports(["x"])["x"]
    url = f"http://127.0.0.1:{port}"
    process = await receive(road, "--listen", f"127.0.0.1:{port}")
    await eventually(lambda: answers(url), "it listens")
    used = open_files(process.pid)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used + 10, used + 10))
    strangers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
    for _, stranger in strangers:
        stranger.close()
    await eventually(lambda: answers(url), "it answers again", within=15)
    process.terminate()
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert len(out) < 100_000, "its log stays small"


async def test_receiver_waits_for_the_bus(road: Road) -> None:
    """Started while NATS is away it answers 503, and 202 once NATS is there."""
    await asyncio.to_thread(road.stack.stop, "nats")
    port = choose_ports(["x"])["x"]
    url = f"http://127.0.0.1:{port}"
    process = await receive(road, "--listen", f"127.0.0.1:{port}")
    try:
        await eventually(lambda: answers(url), "it listens")
        headers = {"X-API-Key": road.stack.endpoints.token}
        answer = await road.web.post(f"{url}/v1/alerts/wazuh", json=wazuh_alert(), headers=headers)
        assert answer.status_code == 503
    finally:
        await asyncio.to_thread(road.stack.start, "nats")

    async def taken() -> bool:
        answer = await road.web.post(f"{url}/v1/alerts/wazuh", json=wazuh_alert(), headers=headers)
        return answer.status_code == 202

    await eventually(taken, "it takes alerts")
    process.terminate()
    await process.communicate()
    assert process.returncode == 0
