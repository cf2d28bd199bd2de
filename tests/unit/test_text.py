"""Strangers' text in a line, and many lines in a small room."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.domain.text import fitting, one_line

TEXT = st.text(st.characters(), max_size=80)


@given(TEXT)
def test_any_text_is_one_harmless_line(text: str) -> None:
    """Whatever the text, its line is printable and no longer than asked."""
    line = one_line(text, limit=40)
    assert line.isprintable()
    assert len(line) <= 40


@given(st.lists(TEXT, max_size=60), st.integers(100, 1000))
def test_any_lines_fit_the_room(texts: list[str], room: int) -> None:
    """Whatever the texts, their encoded list is no longer than the room."""
    assert len(msgspec.json.encode(fitting(texts, room=room))) <= room


def test_lines_that_fit_are_left_alone() -> None:
    """Where there is room for all, all are there."""
    assert fitting(["a", "b", "c"], room=100) == ("a", "b", "c")


@pytest.mark.parametrize("count", [9, 20, 60])
def test_what_does_not_fit_is_counted(count: int) -> None:
    """The first ones stay, and a last line says how many more there are."""
    *kept, last = fitting(["x" * 20] * count, room=200)
    assert kept == ["x" * 20] * 8
    assert last == f"and {count - 8} more"
