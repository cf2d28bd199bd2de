"""The command beside something that is no operators' interface."""

import pytest

from console.client import ApiUnavailable, Client
from tests.command import tocsin
from tests.integration.listener import answer, listening


@pytest.mark.parametrize(
    "foreign",
    [
        answer(200, "<html>welcome</html>"),
        answer(200, "[]"),
        answer(404, '{"detail": ["no text"]}'),
        answer(200, '{"items": "?"}').replace(b"?", b"\xff"),
        answer(200, '{"items": ' + "[" * 100_000),
        answer(404, '{"items": ' + "[" * 100_000),
    ],
)
async def test_strange_answers(foreign: bytes) -> None:
    """What another program answers is a sentence, never a traceback."""
    async with listening(foreign) as there:
        url = there.url.removesuffix("/hook")
        ran = await tocsin("balance", TOCSIN_URL=url, TOCSIN_TOKEN="t")
    said = f"tocsin: what answers at {url} is no operators' interface of tocsin\n"
    assert (ran.code, ran.output, ran.errors) == (1, "", said)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\n\n"])
async def test_line_break_behind_a_token(ending: str) -> None:
    """A token that was read with its line break is used without it."""
    async with listening(answer(200, '{"items": [], "next": null}')) as there:
        url = there.url.removesuffix("/hook")
        ran = await tocsin("dlq", "list", TOCSIN_URL=url, TOCSIN_TOKEN=f"sekret{ending}")
    assert (ran.code, ran.errors) == (0, "")
    assert there.seen[0].headers["authorization"] == "Bearer sekret"


@pytest.mark.parametrize("token", ["sekret ", "sek\nret", "sekr\u00e9t"])
async def test_token_that_no_header_holds(token: str) -> None:
    """Such a token is a wrong variable, which is named; the token is not."""
    ran = await tocsin("balance", TOCSIN_URL="http://127.0.0.1:1", TOCSIN_TOKEN=token)
    assert (ran.code, ran.output) == (2, "")
    assert "TOCSIN_TOKEN" in ran.errors
    assert "sek" not in ran.errors


async def test_request_that_cannot_be_sent() -> None:
    """What keeps a request from being sent is not repeated, for it may be the token."""
    async with listening(answer(200, "{}")) as there, Client(there.url, "sekret\n") as client:
        with pytest.raises(ApiUnavailable) as caught:
            await client.get("/v1/balance")
    assert "sekret" not in str(caught.value)
    assert caught.value.__cause__ is None
