"""Real alerts that nobody here wrote; they are read where they lie and never copied."""

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).parents[2] / "shared" / "data"


def real(*path: str) -> Path:
    """A file or folder of the real data; skips the test where there is none."""
    found = Path(os.environ.get("TOCSIN_TEST_DATA", _DEFAULT)).joinpath(*path)
    if not found.exists():
        pytest.skip(f"no real data at {found}; set TOCSIN_TEST_DATA")
    return found
