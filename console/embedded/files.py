"""Files of the data directory: written whole or not at all, readable by their owner alone."""

import os
import tempfile
from pathlib import Path

TAIL_BYTES = 16 * 1024
TAIL_LINES = 40


def make_private_folder(path: Path) -> None:
    """Create a folder, and those above it, that only its owner may enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, text: str) -> None:
    """Replace a file by text in one step, mode 0600, on disk before this returns."""
    make_private_folder(path.parent)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_tail(path: Path, *, start: int = 0) -> str:
    """Read the last lines of a log, fit for a terminal.

    Args:
        path: The log; may be absent.
        start: Offset in bytes before which nothing is of interest.

    Returns:
        At most 40 lines, with what is not printable replaced, because alert text is hostile.
    """
    if not path.exists():
        return ""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(start, end - TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()[-TAIL_LINES:]
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)
