"""Requests captured from the real Wazuh senders, byte for byte but for where they go."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from ingest.body import split
from tests.realdata import real
from tests.road import Road

SENDERS = ("shuffle", "slack")


def captured(sender: str) -> list[Path]:
    """The captured requests of one sender; skips where there are none."""
    return sorted(real("copyleft", "captured-wazuh-sender-requests").glob(f"*-{sender}.http"))


def redirected(request: bytes, hook: str) -> bytes:
    """A captured request with its target and Host replaced, and nothing else."""
    url = urlsplit(hook)
    head, blank, body = request.partition(b"\r\n\r\n")
    _, *headers = head.split(b"\r\n")
    lines = [
        f"Host: {url.netloc}".encode() if line.lower().startswith(b"host:") else line
        for line in headers
    ]
    return b"\r\n".join([f"POST {url.path} HTTP/1.1".encode(), *lines]) + blank + body


async def say(hook: str, request: bytes) -> tuple[int, dict[str, Any]]:
    """Send bytes to the receiver; the status and the decoded body of its answer."""
    url = urlsplit(hook)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(request)
    async with asyncio.timeout(10):
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        (length,) = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-le")]
        body = await reader.readexactly(length)
    writer.close()
    return int(head.split()[1]), msgspec.json.decode(body)


async def post_captured(road: Road, files: Sequence[Path]) -> list[str]:
    """Send captured requests; the ids of their alerts."""
    ids: list[str] = []
    for file in files:
        hook = road.stack.endpoints.hook
        status, outcome = await say(hook, redirected(file.read_bytes(), hook))
        assert (status, outcome["quarantined"]) == (202, 0), file.name
        assert outcome["accepted"] + outcome["duplicates"] == 1
        ids += outcome["ids"]
    return ids


@pytest.mark.parametrize("sender", SENDERS)
async def test_captured_request_is_taken(road: Road, sender: str) -> None:
    """Each request of an unmodified sender is a 202, and its alert finishes."""
    files = captured(sender)
    ids = await post_captured(road, files)
    assert len(ids) == len(files) > 0
    await road.finished(*ids)


async def test_shuffle_copy_is_a_duplicate_of_the_raw_alert(road: Road) -> None:
    """The real alerts posted raw and by the shuffle sender are the same alerts."""
    ids = await post_captured(road, captured("shuffle"))
    raw = real("copyleft", "ait-aecid-wazuh-alerts", "ossec_spiral.json").read_bytes()
    sent = {msgspec.json.decode(_body(file))["all_fields"]["id"] for file in captured("shuffle")}
    pieces = [each for each in split(raw, max_events=10_000) if each.document["id"] in sent]
    answer = await road.post(b"\n".join(piece.raw for piece in pieces))
    outcome = answer.json()
    assert set(ids) <= set(outcome["ids"])
    again = await post_captured(road, captured("shuffle"))
    assert again == ids
    await road.finished(*outcome["ids"])


async def test_slack_digest_is_linked_by_the_senders_id(road: Road) -> None:
    """A digest is an alert of its own, found beside the one that it tells of."""
    for digest, whole in zip(captured("slack"), captured("shuffle"), strict=True):
        (digest_id,) = await post_captured(road, [digest])
        (whole_id,) = await post_captured(road, [whole])
        assert digest_id != whole_id
        await road.finished(digest_id, whole_id)
        rows = await road.rows(
            "SELECT DISTINCT source_event_id FROM alerts WHERE id = ANY(:ids)",
            ids=[digest_id, whole_id],
        )
        assert len(rows) == 1


def _body(file: Path) -> bytes:
    return file.read_bytes().partition(b"\r\n\r\n")[2]
