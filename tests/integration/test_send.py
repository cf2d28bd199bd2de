"""`tocsin send`: where it posts, whom it trusts, and what it makes of the answers."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from console.embedded import endpoints, lock
from console.embedded.endpoints import Endpoints
from console.embedded.options import PARTS, StackOptions
from console.embedded.processes import trust_only
from console.embedded.state import choose_ports
from console.sending import Target, deliver
from tests.certificates import make_certificate
from tests.command import tocsin
from tests.integration.listener import answer, listening
from tests.road import wazuh_alert
from tests.stack import running_stack

TAKEN = answer(202, '{"accepted": 1, "duplicates": 0, "quarantined": 0, "ids": ["x"]}')
EDGE = frozenset({"nats", "migrate", "receiver"})
NOWHERE = Endpoints(
    **{name: "" for name, kind in Endpoints.__annotations__.items() if kind is str},
    nats_ingest={},
    metrics={},
    pids={},
    pid=1,
)


@pytest.fixture
def event(tmp_path: Path) -> str:
    """A file with one event."""
    file = tmp_path / "event.json"
    file.write_bytes(msgspec.json.encode(wazuh_alert()))
    return str(file)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The data directory of a stack that runs, as far as anybody can tell."""
    with lock.hold(tmp_path):
        yield tmp_path


def publish(folder: Path, receiver: str) -> None:
    """Say where the receiver of that stack is."""
    endpoints.write(
        folder, msgspec.structs.replace(NOWHERE, receiver=receiver, token="the-stack's-token")
    )


@pytest.mark.parametrize(
    ("foreign", "said"),
    [
        (answer(404, "<html>not found</html>"), "answered 404, and is no receiver of tocsin"),
        (answer(200, "<html>welcome</html>"), "answered 200, and is no receiver of tocsin"),
        (answer(200, "[]"), "answered 200, and is no receiver of tocsin"),
        (answer(200, '{"ok": true}'), "answered 200, and is no receiver of tocsin"),
        (answer(302, Location="https://elsewhere.example/"), "answered 302, and is no receiver"),
        (answer(401, '{"error": "unauthorized"}'), "answered 401, and is no receiver"),
        (answer(400, '{"type": 1, "detail": "\xff"}'), "answered 400, and is no receiver"),
        (answer(400, '{"a": ' + "[" * 100_000), "answered 400, and is no receiver"),
    ],
)
async def test_strange_answers(event: str, foreign: bytes, said: str) -> None:
    """What another program answers counts as refused, and a sentence says so."""
    async with listening(foreign) as there:
        url = there.url.removesuffix("/hook")
        ran = await tocsin("send", "--url", url, "--token", "t", event)
    assert (ran.code, ran.errors) == (1, "")
    assert f"1 refused: {url} {said}" in ran.output


async def test_count_survives_a_strange_answer(tmp_path: Path) -> None:
    """What was taken is counted, whatever is answered to the rest."""
    file = tmp_path / "events.ndjson"
    file.write_text('{"a": 1}\n{"a": 2}\n{"a": 3}\n')
    async with listening(TAKEN, TAKEN, answer(404, "nothing here")) as there:
        url = there.url.removesuffix("/hook")
        ran = await tocsin("send", "--url", url, "--token", "t", str(file), "--json")
    assert ran.code == 3
    (outcome,) = ran.lines
    assert (outcome["accepted"], outcome["refused"]) == (2, 1)


@pytest.mark.parametrize("wait", ["0", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_retry_after(event: str, wait: str) -> None:
    """A busy receiver is asked again, however it says when."""
    async with listening(answer(503, Retry_After=wait), TAKEN) as there:
        url = there.url.removesuffix("/hook")
        ran = await tocsin("send", "--url", url, "--token", "t", event)
    assert (ran.code, ran.output) == (0, "1 accepted, 0 duplicates, 0 quarantined\n")
    assert len(there.seen) == 2


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n"])
async def test_line_break_behind_a_token(event: str, ending: str) -> None:
    """A token that was read with its line break is used without it."""
    async with listening(TAKEN) as there:
        url = there.url.removesuffix("/hook")
        ran = await tocsin("send", "--url", url, event, TOCSIN_INGEST_TOKEN=f"sekret{ending}")
    assert (ran.code, ran.errors) == (0, "")
    assert there.seen[0].headers["authorization"] == "Bearer sekret"


@pytest.mark.parametrize("token", ["sekret ", "sek\nret", "sekr\u00e9t"])
async def test_token_that_no_header_holds(event: str, token: str) -> None:
    """Such a token is a wrong flag or variable, which is named; the token is not."""
    ran = await tocsin("send", "--url", "http://127.0.0.1:1", "--token", token, event)
    assert (ran.code, ran.output) == (2, "")
    assert "--token" in ran.errors
    assert "TOCSIN_INGEST_TOKEN" in ran.errors
    assert "sek" not in ran.errors


async def test_request_that_cannot_be_sent() -> None:
    """It is refused at once, and what kept it is not repeated, for it may be the token."""
    async with listening(TAKEN) as there, asyncio.timeout(1):
        outcome = await deliver(b"{}", Target(url=there.url, token="sekret\n"))
    assert outcome.refused == 1
    assert "sekret" not in outcome.summary


async def test_no_url_at_all(event: str) -> None:
    """A URL that is none is refused at once."""
    ran = await tocsin("send", "--url", "ftp://127.0.0.1", "--token", "t", event)
    assert ran.code == 1
    assert "1 refused" in ran.output


async def test_token_of_the_stack_stays_there(folder: Path, event: str) -> None:
    """A running stack's token goes to its own receiver only; another URL needs its own token."""
    async with listening(TAKEN) as own, listening(TAKEN) as other:
        publish(folder, own.url.removesuffix("/hook"))
        there = other.url.removesuffix("/hook")
        refused = await tocsin("send", f"--data-dir={folder}", "--url", there, event)
        given = await tocsin(
            *("send", f"--data-dir={folder}", "--url", there, "--token", "its-own", event)
        )
        for arguments in ((), ("--url", own.url.removesuffix("/hook") + "/")):
            ran = await tocsin("send", f"--data-dir={folder}", *arguments, event)
            assert ran.code == 0, ran
    assert (refused.code, refused.output) == (2, "")
    assert "--token" in refused.errors
    assert "TOCSIN_INGEST_TOKEN" in refused.errors
    assert given.code == 0
    assert [seen.headers["authorization"] for seen in other.seen] == ["Bearer its-own"]
    assert [seen.headers["authorization"] for seen in own.seen] == ["Bearer the-stack's-token"] * 2


async def test_capability_needs_no_token(tmp_path: Path, event: str) -> None:
    """A capability URL is posted to as it is, with no token, and is never printed."""
    async with listening(TAKEN, answer(404, "nothing here")) as there:
        url = there.url.removesuffix("/hook") + "/v1/hook/a-secret"
        ran = [await tocsin("send", "--url", url, event, folder=tmp_path) for _ in range(2)]
    assert [each.code for each in ran] == [0, 1]
    assert [(seen.path, "authorization" in seen.headers) for seen in there.seen] == [
        ("/v1/hook/a-secret", False)
    ] * 2
    assert "a-secret" not in "".join(each.output + each.errors for each in ran)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
async def test_certificate_of_the_stack(tmp_path: Path, event: str) -> None:
    """A stack whose certificate names only the outside is sent to; no other one is trusted."""
    cert, key = make_certificate(tmp_path, "DNS:tocsin.example")
    options = StackOptions(
        data_dir=tmp_path / "data",
        without=frozenset(PARTS) - EDGE,
        listen=f"0.0.0.0:{choose_ports(['receiver'])['receiver']}",
        tls_cert=cert,
        tls_key=key,
    )
    (tmp_path / "other").mkdir()
    other, _ = make_certificate(tmp_path / "other", "DNS:tocsin.example,IP:127.0.0.1")
    with running_stack(options) as running:
        receiver = running.endpoints.receiver
        ran = await tocsin("send", f"--data-dir={running.data_dir}", event)
        async with httpx.AsyncClient(verify=trust_only(other), trust_env=False) as client:
            with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                await client.get(receiver)
    assert (ran.code, ran.output) == (0, "1 accepted, 0 duplicates, 0 quarantined\n")
