"""The books, closed from counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest.books import close
from tocsin.store.balance import Entries

NOTHING = Entries(**dict.fromkeys(Entries.__struct_fields__, 0))
COUNT = st.integers(0, 1000)


@given(COUNT, COUNT, COUNT, COUNT, COUNT, COUNT)
def test_books_of_a_sound_road_balance(
    waiting: int, running: int, finished: int, quarantined: int, letters: int, unread: int
) -> None:
    """Whatever waits, runs, is done or is no alert: both equations hold, and nothing is lost."""
    alerts = running + finished
    counts = replace(
        NOTHING,
        recorded=alerts + quarantined,
        m_alert=alerts,
        m_quarantine=quarantined,
        running=running,
        finished=finished,
        started=alerts,
        refused=letters,
    )
    books = close(counts, last=alerts + quarantined + waiting, unread=unread)
    assert books.balanced
    assert books.pending == waiting + unread
    assert books.stored == books.running + books.finished + books.failed
    assert books.received == (
        books.pending + books.stored + books.duplicates + books.quarantined + books.dead
    )


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"finished": 1}, id="a run without its message"),
        pytest.param({"recorded": 1, "m_alert": 1}, id="a message without its run"),
        pytest.param({"redriven": 1}, id="more letters redriven than there are"),
        pytest.param({"recorded": 2, "m_duplicate": 2}, id="more recorded than received"),
    ],
)
def test_books_that_cannot_be_right_do_not_balance(wrong: dict[str, int]) -> None:
    """What no sound road can lead to is said, although the first equation holds."""
    assert not close(replace(NOTHING, **wrong), last=1, unread=0).balanced


def test_lost_and_unlettered_are_named() -> None:
    """A lost message is counted nowhere; one whose letter is gone stays in quarantine."""
    counts = replace(NOTHING, recorded=1, m_quarantine=1)
    books = close(counts, last=2, unread=0, unrecorded=(2,), unlettered=(1,))
    assert (books.balanced, books.lost, books.pending, books.quarantined) == (False, (2, 1), 0, 1)
