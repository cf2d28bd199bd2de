"""Secrets by reference, as far as no backend is needed."""

from pathlib import Path

import pytest

from tocsin.domain.alert import TenantName
from tocsin.errors import SecretMissing
from tocsin.secrets import Reference, SecretRef, Secrets, references
from tocsin.settings import Settings, VaultSettings
from tocsin.tenants import TenantConfig


@pytest.fixture
def secrets() -> Secrets:
    """Secrets without a backend."""
    return Secrets(VaultSettings())


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("vault:tenants/acme#key", SecretRef("vault", "tenants/acme", "key")),
        ("vault:/tenants/acme/#a#b", SecretRef("vault", "tenants/acme", "a#b")),
        ("env:TOCSIN_X", SecretRef("env", "TOCSIN_X")),
        ("file:/run/secrets/x#y", SecretRef("file", "/run/secrets/x#y")),
    ],
)
def test_references(text: str, reference: SecretRef) -> None:
    """A reference names a backend, what is in it, and for the vault a key."""
    assert SecretRef.parse(text) == reference


@pytest.mark.parametrize(
    "text",
    ["", "hunter2", "vault:", "vault:path", "vault:#key", "env:", "env:a b", "file:", "VAULT:a#b"],
)
def test_no_references(text: str) -> None:
    """What is no reference is refused, and not repeated in the message."""
    with pytest.raises(SecretMissing) as caught:
        SecretRef.parse(text)
    assert "hunter2" not in str(caught.value)


async def test_variable(secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable is read each time; one that is not set, or empty, is missing."""
    monkeypatch.setenv("TOCSIN_X", "hunter2")
    assert await secrets.resolve("env:TOCSIN_X") == "hunter2"
    monkeypatch.setenv("TOCSIN_X", "")
    with pytest.raises(SecretMissing, match="the variable TOCSIN_X is not set"):
        await secrets.resolve("env:TOCSIN_X")


async def test_file(secrets: Secrets, tmp_path: Path) -> None:
    """A file's content is the secret, without its last line break."""
    (tmp_path / "x").write_text(" hunter2 \n")
    assert await secrets.resolve(f"file:{tmp_path}/x") == " hunter2 "


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read: No such file"), (b"", "is empty"), (b"\xff\xfe\xfa", "is no text")],
)
async def test_bad_file(
    secrets: Secrets, tmp_path: Path, content: bytes | None, message: str
) -> None:
    """A file that is not there, or holds no text, is missing."""
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    with pytest.raises(SecretMissing, match=message):
        await secrets.resolve(f"file:{tmp_path}/x")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
async def test_line_breaks_at_the_end_are_no_secret(
    secrets: Secrets, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """A value ends before its last line breaks, which editors and pipes put there."""
    monkeypatch.setenv("TOCSIN_X", f" a\nb {end}")
    assert await secrets.resolve("env:TOCSIN_X") == " a\nb "
    monkeypatch.setenv("TOCSIN_X", end)
    with pytest.raises(SecretMissing, match="env:TOCSIN_X is empty"):
        await secrets.resolve("env:TOCSIN_X")


async def test_value(secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where text is allowed, text stands for itself and a reference for what it leads to."""
    monkeypatch.setenv("TOCSIN_X", "https://example.org")
    assert await secrets.value("env:TOCSIN_X") == "https://example.org"
    assert await secrets.value("https://example.org") == "https://example.org"


async def test_no_backend(secrets: Secrets) -> None:
    """Without an address, a vault reference is missing, not away."""
    with pytest.raises(SecretMissing, match=r"vault.address is not set"):
        await secrets.resolve("vault:a#b")


async def test_no_way_in() -> None:
    """Without a token or a role, the message says what to set."""
    async with Secrets(VaultSettings(address="http://127.0.0.1:1")) as secrets:
        with pytest.raises(SecretMissing, match=r"neither vault.token nor vault.role_id"):
            await secrets.resolve("vault:a#b")


async def test_check(secrets: Secrets, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check answers for each reference, in order, with what is wrong and never a value."""
    monkeypatch.setenv("TOCSIN_X", "hunter2")
    listed = [Reference("a", "env:TOCSIN_X"), Reference("b", "env:TOCSIN_NOT_SET")]
    good, bad = await secrets.check(listed)
    assert (good.where, good.reference, good.ok, good.problem) == ("a", "env:TOCSIN_X", True, "")
    assert (bad.ok, bad.problem) == (False, "the variable TOCSIN_NOT_SET is not set")
    assert "hunter2" not in f"{good}{secrets!r}"


def test_all_references() -> None:
    """Every reference in settings and tenant files is found, with where it stands."""
    settings = Settings(vault=VaultSettings(address="http://v", token="file:/t"))
    config = TenantConfig.model_validate(
        {
            "tenant": "acme",
            "receivers": [
                {
                    "name": "page",
                    "webhook": {
                        "url": "env:URL",
                        "secret": "vault:a#b",
                        "headers": {"x-token": "env:T", "x-plain": "text"},
                    },
                },
                {
                    "name": "post",
                    "email": {"to": ["a@b"], "sender": "a@b", "host": "h", "password": "file:/p"},
                },
            ],
        }
    )
    assert references(settings, {TenantName("acme"): config}) == [
        Reference("api.operator_token", "env:TOCSIN_OPERATOR_TOKEN"),
        Reference("postgres.dsn", "env:TOCSIN_POSTGRES_URL"),
        Reference("vault.token", "file:/t"),
        Reference("acme: receivers.page.webhook.url", "env:URL"),
        Reference("acme: receivers.page.webhook.secret", "vault:a#b"),
        Reference("acme: receivers.page.webhook.headers.x-token", "env:T"),
        Reference("acme: receivers.post.email.password", "file:/p"),
    ]
