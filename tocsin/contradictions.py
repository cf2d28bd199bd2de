"""What no single key of a tenant file shows to be wrong.

These checks read documents, not models, so that they also report on files with other problems:
what does not have the expected shape is passed over here, and reported by the model.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from tocsin.documents import Document, Place, Where, suggest
from tocsin.errors import Problem

GROUPS = ("sources", "rules", "receivers", "routes")
SHIPPED = ("page", "post")
KEYS = ("tokens", "capabilities")
CLAIMS = {
    "tenant": ("this tenant", "one file holds all of a tenant: join them, or rename one"),
    "tokens": ("this token", "give each tenant tokens of its own"),
    "capabilities": ("this capability", "give each source capabilities of its own"),
}


def contradictions(document: Document) -> Iterator[Problem]:
    """Find what contradicts itself in one tenant file."""
    for group in GROUPS:
        yield from _repeated_names(document, group)
    yield from _closed_sources(document)
    yield from _unknown_receivers(document)
    final = [item.get("final") is True for item in _items(document, "rules")]
    last = [item.get("continue") is not True for item in _items(document, "routes")]
    yield from _unreachable(document, "rules", final)
    yield from _unreachable(document, "routes", last)


def clashes(documents: Sequence[Document]) -> Iterator[Problem]:
    """Find what is claimed twice in all tenant files: a tenant, a token, a capability.

    One sender may post to several sources of its tenant with one token; a capability is one
    source's alone.
    """
    claimed: dict[str, tuple[object, Place]] = {}
    for document in documents:
        file = document.places[()].file
        if isinstance(tenant := document.data.get("tenant"), str):
            yield from _claim(claimed, document, ("tenant",), f"tenant {tenant}", file)
        for at, source in enumerate(_items(document, "sources")):
            for nth, token in enumerate(_texts(source.get("tokens"))):
                yield from _claim(claimed, document, ("sources", at, "tokens", nth), token, file)
            for nth, capability in enumerate(_texts(source.get("capabilities"))):
                where = ("sources", at, "capabilities", nth)
                yield from _claim(claimed, document, where, capability, (file, where))


def _claim(
    claimed: dict[str, tuple[object, Place]],
    document: Document,
    where: Where,
    value: str,
    owner: object,
) -> Iterator[Problem]:
    first_owner, first = claimed.setdefault(value, (owner, document.places[where]))
    if first_owner != owner:
        what, hint = next(CLAIMS[step] for step in reversed(where) if step in CLAIMS)
        yield document.problem(where, f"{what} stands already in {first.file}:{first.line}", hint)


def _repeated_names(document: Document, group: str) -> Iterator[Problem]:
    names = _names(document, group)
    for at, name in enumerate(names):
        if name and name in names[:at]:
            message = f"{name} is the second of its name among {group}"
            yield document.problem((group, at, "name"), message, "rename one")


def _closed_sources(document: Document) -> Iterator[Problem]:
    for at, source in enumerate(_items(document, "sources")):
        if source and not any(source.get(kind) for kind in KEYS):
            message = f"nobody can post to source {source.get('name', '')}"
            hint = "give it the SHA-256 of a token or of a capability"
            yield document.problem(("sources", at), message, hint)


def _unknown_receivers(document: Document) -> Iterator[Problem]:
    known = [name for name in _names(document, "receivers") if name]
    for at, route in enumerate(_items(document, "routes")):
        for nth, name in enumerate(_texts(route.get("receivers"))):
            if name not in known:
                yield _unknown(document, ("routes", at, "receivers", nth), name, known)
    fallback = document.data.get("fallback")
    if isinstance(fallback, str) and fallback not in known:
        yield _unknown(document, ("fallback",), fallback, known)
    if known and "routes" not in document.data:
        for name in SHIPPED:
            if name not in known:
                message = f"the shipped routes need a receiver named {name}"
                yield document.problem(("receivers",), message, "name one so, or write routes:")


def _unknown(document: Document, where: Where, name: str, known: list[str]) -> Problem:
    hint = suggest(name, known) if known else "write it under receivers:"
    return document.problem(where, f"there is no receiver {name}", hint)


def _unreachable(document: Document, group: str, ends: list[bool]) -> Iterator[Problem]:
    """Find what stands behind a condition that is always true and lets nothing pass."""
    items = _items(document, group)
    names = _names(document, group)
    always = [str(item.get("when")).strip() == "true" for item in items]
    stops = [at for at in range(len(items)) if always[at] and ends[at]]
    for at in range(stops[0] + 1 if stops else len(items), len(items)):
        hint = f"{names[stops[0]]} always matches and lets nothing pass"
        yield document.problem((group, at), f"{names[at]} is never reached", hint)


def _items(document: Document, group: str) -> list[dict[str, Any]]:
    items = document.data.get(group)
    listed = items if isinstance(items, list) else []
    return [item if isinstance(item, dict) else {} for item in listed]


def _names(document: Document, group: str) -> list[str]:
    return [str(item.get("name", "")) for item in _items(document, group)]


def _texts(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
