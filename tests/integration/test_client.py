"""The command beside something that is no operators' interface."""

import pytest

from tests.command import tocsin
from tests.integration.listener import answer, listening


@pytest.mark.parametrize(
    "foreign",
    [
        answer(200, "<html>welcome</html>"),
        answer(200, "[]"),
        answer(404, '{"detail": ["no text"]}'),
        answer(200, '{"items": "?"}').replace(b"?", b"\xff"),
    ],
)
async def test_strange_answers(foreign: bytes) -> None:
    """What another program answers is a sentence, never a traceback."""
    async with listening(foreign) as there:
        url = there.url.removesuffix("/hook")
        ran = await tocsin("balance", TOCSIN_URL=url, TOCSIN_TOKEN="t")
    said = f"tocsin: what answers at {url} is no operators' interface of tocsin\n"
    assert (ran.code, ran.output, ran.errors) == (1, "", said)
