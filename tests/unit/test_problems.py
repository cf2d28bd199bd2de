"""Errors as problem documents."""

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ingest.problems import HANDLERS, TYPE_BASE, on_error, on_http_error
from tocsin import errors
from tocsin.errors import BadInput, BusFull, InvalidParameter, StreamFull, TocsinError, Unavailable

SLUGS: dict[type[Unavailable], str] = {BusFull: "tenant-full", StreamFull: "stream-full"}
REQUEST = Request({"type": "http", "method": "POST", "path": "/v1/hook/secret", "headers": []})


def _subclasses(base: type[TocsinError]) -> Iterator[type[TocsinError]]:
    for each in base.__subclasses__():
        if each.__module__ == errors.__name__:
            yield each
            yield from _subclasses(each)


@pytest.mark.parametrize("kind", list(_subclasses(BadInput)))
async def test_every_bad_input_has_a_stable_type(kind: type[BadInput]) -> None:
    """Each class of bad input is answered with its own status and type."""
    error = (
        InvalidParameter("p", "is wrong", allowed="x") if kind is InvalidParameter else kind("why")
    )
    answer = await on_error(REQUEST, error)
    content = msgspec.json.decode(answer.body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code == kind.status == content["status"]
    assert content["type"] == TYPE_BASE + kind.slug
    assert content["title"]
    assert content["detail"] == str(error)


@pytest.mark.parametrize("kind", list(_subclasses(Unavailable)))
async def test_what_is_away_says_when_to_come_back(kind: type[Unavailable]) -> None:
    """A dependency that is away is a 503 with whole seconds in Retry-After, at least one."""
    answer = await on_error(REQUEST, kind("away", retry_after=timedelta(seconds=1.2)))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert msgspec.json.decode(answer.body)["type"] == TYPE_BASE + SLUGS.get(kind, "unavailable")


async def test_bug_of_ours_tells_nothing() -> None:
    """An unexpected error is a 500 without a word of what it carried."""
    answer = await on_error(REQUEST, RuntimeError("token abc"))
    assert answer.status_code == 500
    assert b"abc" not in bytes(answer.body)


@pytest.mark.parametrize(
    ("status", "slug"),
    [(404, "not-found"), (405, "method-not-allowed"), (413, "too-large"), (418, "internal")],
)
async def test_what_the_framework_refuses_is_a_problem_too(status: int, slug: str) -> None:
    """Statuses of the framework have a type, and never show the path."""
    answer = await on_http_error(REQUEST, HTTPException(status, headers={"Allow": "POST"}))
    assert answer.status_code == status
    assert msgspec.json.decode(answer.body)["type"] == TYPE_BASE + slug
    assert b"secret" not in bytes(answer.body)
    assert answer.headers.get("allow") == ("POST" if status == 405 else None)


def test_every_error_has_a_handler() -> None:
    """Errors of ours, of the framework and of anybody else are all answered here."""
    assert set(HANDLERS) == {TocsinError, HTTPException, Exception}
