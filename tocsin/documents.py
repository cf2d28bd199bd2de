"""YAML files with the place of every key, and models checked against them.

Only plain data is read: no tags, no merge keys, no repeated keys. Aliases are followed, up to a
bound on what they unfold to.
"""

import difflib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec
import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tocsin.errors import ConfigError, Problem
from tocsin.nodes import DEEPEST, compose

LARGEST = 1024 * 1024
MOST_VALUES = 50_000
_TAG = "tag:yaml.org,2002:"

Where = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


class Place(msgspec.Struct, frozen=True):
    """Where a value was written.

    Attributes:
        file: The file's path as the user named it; a flag or variable when it is no file.
        line: Line number from 1; 0 when it is no file.
    """

    file: str
    line: int = 0


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """Plain data that knows where it comes from.

    Attributes:
        data: Keys and values.
        places: Where each key or list item was written; the empty path is the document itself.
    """

    data: dict[str, Any]
    places: Mapping[Where, Place]

    def problem(self, where: Where, message: str, hint: str) -> Problem:
        """Describe a problem at a path, or at the nearest thing around it that was written."""
        nearest = next(path for path in _upwards(where) if path in self.places)
        place = self.places[nearest]
        return Problem(file=place.file, line=place.line, message=message, hint=hint)


def load_document(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        ConfigError: The file cannot be read, is no YAML, or holds more than plain data.
    """
    file = str(path)
    try:
        content = path.read_bytes()
        if len(content) > LARGEST:
            message = f"is larger than {LARGEST} bytes"
            raise ConfigError((Problem(file=file, message=message, hint="is it the right file?"),))
        text = content.decode()
        return _Reading(file).document(compose(text))
    except OSError as error:
        hint = "name a file that is there, and that we may read"
        problem = Problem(file=file, message=f"cannot be read: {error.strerror}", hint=hint)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = _no_yaml(file, line, "it holds bytes that are no UTF-8 text", "save it as UTF-8")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        found = f"it holds the control character U+{error.character:04X}"
        problem = _no_yaml(file, line, found, "take it out")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = "indent with spaces, and quote text that holds ': ' or starts with a special sign"
        found = error.problem or error.context or "it is cut short"
        problem = _no_yaml(file, mark.line + 1 if mark else 0, found, error.note or hint)
    raise ConfigError((problem,))


def _no_yaml(file: str, line: int, found: str, hint: str) -> Problem:
    return Problem(file=file, line=line, message=f"is no YAML: {found}", hint=hint)


def check(model: type[Model], document: Document) -> Model:
    """Make a model of a document.

    Raises:
        ConfigError: With everything that is wrong, in file order. Values are never repeated: a
            wrong one may be a secret.
    """
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=True)
        problems = [_explain(model, document, detail) for detail in details]
    raise ConfigError(in_order(problems))


def in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    """Sort problems by file and line, without repeats."""
    return tuple(sorted(dict.fromkeys(problems), key=lambda problem: (problem.file, problem.line)))


def suggest(word: str, known: list[str]) -> str:
    """A hint that names the nearest known word, or all of them when none is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(set(known)))}"


class _Reading:
    """Turns the nodes of one file into data, and remembers where each stood."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._places: dict[Where, Place] = {(): Place(file, 1)}
        self._problems: list[Problem] = []
        self._left = MOST_VALUES
        self._scalars = yaml.constructor.SafeConstructor()

    def document(self, root: yaml.Node | None) -> Document:
        """Read the whole tree."""
        data = {} if root is None else self._value(root, ())
        if not isinstance(data, dict):
            self._note(
                root, "must hold keys and values", "begin each line with a key: and its value"
            )
        if self._problems:
            raise ConfigError(in_order(self._problems))
        return Document(data=data, places=self._places)

    def _value(self, node: yaml.Node, path: Where) -> Any:  # noqa: ANN401 - YAML
        self._left -= 1
        if self._left < 0 or len(path) > DEEPEST:
            bound = f"{MOST_VALUES} values or {DEEPEST} levels"
            line = self._places[path[:1]].line
            hint = "write less, and fewer aliases"
            self._problems.append(self._problem(line, f"unfolds to more than {bound}", hint))
            raise ConfigError(in_order(self._problems))
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._item(item, (*path, at)) for at, item in enumerate(node.value)]
        return self._scalar(node)

    def _item(self, node: yaml.Node, path: Where) -> Any:  # noqa: ANN401 - YAML
        self._places[path] = Place(self._file, node.start_mark.line + 1)
        return self._value(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Where) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == f"{_TAG}merge":
                self._note(key, "a key must be plain text", "write merged keys out")
            elif key.value in data:
                first = self._places[*path, key.value].line
                self._note(key, f"{key.value} is given twice", f"the first is in line {first}")
            else:
                self._places[*path, key.value] = Place(self._file, key.start_mark.line + 1)
                data[key.value] = self._value(value, (*path, key.value))
        return data

    def _scalar(self, node: yaml.Node) -> Any:  # noqa: ANN401 - YAML
        construct: dict[str, Callable[[yaml.ScalarNode], Any]] = {
            "null": self._scalars.construct_yaml_null,
            "bool": self._scalars.construct_yaml_bool,
            "int": self._scalars.construct_yaml_int,
            "float": self._scalars.construct_yaml_float,
            "str": self._scalars.construct_yaml_str,
            "timestamp": self._scalars.construct_yaml_str,
        }
        kind = node.tag.removeprefix(_TAG)
        if kind not in construct or not isinstance(node, yaml.ScalarNode):
            self._note(node, "holds a tag that is not known", "write plain text, numbers, lists")
            return None
        try:
            return construct[kind](node)
        except (ValueError, LookupError, OverflowError):
            found = "neither true nor false" if kind == "bool" else "no number that can be read"
            self._note(node, f"is {found}", "put text in quotes, without a tag")
            return None

    def _note(self, node: yaml.Node | None, message: str, hint: str) -> None:
        line = node.start_mark.line + 1 if node else 1
        self._problems.append(self._problem(line, message, hint))

    def _problem(self, line: int, message: str, hint: str) -> Problem:
        return Problem(file=self._file, line=line, message=message, hint=hint)


_NESTED = ("keys and values", "write key: value on lines of its own, indented, below it")
_MUST_BE = {
    "bool": ("true or false", "write it without quotes"),
    "dict": _NESTED,
    "finite": ("a number", "write it in digits"),
    "float": ("a number", "write it in digits"),
    "int": ("a whole number", "write it in digits"),
    "model": _NESTED,
    "path": ("a path", "write it as text"),
    "string": ("text", "put it in quotes"),
    "tuple": ("a list", "write it in brackets, or each item on a line that begins with -"),
}
_DEFAULT = "or leave it out for the default"
_BOUNDS = {
    "greater_than": ("must be more than {gt}", f"raise it, {_DEFAULT}"),
    "greater_than_equal": ("must be at least {ge}", f"raise it, {_DEFAULT}"),
    "less_than_equal": ("must be at most {le}", f"lower it, {_DEFAULT}"),
    "too_short": ("must not be empty", "write at least one"),
    "string_too_short": ("must not be empty", "write at least one character"),
}


def _explain(model: type[BaseModel], document: Document, detail: ErrorDetails) -> Problem:
    """Say in the words of the file what pydantic found."""
    path, kind = detail["loc"], detail["type"]
    if kind == "extra_forbidden":
        known = list(_keys(model, path[:-1]))
        return document.problem(path, f"unknown key {path[-1]}", suggest(str(path[-1]), known))
    if kind == "missing":
        return document.problem(path, f"{path[-1]} is missing", f"add {path[-1]}:")
    name = ".".join(str(step) for step in path if isinstance(step, str) and step != "[key]")
    message, hint = _wording(kind, detail)
    return document.problem(path, f"{name} {message}".lstrip(), hint)


def _wording(kind: str, detail: ErrorDetails) -> tuple[str, str]:
    """What is wrong with a value, and a hint; never the value itself."""
    context: dict[str, Any] = detail.get("ctx", {})
    if kind in ("literal_error", "enum"):
        expected = str(context["expected"]).replace("'", "")
        return "is not one of its values", f"use {expected}"
    if kind in _BOUNDS:
        message, hint = _BOUNDS[kind]
        return message.format(**context), hint
    if (stem := kind.partition("_")[0]) in _MUST_BE:
        message, hint = _MUST_BE[stem]
        return f"must be {message}", hint
    return detail["msg"], str(context.get("hint") or "docs/configuration.md says what it may be")


def _keys(model: type[BaseModel], path: Where) -> Iterator[str]:
    """Names of the keys a model takes at a path."""
    annotation: Any = model
    for step in path:
        annotation = _below(_plain(annotation), step)
    plain = _plain(annotation)
    if isinstance(plain, type) and issubclass(plain, BaseModel):
        yield from (field.alias or name for name, field in plain.model_fields.items())


def _below(annotation: Any, step: str | int) -> Any:  # noqa: ANN401 - a type annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        return next(field.annotation for name, field in fields if step in (name, field.alias))
    return get_args(annotation)[0]


def _plain(annotation: Any) -> Any:  # noqa: ANN401 - a type annotation
    """The annotation without `Annotated` and `| None`."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _plain(get_args(annotation)[0])
    return annotation


def _upwards(path: Where) -> Iterator[Where]:
    for length in range(len(path), -1, -1):
        yield path[:length]
