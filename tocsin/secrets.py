"""Secrets by reference: `vault:path#key`, `env:NAME`, `file:path`; values live in memory only.

A value from the backend is read again after `vault.refresh`. While the backend is away, the last
value serves for `vault.keep` from when it was read, and never past the end of our token's lease.
Variables and files are read each time. Line breaks at the end of a value are cut off, wherever it
is: editors, `echo` and `vault kv put x key=@file` put one there, and nobody means it.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec
import structlog
from pydantic import BaseModel

from tocsin.domain.alert import TenantName
from tocsin.errors import SecretMissing, VaultUnavailable
from tocsin.fields import REFERENCE_HINT, is_reference
from tocsin.settings import VaultSettings
from tocsin.vault_session import PAUSE_SECONDS, VaultSession

LARGEST_FILE = 64 * 1024

log = structlog.get_logger()


class SecretRef(msgspec.Struct, frozen=True):
    """Names a secret.

    Attributes:
        backend: Where it is: `vault`, `env` or `file`.
        name: Path in the backend, name of the variable, or path of the file.
        key: Which of the keys at that path; empty for variables and files.
    """

    backend: str
    name: str
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a reference.

        Raises:
            SecretMissing: It is no reference; the message does not repeat it.
        """
        if not is_reference(text):
            raise SecretMissing(f"what is configured is no reference: {REFERENCE_HINT}")
        backend, _, rest = text.partition(":")
        if backend != "vault":
            return cls(backend, rest)
        path, _, key = rest.partition("#")
        return cls(backend, path.strip("/"), key)


class Reference(msgspec.Struct, frozen=True):
    """A reference that stands in the configuration.

    Attributes:
        where: Dotted path of the value that holds it.
        reference: The reference itself.
    """

    where: str
    reference: str


class _Kept(msgspec.Struct):
    """Keys and values of one path, kept until they are read again; never printed."""

    values: dict[str, str]
    read_at: float
    fresh_until: float

    def __repr__(self) -> str:
        return "<secret>"


class SecretStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a reference leads to a value.

    Attributes:
        where: Dotted path of the value that holds the reference.
        reference: The reference itself.
        ok: True when there is a value.
        problem: What is wrong; empty when nothing is.
    """

    where: str
    reference: str
    ok: bool
    problem: str = ""


class Secrets:
    """Resolves references; one per process, closed at its end.

    Args:
        settings: The backend, and how long its values are kept.
        clock: Monotonic seconds.
    """

    def __init__(
        self, settings: VaultSettings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._session: VaultSession | None = None
        self._kept: dict[str, _Kept] = {}
        self._readings: dict[str, asyncio.Task[dict[str, str]]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Forget all values, and leave the backend."""
        self._kept.clear()
        if self._session is not None:
            await self._session.close()

    async def value(self, text: str) -> str:
        """The value a reference leads to; text that is no reference, as it is.

        Raises:
            SecretMissing: As `resolve`.
            VaultUnavailable: As `resolve`.
        """
        return await self.resolve(text) if is_reference(text) else text

    async def resolve(self, reference: str) -> str:
        """The value a reference leads to.

        Raises:
            SecretMissing: It is no reference, or there is nothing where it leads.
            VaultUnavailable: The backend does not answer, and no kept value may serve.
        """
        ref = SecretRef.parse(reference)
        found = await (self._from_vault(ref) if ref.backend == "vault" else _from_here(ref))
        value = found.rstrip("\r\n")
        if not value:
            raise SecretMissing(f"{reference} is empty")
        return value

    async def check(self, references: Iterable[Reference]) -> list[SecretStatus]:
        """Try references, all at once; the values are dropped."""
        return list(await asyncio.gather(*(self._status(each) for each in references)))

    async def _status(self, each: Reference) -> SecretStatus:
        problem = ""
        try:
            await self.resolve(each.reference)
        except (SecretMissing, VaultUnavailable) as error:
            problem = str(error)
        return SecretStatus(
            where=each.where, reference=each.reference, ok=not problem, problem=problem
        )

    async def _from_vault(self, ref: SecretRef) -> str:
        kept = self._kept.get(ref.name)
        if kept and ref.key in kept.values and self._clock() < kept.fresh_until:
            return kept.values[ref.key]
        try:
            values = await self._read(ref.name)
        except VaultUnavailable:
            if kept is None or ref.key not in kept.values or not self._may_serve(kept):
                raise
            kept.fresh_until = self._clock() + PAUSE_SECONDS
            log.warning("secret_served_from_memory", path=ref.name)
            values = kept.values
        if ref.key not in values:
            raise SecretMissing(f"the secret at {ref.name} has no key {ref.key}")
        return values[ref.key]

    def _may_serve(self, kept: _Kept) -> bool:
        end = kept.read_at + self._settings.keep.total_seconds()
        lease_end = self._session.lease_end if self._session else 0
        return self._clock() < min(end, lease_end)

    async def _read(self, path: str) -> dict[str, str]:
        """Read a path once for everybody who asks meanwhile."""
        reading = self._readings.get(path)
        if reading is None:
            reading = self._readings[path] = asyncio.create_task(self._fetch(path))
            reading.add_done_callback(lambda done: self._settle(path, done))
        return await asyncio.shield(reading)

    def _settle(self, path: str, reading: asyncio.Task[dict[str, str]]) -> None:
        del self._readings[path]
        if not reading.cancelled():
            reading.exception()

    async def _fetch(self, path: str) -> dict[str, str]:
        if not self._settings.address:
            raise SecretMissing(f"vault.address is not set, so nothing can be read from {path}")
        if self._session is None:
            self._session = VaultSession(self._settings, self.resolve, self._clock)
        try:
            values = await self._session.read(path)
        except SecretMissing:
            self._kept.pop(path, None)
            raise
        now = self._clock()
        fresh_until = now + self._settings.refresh.total_seconds()
        self._kept[path] = _Kept(values=values, read_at=now, fresh_until=fresh_until)
        return values


async def _from_here(ref: SecretRef) -> str:
    """Read a variable or a file."""
    if ref.backend == "env":
        value = os.environ.get(ref.name, "")
        if not value:
            raise SecretMissing(f"the variable {ref.name} is not set")
        return value
    return await asyncio.to_thread(_content, Path(ref.name))


def _content(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(LARGEST_FILE)
    except OSError as error:
        raise SecretMissing(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SecretMissing(f"{path} is no text") from None


def references(settings: BaseModel, tenants: Mapping[TenantName, BaseModel]) -> list[Reference]:
    """Find all references in settings and tenant files, in the order they are written."""
    found = [
        Reference(where, text)
        for where, text in _texts(settings.model_dump())
        if is_reference(text)
    ]
    for name, tenant in tenants.items():
        found += [
            Reference(f"{name}: {where}", text)
            for where, text in _texts(tenant.model_dump())
            if is_reference(text)
        ]
    return found


def _texts(value: Any, where: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 - JSON
    """Each text in a tree with its path; items of lists go by their name where they have one."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, f"{where}.{key}" if where else key)
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            name = item.get("name", at) if isinstance(item, dict) else at
            yield from _texts(item, f"{where}.{name}")
