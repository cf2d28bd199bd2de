"""Where settings come from: a file, variables, flags; and how one lies over another."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from tocsin.documents import Document, Place, Where, load_document

RESEMBLES = 0.8


def overlaid(layers: Iterable[Document]) -> Document:
    """Lay documents over each other, the last on top; each value keeps its place."""
    data: dict[str, Any] = {}
    places: dict[Where, Place] = {(): Place("settings")}
    for layer in layers:
        data = _over(data, layer.data)
        places.update(layer.places)
    return Document(data=data, places=places)


def from_file(path: Path, model: type[BaseModel] | None = None) -> Document:
    """Read a YAML file; relative paths and `file:` references in it start at its folder.

    Args:
        path: The file.
        model: Tells which values are paths; without it, only `file:` references are.

    Raises:
        ConfigError: As `load_document`.
    """
    document = load_document(path)
    data = {
        key: _anchored(item, path.parent, _type(model, key)) for key, item in document.data.items()
    }
    return Document(data=data, places=document.places)


def from_variables(variables: Mapping[str, str], prefix: str, model: type[BaseModel]) -> Document:
    """Take the variables that name a setting, perhaps misspelt.

    Names that resemble no setting are left alone: references use some, and orchestrators add some
    for services of their own, such as `TOCSIN_NATS_PORT`. An empty one counts as not set.

    Args:
        variables: All of the environment.
        prefix: What names of settings begin with.
        model: Its fields, and those of its sections, are what can be named.
    """
    given = {name: value for name, value in sorted(variables.items()) if value}
    named = {
        name: _named(name.removeprefix(prefix).lower(), model)
        for name in given
        if name.startswith(prefix)
    }
    return _collected({name: (where, given[name]) for name, where in named.items() if where})


def from_flags(flags: Mapping[str, Any]) -> Document:
    """Take flags by dotted name, for example `receiver.listen`; None counts as not given."""
    given = {name: value for name, value in flags.items() if value is not None}
    return _collected(
        {f"flag {name}": (tuple(name.split(".")), value) for name, value in given.items()}
    )


def _collected(values: Mapping[str, tuple[Where, Any]]) -> Document:
    data: dict[str, Any] = {}
    places: dict[Where, Place] = {}
    for source, (where, value) in values.items():
        places[where] = Place(source)
        nested = value
        for step in reversed(where):
            nested = {step: nested}
        data = _over(data, nested)
    return Document(data=data, places=places)


def _named(name: str, model: type[BaseModel]) -> Where:
    """The path of the setting a variable names; empty when it resembles none."""
    section, _, key = name.partition("_")
    if known := _keys(_type(model, section)):
        return (section, key) if _resembles(key, known) else ()
    top = [field for field in model.model_fields if not _keys(_type(model, field))]
    return (name,) if _resembles(name, top) else ()


def _resembles(word: str, known: list[str]) -> bool:
    return bool(difflib.get_close_matches(word, known, cutoff=RESEMBLES))


def _anchored(value: Any, folder: Path, kind: Any) -> Any:  # noqa: ANN401 - YAML
    if isinstance(value, dict):
        return {key: _anchored(item, folder, _type(kind, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_anchored(item, folder, None) for item in value]
    if isinstance(value, str) and value.startswith("file:"):
        return f"file:{folder / value.removeprefix('file:')}"
    if isinstance(value, str) and (kind is Path or Path in get_args(kind)):
        return str(folder / value)
    return value


def _type(model: Any, name: str) -> Any:  # noqa: ANN401 - a type annotation
    fields = model.model_fields if _keys(model) else {}
    return fields[name].annotation if name in fields else None


def _keys(kind: Any) -> list[str]:  # noqa: ANN401 - a type annotation
    """Names of a model's keys; empty for what is no model."""
    is_model = isinstance(kind, type) and issubclass(kind, BaseModel)
    return list(kind.model_fields) if is_model else []


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = below.get(key)
        both = isinstance(under, dict) and isinstance(value, dict)
        merged[key] = _over(under or {}, value) if both else value
    return merged
