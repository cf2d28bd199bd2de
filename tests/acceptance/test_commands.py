"""The commands that operators type, as processes, against a running stack."""

import asyncio
import uuid
from typing import Any

import msgspec
import pytest

from tests.command import tocsin
from tests.road import Road, eventually, wazuh_alert
from tests.stack import RunningStack

LISTED = [
    "id",
    "tenant",
    "source",
    "source_event_id",
    "level",
    "severity",
    "status",
    "received_at",
    "finished_at",
    "route",
]
BOOKS = [
    "received",
    "pending",
    "duplicates",
    "quarantined",
    "stored",
    "started",
    "running",
    "finished",
    "failed",
    "dead",
    "balanced",
]


@pytest.fixture
def here(stack: RunningStack) -> str:
    """The option that names the running stack."""
    return f"--data-dir={stack.data_dir}"


async def finished_alert(road: Road, **more: Any) -> str:
    """The id of an alert that is done."""
    id_ = await road.take(wazuh_alert(**more))
    await road.finished(id_)
    return id_


async def quarantined(road: Road) -> tuple[str, str]:
    """A body that is no JSON, and the id of its letter as soon as it is kept."""
    body = f"no JSON at all {uuid.uuid4()}"
    await road.post(body.encode())

    async def look() -> str | None:
        rows = await road.rows("SELECT id FROM dead_letters WHERE raw = :raw", raw=body.encode())
        return rows[0].id if rows else None

    return body, await eventually(look, "the letter is kept")


async def readable(road: Road) -> str:
    """The id of a letter whose body an older configuration could not read."""
    _, letter = await quarantined(road)
    await road.rows(
        "UPDATE dead_letters SET raw = :raw WHERE id = :id RETURNING id",
        id=letter,
        raw=msgspec.json.encode(wazuh_alert()),
    )
    return letter


async def test_alert_list_json(road: Road, here: str) -> None:
    """`alert list --json` prints JSON Lines, newest first, with exactly the promised fields."""
    ids = [await finished_alert(road) for _ in range(3)]
    ran = await tocsin("alert", "list", here, "--json", "--since", "10m", "--limit", "2")
    assert (ran.code, ran.errors) == (0, "")
    assert [item["id"] for item in ran.lines] == [ids[2], ids[1]]
    assert all(list(item) == LISTED for item in ran.lines)


async def test_alert_list_limit_zero(road: Road, here: str) -> None:
    """`--limit 0` lists every alert once, past the end of a page."""
    await finished_alert(road)
    (count,) = await road.rows("SELECT count(DISTINCT id) AS ids FROM alerts")
    ran = await tocsin("alert", "list", here, "--json", "--limit", "0")
    listed = [item["id"] for item in ran.lines]
    assert len(listed) == len(set(listed)) == count.ids


async def test_alert_list_filters(road: Road, here: str) -> None:
    """Filters reach the interface, and one that cannot be is a usage error that says what can."""
    id_ = await finished_alert(road, level=15)
    ran = await tocsin(
        "alert", "list", here, "--json", "--severity", "critical", "--status", "finished"
    )
    assert id_ in [item["id"] for item in ran.lines]
    assert {item["severity"] for item in ran.lines} == {"critical"}
    (shown,) = (await tocsin("alert", "show", id_, here, "--json")).lines
    event = shown["source_event_id"]
    by_sender = await tocsin("alert", "list", here, "--json", "--source-event-id", event)
    assert [item["id"] for item in by_sender.lines] == [id_]
    wrong = await tocsin("alert", "list", here, "--severity", "severe")
    assert (wrong.code, wrong.output) == (2, "")
    assert "--severity" in wrong.errors
    assert "informational, low, medium, high, critical" in wrong.errors
    endless = await tocsin("alert", "list", here, "--source-event-id", "x" * 257)
    assert (endless.code, "--source-event-id: " in endless.errors) == (2, True)


async def test_alert_text_is_never_interpreted(road: Road, here: str) -> None:
    """Escape sequences, direction marks and markup of an alert reach the terminal as text only."""
    hostile = f"\x1b[31m\x07\u202e[bold red]{uuid.uuid4()}[/bold red]"
    rule = {"level": 12, "id": "1", "description": hostile}
    id_ = await finished_alert(road, rule=rule, full_log=hostile)
    for arguments in (("list", "--limit", "5"), ("show", id_)):
        ran = await tocsin("alert", *arguments, here)
        assert ran.code == 0
        assert "[bold red]" in ran.output
        assert not {"\x1b", "\x07", "\u202e"} & set(ran.output)


async def test_alert_show(road: Road, here: str) -> None:
    """`alert show` tells all for people, in JSON, and as OCSF."""
    id_ = await finished_alert(road, level=12)
    people = await tocsin("alert", "show", id_, here)
    assert all(word in people.output for word in (id_, "sshd", "198.51.100.9", "page", "mail"))
    (whole,) = (await tocsin("alert", "show", id_, here, "--json")).lines
    assert (whole["id"], whole["route"]) == (id_, "page")
    (finding,) = (await tocsin("alert", "show", id_, here, "--ocsf")).lines
    assert finding["class_uid"] == 2004


async def test_alert_redrive(road: Road, here: str) -> None:
    """`alert redrive` brings a failed alert back, and refuses one that is done."""
    id_ = await finished_alert(road)
    refused = await tocsin("alert", "redrive", id_, here)
    assert (refused.code, refused.output) == (1, "")
    assert "only a failed or dead alert" in refused.errors
    await road.rows("UPDATE alerts SET state = 'failed' WHERE id = :id RETURNING id", id=id_)
    ran = await tocsin("alert", "redrive", id_, here)
    assert (ran.code, ran.output) == (0, f"{id_}: redriven as run 1\n")

    async def done() -> bool:
        return await road.state(id_, 1) == "finished"

    await eventually(done, "the next run is done")


async def test_dlq(road: Road, here: str) -> None:
    """`dlq list` and `dlq show` tell what is in quarantine, with its bytes."""
    body, letter = await quarantined(road)
    ran = await tocsin("dlq", "list", here, "--json", "--kind", "quarantine", "--limit", "1")
    (item,) = ran.lines
    assert (item["id"], item["stage"], item["redriven_at"]) == (letter, "receive", None)
    assert letter in (await tocsin("dlq", "list", here)).output
    assert body in (await tocsin("dlq", "show", letter, here)).output
    (whole,) = (await tocsin("dlq", "show", letter, here, "--json")).lines
    assert whole["raw"]["text"] == body


async def test_dlq_redrive(road: Road, here: str) -> None:
    """`dlq redrive` ends with 0 when all went, 3 when some did, 1 when none did, 2 without ids."""
    _, bad = await quarantined(road)
    good = await readable(road)
    assert (await tocsin("dlq", "redrive", bad, here)).code == 1
    assert (await tocsin("dlq", "redrive", here)).code == 2
    assert (await tocsin("dlq", "redrive", good, "--all", here)).code == 2
    some = await tocsin("dlq", "redrive", bad, good, here, "--json")
    assert some.code == 3
    assert [line["letter"] for line in some.lines] == [good]
    assert bad in some.errors
    await road.finished(some.lines[0]["redriven"][0]["id"])
    assert (await tocsin("dlq", "redrive", await readable(road), here)).code == 0
    last = await readable(road)
    every = await tocsin("dlq", "redrive", "--all", here)
    assert every.code == 3
    assert last in every.output
    assert bad in every.errors
    assert good not in every.output + every.errors


async def test_balance(stack: RunningStack, road: Road, here: str) -> None:
    """`balance` ends with 3 while something is pending, and with 0 once the books are closed."""
    await road.settled()
    await asyncio.to_thread(stack.stop, "worker")
    try:
        id_ = await road.take(wazuh_alert())
        working = await tocsin("balance", here, "--json", "--wait", "1")
    finally:
        await asyncio.to_thread(stack.start, "worker")
    assert working.code == 3
    assert working.lines[0]["pending"] == 1
    closed = await tocsin("balance", here, "--json", "--wait", "30")
    assert await road.state(id_) == "finished"
    (books,) = closed.lines
    assert (closed.code, list(books)) == (0, BOOKS)
    people = await tocsin("balance", here)
    assert people.code == 0
    assert "the books balance" in people.output


async def test_balance_that_does_not(road: Road, here: str) -> None:
    """`balance` ends with 1 and names the sequence when a message is recorded nowhere."""
    id_ = await finished_alert(road)
    await road.settled()
    (row,) = await road.rows("DELETE FROM events WHERE alert_id = :id RETURNING *", id=id_)
    try:
        ran = await tocsin("balance", here, "--json")
        people = await tocsin("balance", here)
    finally:
        await road.rows(
            "INSERT INTO events VALUES (:epoch, :sequence, :tenant, :source, :alert_id, :run, "
            ":disposition, :received_at, :raw) RETURNING run",
            **row._asdict(),
        )
    assert ran.code == people.code == 1
    assert ran.lines[0]["lost"] == [row.sequence]
    assert f"lost sequences: {row.sequence}" in people.output


async def test_doctor(stack: RunningStack, here: str) -> None:
    """`doctor` finds nothing wrong with a running stack, and names what is stopped."""
    well = await tocsin("doctor", here, "--json")
    assert well.code == 0, well.output
    assert [line["check"] for line in well.lines] == [
        "settings",
        "tenants",
        "secrets",
        "vault",
        "nats",
        "postgres",
        "temporal",
        "receiver",
        "worker",
        "api",
    ]
    await asyncio.to_thread(stack.stop, "temporal")
    try:
        ill = await tocsin("doctor", here)
    finally:
        await asyncio.to_thread(stack.start, "temporal")
    assert ill.code == 1
    assert "WRONG temporal" in ill.output
    assert "is Temporal running there?" in ill.output
    assert ill.output.count("WRONG") == 1


async def test_help_is_quick() -> None:
    """`tocsin --help` imports nothing that is heavy."""
    heavy = ("temporalio", "sqlalchemy", "nats", "starlette", "pydantic", "httpx")
    ran = await tocsin("--help", PYTHONPROFILEIMPORTTIME="1")
    imported = {line.rpartition("|")[2].strip() for line in ran.errors.splitlines()}
    assert "typer" in imported
    assert not imported & set(heavy)


async def test_migrate_knows_what_it_can_leave_alone(stack: RunningStack) -> None:
    """`migrate --without` takes several names, and refuses one that is no server."""
    config = f"--config={stack.endpoints.configuration}"
    ran = await tocsin("migrate", config, "--without", "postgres", "--without", "nats,vault")
    assert ran.code == 0, ran
    assert ran.output == "namespace and search attributes are up to date\n"
    wrong = await tocsin("migrate", config, "--without=postgers")
    assert (wrong.code, wrong.output) == (2, "")
    assert "no such server: postgers (postgres, nats, temporal, vault)" in wrong.errors
