"""What `docs/adding-a-source.md` shows works."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.sources import base
from ingest.sources.bundles import LARGEST_ENVELOPE
from ingest.sources.registry import open_source
from tests.reading import read
from tocsin.domain.vocabulary import MAPPED_FIELDS
from tocsin.errors import NotAnAlert
from tocsin.tenants import SourceConfig

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-source.md").read_text()


def _block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found
    return found[1]


def test_the_example_is_a_source() -> None:
    """The file on the page reads a document, and refuses another."""
    names: dict[str, Any] = {}
    exec(compile(_block("python"), "adding-a-source.md", "exec"), names)
    doorbell: base.Source = names["Doorbell"]()
    ring = {"id": 7, "kind": "night", "title": "Ding", "urgency": "high", "at": 1_794_902_569}
    alert = read(doorbell, {"ring": ring, "visitor": {"ip": "192.0.2.1", "name": "anna"}})
    assert (alert.source_event_id, alert.severity, len(alert.observables)) == ("7", "high", 2)
    with pytest.raises(NotAnAlert):
        read(doorbell, {})


def test_the_generic_example_is_a_configuration() -> None:
    """The tenant file on the page opens a source that reads."""
    (config,) = yaml.safe_load(_block("yaml"))["sources"]
    source = open_source(SourceConfig(**config))
    assert read(source, {"uuid": "u", "output": "a shell"}).message == "a shell"


def test_the_page_names_every_field() -> None:
    """A mapping key that exists is on the page."""
    plain = {field for field in MAPPED_FIELDS if not field.startswith("observables.")}
    assert all(f"`{field}`" in PAGE for field in plain)


@pytest.mark.parametrize(
    "bound",
    [
        base.LONGEST_MESSAGE,
        base.LONGEST_TEXT,
        base.LONGEST_NAME,
        base.MOST_OBSERVABLES,
        base.MOST_BUNDLED,
        LARGEST_ENVELOPE,
    ],
)
def test_the_page_names_every_bound(bound: int) -> None:
    """The bounds on the page are those of the code."""
    assert f"| {bound}" in PAGE
