"""The tree of errors as it is drawn, and which of them are worth another try."""

import re
from collections.abc import Iterator

import pytest
from temporalio.exceptions import ApplicationError

from tocsin import errors
from tocsin.errors import (
    BUGS,
    ConfigError,
    Problem,
    SecretMissing,
    StoreUnavailable,
    TocsinError,
    is_permanent,
)

LINE = re.compile(r"(?P<branch>[│├└─ ]*)(?P<name>\w+)(?P<words>.*)")


def drawn() -> Iterator[tuple[int, str, bool]]:
    """Each class of the drawing: how deep it stands, its name, and whether it is retryable."""
    tree = (errors.__doc__ or "").split("```")[1]
    for found in filter(None, map(LINE.fullmatch, tree.splitlines())):
        yield len(found["branch"]) // 4, found["name"], "(retryable)" in found["words"]


def declared(kind: type[TocsinError], depth: int = 0) -> Iterator[tuple[int, str, bool]]:
    """Each class of the module, as it would be drawn."""
    yield depth, kind.__name__, vars(kind).get("retryable", False)
    for each in kind.__subclasses__():
        if each.__module__ == errors.__name__:
            yield from declared(each, depth + 1)


def test_tree_is_drawn_as_it_is() -> None:
    """Every error stands in the drawing where it belongs, and says there when it is retryable."""
    assert list(drawn()) == list(declared(TocsinError))


@pytest.mark.parametrize(
    "error",
    [
        *(bug("a bug") for bug in BUGS),
        KeyError("a subclass of a bug"),
        ConfigError((Problem(file="tenants", message="wrong"),)),
        SecretMissing("nothing is there"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_would_fail_again_is_permanent(error: Exception) -> None:
    """Bugs, and errors of ours that are not retryable, are not tried again."""
    assert is_permanent(error)


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailable("away"),
        errors.BusFull("a subclass of what may pass"),
        OSError("of the machine"),
        TimeoutError("too slow"),
        ApplicationError("says for itself"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_may_pass_is_not_permanent(error: Exception) -> None:
    """What is away, what the machine lacks and what speaks for itself may be tried again."""
    assert not is_permanent(error)
