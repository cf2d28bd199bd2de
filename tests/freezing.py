"""Processes that stand still: they keep their connections, and answer nothing."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Let a process and its descendants stand still for the time of the block."""
    os.kill(pid, signal.SIGSTOP)  # first of all, so that no more are born
    family = [pid, *_descendants(pid)]
    try:
        for each in family:
            os.kill(each, signal.SIGSTOP)
        yield
    finally:
        for each in family:
            os.kill(each, signal.SIGCONT)


def _descendants(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from _descendants(child)
