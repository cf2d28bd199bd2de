"""Processes that stand still: they keep their connections, and answer nothing."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stack import eventually


@contextmanager
def frozen(pid: int | None) -> Iterator[None]:
    """Let a running process and its descendants stand still for the time of the block."""
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # first of all, so that no more are born
    family = [pid, *_descendants(pid)]
    try:
        for each in family:
            os.kill(each, signal.SIGSTOP)
        eventually(lambda: all(map(_stands_still, family)), "all of it stands still")
        yield
    finally:
        for each in family:
            os.kill(each, signal.SIGCONT)


def _stands_still(pid: int) -> bool:
    """Whether every thread has met the signal; one that computes meets it a moment later."""
    states = [
        stat.read_text().rpartition(")")[2].split()[0]
        for stat in Path(f"/proc/{pid}/task").glob("*/stat")
    ]
    return set(states) <= {"T"}


def _descendants(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from _descendants(child)
