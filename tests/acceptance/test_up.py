"""`up`, `send` and `demo` as a newcomer runs them: processes of their own."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import ssl
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
from console.embedded.options import PARTS
from console.embedded.state import choose_ports
from tests.certificates import make_certificate
from tests.command import Ran, tocsin
from tests.realdata import real
from tests.road import wazuh_alert
from tests.stack import eventually

READY_WITHIN = timedelta(seconds=30)
COUNTS = ("received", "stored", "started", "finished", "dead")


class Up:
    """One run of `tocsin up`."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        self.output = folder.with_suffix(".out")
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "console.main", "up", f"--data-dir={folder}", *flags],
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
def running_up(folder: Path, *flags: str) -> Iterator[Up]:
    """`tocsin up` for the time of the block; it must end by itself after SIGTERM."""
    up = Up(folder, *flags)
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
    before, known = await up.balance(), await listed(up)
    for already in (0, 865):
        sent = await up.command("send", str(alerts), "--json")
        assert sent.code == 0, sent
        assert json.loads(sent.output)["duplicates"] == already
        after = await up.balance()
        counts = [after[name] - before[name] for name in COUNTS]
        assert counts == [865, 865, 865, 865, 0]
    assert len(await listed(up) - known) == 865


async def listed(up: Up) -> set[str]:
    """The ids of all alerts."""
    ran = await up.command("alert", "list", "--json", "--limit=0")
    return {row["id"] for row in ran.lines}


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


@pytest.mark.parametrize(
    ("flags", "hint"),
    [
        (("--listen=nonsense",), "must be ADDRESS:PORT"),
        (("--listen=127.0.0.1:0",), "must be ADDRESS:PORT"),
        (("--listen=0.0.0.0:18080",), "--insecure"),
        (("--tls-cert=cert.pem",), "tls_key"),
        (("--tls-cert=no.pem", "--tls-key=no.pem"), "the certificate cannot be used"),
        (("--listen=192.0.2.1:18080", "--insecure"), "cannot listen on 192.0.2.1:18080"),
        (("--listen=nosuch.invalid:18080", "--insecure"), "cannot listen on nosuch.invalid"),
        (("--without=wroker",), "no such part: wroker (postgres, nats, temporal, vault, migrate"),
    ],
)
async def test_wrong_flags_are_refused_before_anything_starts(
    tmp_path: Path, flags: tuple[str, ...], hint: str
) -> None:
    """A flag that cannot work ends `up` with exit code 2 and a hint, and no part was started."""
    ran = await tocsin("up", f"--data-dir={tmp_path / 'data'}", *flags)
    assert ran.code == 2, ran
    assert hint in ran.errors
    assert "Traceback" not in ran.errors
    assert not (tmp_path / "data" / "log").exists()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
async def test_parts_are_left_out_and_others_are_let_in(tmp_path: Path) -> None:
    """What is left out does not run; the receiver takes alerts by TLS, and the block names us."""
    names = f"IP:127.0.0.1,DNS:{socket.gethostname()}"
    cert, key = await asyncio.to_thread(make_certificate, tmp_path, names)
    port = choose_ports(["receiver"])["receiver"]
    flags = (
        *("--without=worker,temporal", "--without", "vault, inbox"),
        *(f"--listen=0.0.0.0:{port}", f"--tls-cert={cert}", f"--tls-key={key}"),
    )
    with running_up(tmp_path / "data", *flags) as up:
        found = await asyncio.to_thread(lambda: up.endpoints)
        assert set(found.pids) == {"postgres", "nats", "receiver", "api"}
        trust = ssl.create_default_context(cafile=cert)
        async with httpx.AsyncClient(verify=trust, trust_env=False) as web:
            answer = await web.get(f"https://127.0.0.1:{port}/readyz")
        assert answer.status_code == httpx.codes.OK
        capability = found.hook.rpartition("/")[2]
        hook = f"https://{socket.gethostname()}:{port}/v1/hook/{capability}"
        await asyncio.to_thread(
            eventually,
            lambda: f"<hook_url>{hook}</hook_url>" in up.output.read_text(),
            "it says so",
        )


async def test_insecure_lets_others_in_without_tls(tmp_path: Path) -> None:
    """Told `--insecure`, the receiver speaks plain HTTP on every address."""
    port = choose_ports(["receiver"])["receiver"]
    without = ",".join(set(PARTS) - {"nats", "migrate", "receiver"})
    flags = (f"--without={without}", f"--listen=0.0.0.0:{port}", "--insecure")
    with running_up(tmp_path / "data", *flags) as up:
        found = await asyncio.to_thread(lambda: up.endpoints)
        assert found.receiver == f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(trust_env=False) as web:
            assert (await web.get(f"{found.receiver}/readyz")).status_code == httpx.codes.OK


async def test_first_alert_is_told_without_the_interface(tmp_path: Path) -> None:
    """Without the operators' interface `up` still says when the first alert of a source arrives."""
    file = tmp_path / "alert.json"
    file.write_bytes(msgspec.json.encode({"id": "g-1", "title": "a door opened"}))
    with running_up(tmp_path / "data", "--without=api,vault,inbox") as up:
        await asyncio.to_thread(lambda: up.endpoints)
        assert (await up.command("send", str(file), "--source=generic")).code == 0

        def told() -> bool:
            return "first alert of source generic (demo): a door" in up.output.read_text()

        await asyncio.to_thread(eventually, told, "it is told")


async def test_commands_say_which_part_was_left_out(tmp_path: Path) -> None:
    """A command that needs a part which was left out says so, and exits 1."""
    without = ",".join(set(PARTS) - {"nats"})
    with running_up(tmp_path / "data", f"--without={without}") as up:
        await asyncio.to_thread(lambda: up.endpoints)
        for command in (("balance",), ("send", os.devnull), ("demo",)):
            ran = await up.command(*command)
            assert ran.code == 1
            assert "was started without" in ran.errors


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
