"""What `--json` prints: pure ASCII, since strangers wrote much of it and terminals obey."""

import json

import pytest

from console.commands.alert import FIELDS
from tests.command import tocsin
from tests.integration.listener import answer, listening

HOSTILE = "\x9b31m\x9d0;pwned\x9c\u202e\x7fü"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("alert", "list"), {"items": [dict.fromkeys(FIELDS, HOSTILE)], "next": None}),
        (("alert", "show", "0" * 32), {"id": HOSTILE}),
        (("alert", "show", "0" * 32, "--ocsf"), {"message": HOSTILE}),
        (("dlq", "list"), {"items": [{"reason": HOSTILE}], "next": None}),
        (("dlq", "show", "1"), {"body": HOSTILE}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
async def test_json_is_ascii(arguments: tuple[str, ...], said: dict[str, object]) -> None:
    """Control and direction marks in what is listed or shown are escaped, and lose nothing."""
    async with listening(answer(200, json.dumps(said))) as api:
        url = api.url.removesuffix("/hook")
        ran = await tocsin(*arguments, "--json", TOCSIN_URL=url, TOCSIN_TOKEN="t")
    assert (ran.code, ran.errors) == (0, "")
    assert ran.output.isascii()
    assert all(sign.isprintable() for sign in ran.output.rstrip("\n"))
    (shown,) = ran.lines
    assert HOSTILE in shown.values()
