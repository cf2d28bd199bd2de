"""YAML files: plain data only, and every problem with its line."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.documents import LARGEST, load_document
from tocsin.errors import ConfigError

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
WRONG = {
    "repeated key": ("a: 1\nb: 2\na: 3\n", 3, "a is given twice"),
    "repeated key below": ("a:\n  b: 1\n  b: 2\n", 3, "b is given twice"),
    "alias bomb": (BOMB, 14, "unfolds to more than"),
    "alias to itself": ("a: &a\n  b: *a\n", 1, "unfolds to more than"),
    "deep": (f"a: {'[' * 30}{']' * 30}\n", 1, "is nested deeper"),
    "very deep": (f"a:\n  {'[' * 3000}{']' * 3000}\n", 2, "is nested deeper"),
    "merge key": ("a: &a {b: 1}\nc:\n  <<: *a\n", 3, "a key must be plain text"),
    "list as key": ("? [a, b]\n: 1\n", 1, "a key must be plain text"),
    "tag": ("a: 1\nb: !!python/object:os.system {}\n", 2, "holds a tag"),
    "scalar tag": ("a: 1\nb: !secret x\n", 2, "holds a tag that is not known"),
    "endless number": (f"a: {'9' * 5000}\n", 1, "is no number that can be read"),
    "endless minutes": (f"a: 1{':00' * 300}.0\n", 1, "is no number that can be read"),
    "text tagged as a number": ("a: 1\nb: !!int x\n", 2, "is no number that can be read"),
    "text tagged as a bool": ("a: 1\nb: !!bool nope\n", 2, "is neither true nor false"),
    "escaped no character": ('a: 1\nb: "\\U00110000"\n', 2, "that stands for nothing"),
    "escaped half": ('a: 1\nb: "\\uD800"\n', 2, "that stands for nothing"),
    "escaped below": ('a:\n  - b\n  -\n    "\\uD800"\n', 4, "that stands for nothing"),
    "half as key": ('a: 1\n"\\uD800": 2\n', 2, "that stands for nothing"),
    "endless version": (f"%YAML {'9' * 5000}.1\n", 1, "that stands for nothing"),
    "list at the top": ("- a\n- b\n", 1, "must hold keys and values"),
    "text at the top": ("hello\n", 1, "must hold keys and values"),
    "tabs": ("a:\n\tb: 1\n", 2, "is no YAML"),
    "open bracket": ("a: [1, 2\nb: 3\n", 2, "is no YAML"),
    "unknown alias": ("a: *b\n", 1, "is no YAML"),
    "second document": ("a: 1\n---\nb: 2\n", 2, "is no YAML"),
    "control characters": ("a: 1\nb: \x00\n", 2, "holds the control character U+0000"),
    "large": (f"a: {'x' * LARGEST}\n", None, "is larger than"),
}


@pytest.mark.parametrize(("text", "line", "message"), WRONG.values(), ids=WRONG)
def test_what_is_refused(tmp_path: Path, text: str, line: int | None, message: str) -> None:
    """What is more than plain data is refused with its line."""
    file = tmp_path / "file.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_document(file)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line or None) == (str(file), line)
    assert message in problem.message


def test_plain_data(tmp_path: Path) -> None:
    """Numbers, texts, lists, aliases and an empty file are read; dates stay text."""
    file = tmp_path / "file.yaml"
    file.write_text("a: &a [1, 2.5, yes, null, text, 2026-11-20]\nb: *a\n1: one\non: key\n")
    items = [1, 2.5, True, None, "text", "2026-11-20"]
    assert load_document(file).data == {"a": items, "b": items, "1": "one", "on": "key"}
    file.write_text("")
    assert load_document(file).data == {}


def test_file_that_is_not_there(tmp_path: Path) -> None:
    """A file that cannot be read is a problem, not a crash."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_document(tmp_path / "no.yaml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_document(tmp_path)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever a file holds, reading it ends in data or in problems."""
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(content)
    with contextlib.suppress(ConfigError):
        assert isinstance(load_document(file).data, dict)
