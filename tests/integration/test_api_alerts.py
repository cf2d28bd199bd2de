"""What operators are told of alerts, by the real interface on the real servers."""

import asyncio
import base64
from typing import Any

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator

from tests.road import Road, eventually, wazuh_alert
from tests.stack import RunningStack


async def listed(operators: httpx.AsyncClient, **parameters: Any) -> list[dict[str, Any]]:
    """All items of a list, page after page."""
    items: list[dict[str, Any]] = []
    while True:
        page = (await operators.get("/v1/alerts", params=parameters)).json()
        items += page["items"]
        if page["next"] is None:
            return items
        parameters["cursor"] = page["next"]


async def test_alert_is_listed(road: Road, operators: httpx.AsyncClient) -> None:
    """A finished alert stands in the list with its small facts."""
    alert = wazuh_alert(level=12)
    id_ = await road.take(alert)
    await road.finished(id_)
    (item,) = [each for each in await listed(operators, since="10m") if each["id"] == id_]
    assert item["finished_at"] > item["received_at"]
    del item["finished_at"], item["received_at"]
    assert item == {
        "id": id_,
        "tenant": "demo",
        "source": "wazuh",
        "source_event_id": alert["id"],
        "level": 12,
        "severity": "high",
        "status": "finished",
        "route": "page",
        "run": 0,
        "rule_id": "5716",
        "description": "sshd: authentication failed.",
        "source_address": "198.51.100.9",
        "agent": "web-07",
    }


async def test_filters_select(road: Road, operators: httpx.AsyncClient) -> None:
    """Severity, status, source, tenant and time each leave out what does not match."""
    low, critical = wazuh_alert(level=5), wazuh_alert(level=15)
    ids = {await road.take(low), await road.take(critical)}
    await road.finished(*ids)

    async def severities(**parameters: Any) -> set[str]:
        found = await listed(operators, **parameters)
        return {item["severity"] for item in found if item["id"] in ids}

    assert await severities() == {"low", "critical"}
    assert await severities(severity="critical") == {"critical"}
    assert await severities(severity="low,critical", status="finished") == {"low", "critical"}
    assert await severities(status="failed,dead") == set()
    assert await severities(source="generic") == set()
    assert await severities(tenant="another") == set()
    assert await severities(since="1h") == {"low", "critical"}
    assert await severities(since="2999-01-01T00:00:00Z") == set()


async def test_digest_leads_to_its_alert(road: Road, operators: httpx.AsyncClient) -> None:
    """A digest and the alert that it tells of are listed by the id that their sender gave them."""
    alert = wazuh_alert()
    digest = {
        "attachments": [
            {"ts": alert["id"], "fields": [{"title": "Rule ID", "value": "5716 _(Level 3)_"}]}
        ]
    }
    ids = {await road.take(alert), await road.take(digest), await road.take(wazuh_alert())}
    await road.finished(*ids)
    found = await listed(operators, source_event_id=alert["id"])
    assert {item["source_event_id"] for item in found} == {alert["id"]}
    assert len({item["id"] for item in found} & ids) == len(found) == 2


async def test_pages_are_stable(road: Road, operators: httpx.AsyncClient) -> None:
    """Pages neither repeat nor miss an alert while new ones come in between them."""
    ids = [await road.take(wazuh_alert()) for _ in range(5)]
    await road.finished(*ids)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while not set(ids) <= set(seen):
        page = (await operators.get("/v1/alerts", params={"limit": 2, **cursor})).json()
        seen += [item["id"] for item in page["items"]]
        cursor = {"cursor": page["next"]}
        await road.finished(await road.take(wazuh_alert()))
    assert [id_ for id_ in seen if id_ in ids] == ids[::-1]
    assert len(seen) == len(set(seen))


async def test_all_is_shown(road: Road, operators: httpx.AsyncClient) -> None:
    """One alert comes with its bytes, verdict, notifications and workflow."""
    body = msgspec.json.encode(wazuh_alert(level=8, full_log="caf")).replace(b"caf", b"caf\xe9")
    id_ = (await road.post(body)).json()["ids"][0]
    await road.finished(id_)
    shown = (await operators.get(f"/v1/alerts/{id_}", params={"tenant": "demo"})).json()
    assert base64.b64decode(shown["raw"]["base64"]) == body
    assert "caf\N{REPLACEMENT CHARACTER}" in shown["raw"]["text"]
    assert shown["alert"]["message"] == "caf\N{REPLACEMENT CHARACTER}"
    assert shown["verdict"]["severity"] == "medium"
    (told,) = shown["notifications"]
    assert (told["receiver"], told["status"], told["attempts"]) == ("post", "delivered", 1)
    assert shown["workflow"]["id"] == f"demo/{id_}"
    assert shown["workflow"]["url"].endswith(
        f"/namespaces/default/workflows/demo%2F{id_}/{shown['workflow']['run_id']}/history"
    )
    message = await road.bus.stock.message("ALERTS", shown["sequence"])
    assert message
    assert message.data == body
    assert shown["runs"] == []


async def test_ocsf_is_a_format(road: Road, operators: httpx.AsyncClient) -> None:
    """The same alert is answered as an OCSF Detection Finding."""
    id_ = await road.take(wazuh_alert(level=12))
    await road.finished(id_)
    finding = (await operators.get(f"/v1/alerts/{id_}", params={"format": "ocsf"})).json()
    assert (finding["class_uid"], finding["severity"]) == (2004, "High")


async def test_unknown_is_404(operators: httpx.AsyncClient) -> None:
    """An alert or a letter that is not there is 404."""
    for path in (f"/v1/alerts/{'0' * 32}", f"/v1/dead-letters/{'0' * 32}"):
        for answer in (await operators.get(path), await operators.post(f"{path}/redrive")):
            assert answer.status_code == 404


async def test_unknown_run_is_named(road: Road, operators: httpx.AsyncClient) -> None:
    """A run that a known alert does not have is 404, and the answer names the run."""
    id_ = await road.take(wazuh_alert())
    await road.finished(id_)
    answer = await operators.get(f"/v1/alerts/{id_}", params={"run": 7})
    assert answer.status_code == 404
    assert f"no run 7 of alert {id_}" in answer.json()["detail"]


async def test_notifications_are_listed(road: Road, operators: httpx.AsyncClient) -> None:
    """Who was told of an alert is found by the alert, the channel and the status."""
    id_ = await road.take(wazuh_alert(level=12))
    await road.finished(id_)

    async def receivers(**parameters: str) -> set[str]:
        which = {"alert": id_, "since": "1h"} | parameters
        page = (await operators.get("/v1/notifications", params=which)).json()
        return {item["receiver"] for item in page["items"]}

    assert await receivers() == {"page", "mail"}
    assert await receivers(channel="email") == {"mail"}
    assert await receivers(status="delivered", tenant="demo") == {"page", "mail"}
    assert await receivers(status="pending,failed") == set()


async def test_ingest_token_opens_nothing(stack: RunningStack, road: Road) -> None:
    """A sender's token, good at the receiver, is refused by every operation."""
    document = (await road.web.get(f"{stack.endpoints.api}/openapi.json")).json()
    headers = {"Authorization": f"Bearer {stack.endpoints.token}"}
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            if operation.get("security") == []:
                continue
            url = stack.endpoints.api + path.replace("{id}", "0" * 32)
            answer = await road.web.request(verb, url, headers=headers)
            assert answer.status_code == 401, path


async def test_answers_are_as_documented(road: Road, operators: httpx.AsyncClient) -> None:
    """Real answers and refusals fit the schemas of `/openapi.json`."""
    id_ = await road.take(wazuh_alert(level=12))
    await road.finished(id_)
    await road.post(b"documented, but no JSON")

    async def letter() -> Any:
        page = (await operators.get("/v1/dead-letters")).json()
        return page["items"]

    letter_id = (await eventually(letter, "the letter is listed"))[0]["id"]
    document = (await operators.get("/openapi.json")).json()
    asked = {
        "/v1/alerts": ("get", "/v1/alerts?limit=3"),
        "/v1/alerts/{id}": ("get", f"/v1/alerts/{id_}"),
        "/v1/alerts/{id}/redrive": ("post", f"/v1/alerts/{id_}/redrive"),
        "/v1/dead-letters": ("get", "/v1/dead-letters"),
        "/v1/dead-letters/{id}": ("get", f"/v1/dead-letters/{letter_id}"),
        "/v1/dead-letters/{id}/redrive": ("post", f"/v1/dead-letters/{letter_id}/redrive"),
        "/v1/balance": ("get", "/v1/balance"),
        "/v1/notifications": ("get", "/v1/notifications?cursor=wrong"),
    }
    assert asked.keys() == {path for path in document["paths"] if path.startswith("/v1/")}
    for template, (verb, path) in asked.items():
        answer = await operators.request(verb, path)
        responses = document["paths"][template][verb]["responses"]
        content = responses[str(answer.status_code)]["content"]
        schema = content[answer.headers["content-type"]]["schema"]
        whole = schema | {"components": document["components"]}
        Draft202012Validator(whole).validate(answer.json())


@pytest.mark.parametrize(("part", "asked"), [("postgres", "/v1/alerts"), ("nats", "/v1/balance")])
async def test_outage_is_503_and_ends(
    stack: RunningStack, operators: httpx.AsyncClient, part: str, asked: str
) -> None:
    """While a server is away the answer is 503 with Retry-After; it is 200 once it is back."""
    await asyncio.to_thread(stack.stop, part)
    try:
        answer = await operators.get(asked)
        ready = await operators.get("/readyz")
    finally:
        await asyncio.to_thread(stack.start, part)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert (ready.status_code, ready.json()["dependencies"][part]) == (503, "away")

    async def back() -> bool:
        return (await operators.get(asked)).status_code == 200

    await eventually(back, "it answers again")
