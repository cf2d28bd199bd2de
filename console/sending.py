"""Posting events to a receiver, a few at a time, and again while it is busy."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from console.embedded.processes import trust_only
from ingest.body import split
from tocsin.domain.text import one_line
from tocsin.outbound import retry_after, trust

_AT_ONCE: Final = 8
_MANY: Final = 20
_TRIES: Final = 5
_ERRORS: Final = 3
_MOST_EVENTS: Final = 10_000_000
_BUSY: Final = frozenset({429, 502, 503, 504})
_PAUSE: Final = timedelta(seconds=1)
_LONGEST_PAUSE: Final = timedelta(seconds=10)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where to post.

    Attributes:
        url: The whole URL: of a source, or with a capability.
        token: Ingest token of the source; empty where a capability is in the URL.
        certificate: PEM file of the one certificate to trust; empty for the machine's authorities.
    """

    url: str
    token: str = ""
    certificate: str = ""

    @property
    def place(self) -> str:
        """Where that is, without the capability."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


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


def receiver_client(certificate: str) -> httpx.AsyncClient:
    """A client of a receiver.

    Args:
        certificate: PEM file of the one certificate to trust; empty for the machine's authorities.
    """
    verify = trust_only(Path(certificate)) if certificate else trust()
    return httpx.AsyncClient(timeout=30, trust_env=False, verify=verify)


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
        async with receiver_client(target.certificate) as client:

            async def one(raw: bytes) -> None:
                async with places:
                    _count(outcome, await _post(client, target, raw))
                    progress.advance(bar)

            await asyncio.gather(*(one(raw) for raw in pieces))
    return outcome


class _Taken(msgspec.Struct):
    """What we read of a receiver's 202."""

    accepted: int
    duplicates: int
    quarantined: int


class _Refusal(msgspec.Struct):
    """What we read of a problem document (RFC 9457), or say ourselves."""

    detail: str
    type: str = ""


async def _post(client: httpx.AsyncClient, target: Target, raw: bytes) -> _Taken | _Refusal:
    """Post one event, again while the receiver is busy or away."""
    headers = {"Content-Type": "application/json"}
    if target.token:
        headers["Authorization"] = f"Bearer {target.token}"
    problem, pause = "", timedelta()
    for attempt in range(_TRIES):
        await asyncio.sleep(min(pause, _LONGEST_PAUSE).total_seconds())
        try:
            response = await client.post(target.url, content=raw, headers=headers)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return _Refusal(str(error))
        except httpx.LocalProtocolError:
            # Its text repeats the request, and so the token.
            return _Refusal("the request cannot be sent")
        except httpx.HTTPError as error:
            problem = f"{type(error).__name__} {error}".strip()
            pause = _PAUSE * 2**attempt / 2
            continue
        if response.status_code not in _BUSY:
            return _read(response, target)
        problem = f"the receiver answered {response.status_code}"
        asked = retry_after(response.headers)
        pause = _PAUSE if asked is None else asked
    return _Refusal(problem)


def _read(response: httpx.Response, target: Target) -> _Taken | _Refusal:
    """Read an answer; one that no receiver gives is a refusal."""
    kind: type[_Taken | _Refusal] = _Taken if response.is_success else _Refusal
    try:
        return msgspec.json.decode(response.content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        answered = f"{target.place} answered {response.status_code}"
        return _Refusal(f"{answered}, and is no receiver of tocsin")


def _count(outcome: Delivered, answer: _Taken | _Refusal) -> None:
    if isinstance(answer, _Taken):
        outcome.accepted += answer.accepted
        outcome.duplicates += answer.duplicates
        outcome.quarantined += answer.quarantined
    elif answer.type.endswith("not-json"):
        outcome.quarantined += 1
    else:
        outcome.refused += 1
        reason = one_line(answer.detail, limit=500)
        if reason not in outcome.errors and len(outcome.errors) < _ERRORS:
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
