"""What the page about the stack on one machine lists is what there is."""

import re
from pathlib import Path

import msgspec

from console.embedded.endpoints import Endpoints
from console.embedded.options import PARTS

PAGE = (Path(__file__).parents[2] / "docs" / "one-machine.md").read_text(encoding="utf-8")


def test_every_field_of_the_endpoints_is_described() -> None:
    """The table of `endpoints.json` has its fields, in its order."""
    _, _, table = PAGE.partition("## `endpoints.json`")
    described = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert described == [field.name for field in msgspec.structs.fields(Endpoints)]


def test_every_part_is_named() -> None:
    """The parts that can be left out are those of the code."""
    sentence = re.search(r"The parts are (.*?)\.", PAGE, re.DOTALL)
    assert sentence is not None
    assert re.findall(r"`(\w+)`", sentence[1]) == list(PARTS)
