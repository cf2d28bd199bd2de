"""`up`, `send` and `demo` as a newcomer runs them: processes of their own."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
import pytest_asyncio

from console.embedded import endpoints
from console.embedded.endpoints import Endpoints
from tests.command import Ran, tocsin
from tests.realdata import real
from tests.road import wazuh_alert
from tests.stack import eventually

READY_WITHIN = timedelta(seconds=30)


class Up:
    """One run of `tocsin up`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder.with_suffix(".out")
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "console.main", "up", f"--data-dir={folder}"],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in os.environ.items() if "TOCSIN" not in name},
            )

    @property
    def endpoints(self) -> Endpoints:
        """What it published, as soon as it is ready."""

        def ready() -> Endpoints | None:
            assert self.process.poll() is None, self.output.read_text()
            return endpoints.read(self.folder)

        return eventually(ready, "endpoints.json appears", READY_WITHIN)

    async def command(self, *arguments: str) -> Ran:
        """Run a client command against it."""
        return await tocsin(*arguments, f"--data-dir={self.folder}")

    async def balance(self) -> dict[str, int]:
        """The books, once nothing is pending or running."""
        ran = await self.command("balance", "--wait=60", "--json")
        assert ran.code == 0, ran
        return dict(json.loads(ran.output))


@contextmanager
def running_up(folder: Path) -> Iterator[Up]:
    """`tocsin up` for the time of the block; it must end by itself after SIGTERM."""
    up = Up(folder)
    try:
        yield up
    finally:
        if up.process.poll() is None:
            up.process.send_signal(signal.SIGTERM)
            assert up.process.wait(20) == 0, up.output.read_text()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def up(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    """One `tocsin up` for this module."""
    with running_up(tmp_path_factory.mktemp("up") / "data") as running:
        await asyncio.to_thread(lambda: running.endpoints)
        yield running


async def test_real_alerts_all_arrive_once(up: Up) -> None:
    """The 865 real alerts end as 865 stored, started and finished; sent again they add none."""
    alerts = real("copyleft", "ait-aecid-wazuh-alerts", "ossec_spiral.json")
    for already in (0, 865):
        sent = await up.command("send", str(alerts), "--json")
        assert sent.code == 0, sent
        assert json.loads(sent.output)["duplicates"] == already
        books = await up.balance()
        counts = [books[name] for name in ("received", "stored", "started", "finished", "dead")]
        assert counts == [865, 865, 865, 865, 0]
    listed = await up.command("alert", "list", "--json", "--limit=0")
    assert len({row["id"] for row in listed.lines}) == 865


async def test_up_says_when_the_first_alert_of_a_source_arrives(up: Up, tmp_path: Path) -> None:
    """The operator who waits for a first alert is told, with what it says."""
    file = tmp_path / "alert.json"
    file.write_bytes(msgspec.json.encode({"id": "g-1", "title": "a door opened"}))
    sent = await up.command("send", str(file), "--source=generic")
    assert sent.output.strip() == "1 accepted, 0 duplicates, 0 quarantined"

    def told() -> bool:
        return "first alert of source generic (demo): a door opened" in up.output.read_text()

    await asyncio.to_thread(eventually, told, "it is told")


async def test_up_prints_the_block_for_wazuh(up: Up) -> None:
    """The block to paste carries the capability URL and a level."""
    printed = up.output.read_text()
    assert f"<hook_url>{up.endpoints.hook}</hook_url>" in printed
    assert "<level>3</level>" in printed


async def test_garbage_in_a_file_is_kept_and_said(up: Up, tmp_path: Path) -> None:
    """A file with a bad line posts the good ones, and the bad one is quarantined."""
    file = tmp_path / "alerts.ndjson"
    file.write_bytes(msgspec.json.encode(wazuh_alert()) + b"\nno json\n")
    sent = await up.command("send", str(file))
    assert sent.code == 0
    assert sent.output.strip() == "1 accepted, 0 duplicates, 1 quarantined"


async def test_worker_killed_in_the_middle_of_an_alert(up: Up, tmp_path: Path) -> None:
    """After kill -9 of the worker it comes back, and each alert is told of under one key."""
    file = tmp_path / "alerts.ndjson"
    file.write_bytes(b"\n".join(msgspec.json.encode(wazuh_alert(level=7)) for _ in range(40)))
    already = {message["key"] for message in await inbox(up)}
    before = (await up.balance())["finished"]
    assert (await up.command("send", str(file))).code == 0
    os.kill(up.endpoints.pids["worker"], signal.SIGKILL)
    assert (await up.balance())["finished"] == before + 40
    keys = {message["key"] for message in await inbox(up)} - already
    assert len(keys) == len({key[:32] for key in keys}) == 40
    assert re.search(r"worker died \(.*SIGKILL.*\); the end of", up.output.read_text())


async def inbox(up: Up) -> list[dict[str, str]]:
    """What arrived in the stack's inbox."""
    async with httpx.AsyncClient(trust_env=False) as web:
        return list((await web.get(f"{up.endpoints.inbox_http}/messages")).json())


async def test_second_start_finds_what_the_first_one_left(tmp_path: Path) -> None:
    """Alerts, duplicates and a workflow that still waits are there after a restart."""
    folder = tmp_path / "data"
    alert, urgent = wazuh_alert(), wazuh_alert(level=12)
    file = tmp_path / "alert.json"
    file.write_bytes(msgspec.json.encode(alert))
    with running_up(folder) as first:
        before = await asyncio.to_thread(lambda: first.endpoints)
        await first.command("send", str(file))
        assert (await first.balance())["finished"] == 1
        os.kill(before.pids["inbox"], signal.SIGSTOP)
        file.write_bytes(msgspec.json.encode(urgent))
        assert (await first.command("send", str(file))).code == 0
    with running_up(folder) as second:
        after = await asyncio.to_thread(lambda: second.endpoints)
        assert (after.hook, after.token, after.receiver) == (
            before.hook,
            before.token,
            before.receiver,
        )
        books = await second.balance()
        assert (books["received"], books["finished"]) == (2, 2)
        file.write_bytes(msgspec.json.encode(alert))
        repeated = await second.command("send", str(file))
        assert repeated.output.startswith("0 accepted, 1 duplicates")
        assert (await second.balance())["received"] == 2


async def test_demo_delivers_everything_and_ends(tmp_path: Path) -> None:
    """`tocsin demo` shows at least twenty alerts, the balance and the addresses, and exits 0."""
    ran = await tocsin("demo", f"--data-dir={tmp_path / 'data'}", COLUMNS="120")
    assert ran.code == 0, ran
    assert "received 33   stored 33   started 33   finished 33   notified 32" in ran.output
    assert "The books balance." in ran.output
    assert ran.output.count("✓") == 20
    assert "Temporal    http://127.0.0.1:" in ran.output
    assert endpoints.read(tmp_path / "data") is None


async def test_send_without_a_stack_says_what_to_do(tmp_path: Path) -> None:
    """Without a running stack `send` exits 1 and names both ways out."""
    ran = await tocsin("send", "-", f"--data-dir={tmp_path}")
    assert ran.code == 1
    assert "tocsin up" in ran.errors
    assert "--url" in ran.errors
