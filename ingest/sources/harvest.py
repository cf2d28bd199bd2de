"""Collecting observables from a document by a table of the paths they may stand at."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, cast

from tocsin.domain.alert import Observable, ObservableType
from tocsin.domain.observables import observe

_Node = dict[str, "ObservableType | _Node"]
_MOST_VALUES = 256


class Harvest:
    """A table of paths, ready to walk documents with.

    Only branches that the table names are walked, so the cost follows the table and not the
    document. Arrays on the way are walked through.
    """

    def __init__(self, paths: Mapping[str, ObservableType]) -> None:
        self._root: _Node = {}
        for path, kind in paths.items():
            *branches, leaf = path.split(".")
            node = self._root
            for branch in branches:
                node = cast("_Node", node.setdefault(branch, {}))
            node[leaf] = kind

    def observables(self, document: Mapping[str, Any]) -> tuple[Observable, ...]:
        """What stands at the table's paths, in document order."""
        return tuple(islice(self._walk("", document, self._root), _MOST_VALUES))

    def _walk(self, prefix: str, document: Mapping[str, Any], node: _Node) -> Iterator[Observable]:
        for key, value in document.items():
            inner = node.get(key)
            if inner is None:
                continue
            for item in _items(value):
                if isinstance(inner, dict):
                    if isinstance(item, dict):
                        yield from self._walk(f"{prefix}{key}.", item, inner)
                elif isinstance(item, str):
                    yield from observe(inner, prefix + key, item)


def _items(value: Any) -> Iterable[Any]:  # noqa: ANN401 - JSON
    return value[:_MOST_VALUES] if isinstance(value, list) else (value,)
