"""Posting events to a receiver, a few at a time, and again while it is busy."""

import asyncio
import ssl
from typing import Final

import httpx
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ingest.body import split
from tocsin.outbound import trust

_AT_ONCE: Final = 8
_MANY: Final = 20
_TRIES: Final = 5
_MOST_EVENTS: Final = 10_000_000
_BUSY: Final = frozenset({429, 502, 503, 504})


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where to post.

    Attributes:
        url: Base URL of the receiver.
        token: Ingest token of the source.
        source: Last part of the URL.
        certificate: PEM file of an authority to trust beside the machine's own; may be empty.
    """

    url: str
    token: str
    source: str
    certificate: str = ""


class Delivered(msgspec.Struct, kw_only=True):
    """What became of the events of a file; counts.

    Attributes:
        accepted: Stored now.
        duplicates: Held already.
        quarantined: Kept, but no alerts.
        refused: Not taken.
        errors: The first few reasons of those.
    """

    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    refused: int = 0
    errors: list[str] = msgspec.field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 when all were taken, 3 when some were, 1 when none was."""
        if not self.refused:
            return 0
        return 3 if self.accepted + self.duplicates + self.quarantined else 1

    @property
    def summary(self) -> str:
        """For people."""
        counts = (
            f"{self.accepted} accepted, {self.duplicates} duplicates, "
            f"{self.quarantined} quarantined"
        )
        refused = f", {self.refused} refused: {'; '.join(self.errors)}" if self.refused else ""
        return counts + refused


async def deliver(data: bytes, target: Target) -> Delivered:
    """Post every event in a file's bytes.

    Args:
        data: One object, NDJSON, an array, or objects one after the other; what is no JSON is
            posted too, for the receiver to judge.
        target: Where to.
    """
    pieces = [piece.raw for piece in split(data, max_events=_MOST_EVENTS)]
    outcome = Delivered()
    places = asyncio.Semaphore(_AT_ONCE)
    with _progress(len(pieces)) as progress:
        bar = progress.add_task("sending", total=len(pieces))
        async with httpx.AsyncClient(
            timeout=30, trust_env=False, verify=_trusted(target)
        ) as client:

            async def one(raw: bytes) -> None:
                async with places:
                    _count(outcome, await _post(client, target, raw))
                    progress.advance(bar)

            await asyncio.gather(*(one(raw) for raw in pieces))
    return outcome


async def _post(client: httpx.AsyncClient, target: Target, raw: bytes) -> httpx.Response | str:
    """Post one event, again while the receiver is busy or away; an error as text in the end."""
    problem = ""
    for attempt in range(_TRIES):
        try:
            response = await client.post(
                f"{target.url}/v1/alerts/{target.source}",
                content=raw,
                headers={
                    "Authorization": f"Bearer {target.token}",
                    "Content-Type": "application/json",
                },
            )
        except httpx.HTTPError as error:
            problem = f"{type(error).__name__} {error}".strip()
            await asyncio.sleep(0.5 * 2**attempt)
            continue
        if response.status_code not in _BUSY:
            return response
        problem = f"the receiver answered {response.status_code}"
        await asyncio.sleep(min(float(response.headers.get("retry-after", "1")), 10))
    return problem


def _trusted(target: Target) -> ssl.SSLContext:
    context = trust()
    if target.certificate:
        context.load_verify_locations(target.certificate)
    return context


def _count(outcome: Delivered, answer: httpx.Response | str) -> None:
    if isinstance(answer, httpx.Response) and answer.is_success:
        counts = answer.json()
        outcome.accepted += counts["accepted"]
        outcome.duplicates += counts["duplicates"]
        outcome.quarantined += counts["quarantined"]
        return
    if isinstance(answer, httpx.Response) and answer.json().get("type", "").endswith("not-json"):
        outcome.quarantined += 1
        return
    outcome.refused += 1
    reason = answer if isinstance(answer, str) else answer.json().get("detail", str(answer))
    if reason not in outcome.errors and len(outcome.errors) < 3:  # noqa: PLR2004 - the first few
        outcome.errors.append(reason)


def _progress(total: int) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=total < _MANY,
        transient=True,
    )
