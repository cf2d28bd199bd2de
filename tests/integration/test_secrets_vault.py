"""Secrets out of a real OpenBao: logging in, staying in, and what holds while it is away."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from unittest.mock import patch
from uuid import uuid4

import pytest

from tests.freezing import frozen
from tests.integration.bao import ROOT_TOKEN, Bao, running_bao, wait_for
from tocsin.errors import SecretMissing, VaultUnavailable
from tocsin.secrets import Reference, Secrets
from tocsin.settings import VaultSettings
from tocsin.vault import Vault

VALUE = "correct horse battery staple"


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    """One server for the tests that leave it as it is."""
    with running_bao(tmp_path_factory.mktemp("bao")) as running:
        yield running


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Bao]:
    """A server of its own for a test that harms it."""
    with running_bao(tmp_path) as running:
        yield running


class Clock:
    """Monotonic seconds that a test can push on.

    Attributes:
        ahead: Seconds pushed on so far.
    """

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        """Tell the time."""
        return time.monotonic() + self.ahead


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Callable[..., VaultSettings]:
    """Settings for a server and a fresh AppRole."""

    def make(bao: Bao, **options: str) -> VaultSettings:
        role_id, secret_id = bao.role(f"role-{uuid4().hex}", **options)
        monkeypatch.setenv("BAO_SECRET_ID", secret_id)
        return VaultSettings(
            address=bao.address,
            role_id=role_id,
            secret_id="env:BAO_SECRET_ID",
            timeout=timedelta(seconds=1),
        )

    return make


def fresh(bao: Bao) -> str:
    """A path with the value under `key`."""
    path = f"test/{uuid4().hex}"
    bao.put(path, key=VALUE)
    return path


async def test_approle(bao: Bao, settings: Callable[..., VaultSettings]) -> None:
    """An AppRole login reads a key of a secret."""
    async with Secrets(settings(bao)) as secrets:
        assert await secrets.resolve(f"vault:{fresh(bao)}#key") == VALUE


async def test_token(bao: Bao, tmp_path: Path) -> None:
    """A token out of a file reads a key of a secret."""
    (tmp_path / "token").write_text(f"{ROOT_TOKEN}\n")
    vault = VaultSettings(address=bao.address, token=f"file:{tmp_path}/token")
    async with Secrets(vault) as secrets:
        assert await secrets.value(f"vault:{fresh(bao)}#key") == VALUE


async def test_line_break_at_the_end(bao: Bao, settings: Callable[..., VaultSettings]) -> None:
    """What `vault kv put x key=@file` stores is read without the file's last line break."""
    path = fresh(bao)
    bao.put(path, key=f"{VALUE}\n", nothing="\n")
    async with Secrets(settings(bao)) as secrets:
        assert await secrets.resolve(f"vault:{path}#key") == VALUE
        with pytest.raises(SecretMissing, match="is empty"):
            await secrets.resolve(f"vault:{path}#nothing")


async def test_renewal(bao: Bao, settings: Callable[..., VaultSettings]) -> None:
    """A token is renewed before it ends, and reads on without another login."""
    others = accessors(bao)
    async with Secrets(settings(bao, token_ttl="6s", token_max_ttl="600s")) as secrets:
        await secrets.resolve(f"vault:{fresh(bao)}#key")
        (ours,) = accessors(bao) - others
        end = expiry(bao, ours)
        await asyncio.to_thread(wait_for, lambda: expiry(bao, ours) > end)
        assert await secrets.resolve(f"vault:{fresh(bao)}#key") == VALUE
        assert accessors(bao) - others == {ours}


async def test_renewal_past_the_longest_life(
    bao: Bao, settings: Callable[..., VaultSettings]
) -> None:
    """Where renewing no longer prolongs a token, a new login takes its place in time."""
    async with Secrets(settings(bao, token_ttl="2s", token_max_ttl="3s")) as secrets:
        await secrets.resolve(f"vault:{fresh(bao)}#key")
        before = accessors(bao)
        await asyncio.to_thread(wait_for, lambda: bool(accessors(bao) - before))
        assert len(accessors(bao) - before) == 1
        assert await secrets.resolve(f"vault:{fresh(bao)}#key") == VALUE


async def test_new_login_after_403(bao: Bao, settings: Callable[..., VaultSettings]) -> None:
    """A token revoked behind our back costs one more login and nobody notices."""
    async with Secrets(settings(bao)) as secrets:
        before = accessors(bao)
        await secrets.resolve(f"vault:{fresh(bao)}#key")
        for accessor in accessors(bao) - before:
            bao.call("POST", "auth/token/revoke-accessor", {"accessor": accessor})
        paths = [fresh(bao) for _ in range(5)]
        before = accessors(bao)
        values = await asyncio.gather(*(secrets.resolve(f"vault:{path}#key") for path in paths))
        assert values == [VALUE] * 5
        assert len(accessors(bao) - before) == 1


async def test_forbidden_path(bao: Bao, settings: Callable[..., VaultSettings]) -> None:
    """A path our policy does not open is missing, not away."""
    bao.put("hidden", key=VALUE)
    async with Secrets(settings(bao)) as secrets:
        with pytest.raises(SecretMissing, match="does not let us read hidden"):
            await secrets.resolve("vault:hidden#key")


async def test_refused_login(bao: Bao, settings: Callable[..., VaultSettings]) -> None:
    """A login that the server refuses can be mended by an operator, so it may be tried again."""
    wrong = settings(bao).model_copy(update={"role_id": "nobody"})
    async with Secrets(wrong) as secrets:
        with pytest.raises(VaultUnavailable, match="refuses our AppRole login"):
            await secrets.resolve(f"vault:{fresh(bao)}#key")


async def test_dead_token(bao: Bao, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that the server does not know makes the backend unavailable."""
    monkeypatch.setenv("BAO_TOKEN", "s.gone")
    async with Secrets(VaultSettings(address=bao.address, token="env:BAO_TOKEN")) as secrets:
        with pytest.raises(VaultUnavailable, match="does not accept our token"):
            await secrets.resolve(f"vault:{fresh(bao)}#key")


async def test_missing(bao: Bao, settings: Callable[..., VaultSettings]) -> None:
    """A path or key that is not there is missing."""
    path = fresh(bao)
    async with Secrets(settings(bao)) as secrets:
        with pytest.raises(SecretMissing, match="no secret at nowhere"):
            await secrets.resolve("vault:nowhere#key")
        with pytest.raises(SecretMissing, match="has no key other"):
            await secrets.resolve(f"vault:{path}#other")


async def test_deleted_version(bao: Bao, settings: Callable[..., VaultSettings]) -> None:
    """A secret whose newest version is deleted is missing as soon as it is read again."""
    path = fresh(bao)
    clock = Clock()
    async with Secrets(settings(bao), clock=clock) as secrets:
        assert await secrets.resolve(f"vault:{path}#key") == VALUE
        bao.call("DELETE", f"secret/data/{path}")
        clock.ahead += 301
        with pytest.raises(SecretMissing):
            await secrets.resolve(f"vault:{path}#key")


async def test_rotation(bao: Bao, settings: Callable[..., VaultSettings]) -> None:
    """A new value is used once the old one has lasted its five minutes."""
    path = fresh(bao)
    clock = Clock()
    async with Secrets(settings(bao), clock=clock) as secrets:
        await secrets.resolve(f"vault:{path}#key")
        bao.put(path, key="new", more="added")
        assert await secrets.resolve(f"vault:{path}#key") == VALUE
        clock.ahead += 301
        assert await secrets.resolve(f"vault:{path}#key") == "new"


async def test_key_added(bao: Bao, settings: Callable[..., VaultSettings]) -> None:
    """A key added to a secret in use is found at once."""
    path = fresh(bao)
    async with Secrets(settings(bao)) as secrets:
        await secrets.resolve(f"vault:{path}#key")
        bao.put(path, key=VALUE, more="added")
        assert await secrets.resolve(f"vault:{path}#more") == "added"


async def test_sealed(mortal: Bao, settings: Callable[..., VaultSettings]) -> None:
    """While the server is sealed, known values serve for an hour and others are unavailable."""
    known, unknown = fresh(mortal), fresh(mortal)
    clock = Clock()
    async with Secrets(settings(mortal), clock=clock) as secrets:
        await secrets.resolve(f"vault:{known}#key")
        mortal.seal()
        clock.ahead += 301
        assert await secrets.resolve(f"vault:{known}#key") == VALUE
        with pytest.raises(VaultUnavailable):
            await secrets.resolve(f"vault:{unknown}#key")
        clock.ahead += 3600
        with pytest.raises(VaultUnavailable):
            await secrets.resolve(f"vault:{known}#key")
        mortal.unseal()
        assert await secrets.resolve(f"vault:{known}#key") == VALUE


async def test_lease_end(mortal: Bao, settings: Callable[..., VaultSettings]) -> None:
    """While the server is away, no value serves past the end of our token's lease."""
    path = fresh(mortal)
    clock = Clock()
    async with Secrets(settings(mortal, token_ttl="600s"), clock=clock) as secrets:
        await secrets.resolve(f"vault:{path}#key")
        mortal.kill()
        clock.ahead += 301
        assert await secrets.resolve(f"vault:{path}#key") == VALUE
        clock.ahead += 301
        with pytest.raises(VaultUnavailable):
            await secrets.resolve(f"vault:{path}#key")


async def test_frozen_server(mortal: Bao, settings: Callable[..., VaultSettings]) -> None:
    """A server that takes connections and never answers costs the timeout, once for everybody."""
    path = fresh(mortal)
    clock = Clock()
    impatient = settings(mortal).model_copy(update={"timeout": timedelta(seconds=0.5)})
    async with Secrets(impatient, clock=clock) as secrets:
        await secrets.resolve(f"vault:{path}#key")
        clock.ahead += 301
        wanted = [f"vault:{path}#key"] * 50
        with (
            frozen(mortal.process.pid),
            patch.object(Vault, "read", autospec=True, side_effect=Vault.read) as asked,
        ):
            start = time.monotonic()
            assert await asyncio.gather(*map(secrets.resolve, wanted)) == [VALUE] * 50
            assert await secrets.resolve(wanted[0]) == VALUE
            assert time.monotonic() - start < 2
        assert asked.call_count == 1


async def test_check(bao: Bao, settings: Callable[..., VaultSettings]) -> None:
    """A check says of each reference whether it leads to a value, and never shows one."""
    path = fresh(bao)
    listed = [Reference("a", f"vault:{path}#key"), Reference("b", f"vault:{path}#no")]
    async with Secrets(settings(bao)) as secrets:
        statuses = await secrets.check(listed)
        assert [(status.where, status.ok) for status in statuses] == [("a", True), ("b", False)]
        assert VALUE not in f"{statuses}{vars(secrets)}"


def accessors(bao: Bao) -> set[str]:
    """All tokens that live."""
    return set(bao.call("LIST", "auth/token/accessors")["data"]["keys"])


def expiry(bao: Bao, accessor: str) -> datetime:
    """When a token ends, unless it is renewed."""
    found = bao.call("POST", "auth/token/lookup-accessor", {"accessor": accessor})
    return datetime.fromisoformat(found["data"]["expire_time"])
