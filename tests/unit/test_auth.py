"""Who may post where."""

import hmac

import pytest

from ingest import auth
from ingest.auth import Keyring, presented_token
from tests.edge import (
    CAPABILITY,
    OTHER_TOKEN,
    TENANT,
    TOKEN,
    MemoryBus,
    acme,
    bearer,
    hashed,
    receiver,
    sender,
)
from tocsin.domain.alert import TenantName
from tocsin.errors import Unauthenticated, WrongSource
from tocsin.tenants import SourceConfig, TenantConfig

ALERT = {"rule": {"id": "1", "level": 3}, "id": "1.1"}


def test_token_opens_its_sources() -> None:
    """One token may belong to several sources of a tenant, and opens each by its name."""
    keyring = Keyring(acme())
    assert keyring.by_token(TOKEN, "wazuh").source.name == "wazuh"
    assert keyring.by_token(TOKEN, "generic").source.name == "generic"
    assert keyring.by_token(OTHER_TOKEN, "alertmanager").tenant == TENANT


@pytest.mark.parametrize("source", ["wazuh", "generic", "no-such-source", ""])
def test_token_of_another_source_is_refused(source: str) -> None:
    """A valid token opens no source but its own, whether the other one exists or not."""
    with pytest.raises(WrongSource):
        Keyring(acme()).by_token(OTHER_TOKEN, source)


@pytest.mark.parametrize("token", ["", "unknown", TOKEN.upper(), TOKEN[:-1], hashed(TOKEN)])
def test_unknown_token_is_refused(token: str) -> None:
    """What is no token opens nothing, nor does the hash of one."""
    with pytest.raises(Unauthenticated):
        Keyring(acme()).by_token(token, "wazuh")


@pytest.mark.parametrize("capability", ["", "unknown", TOKEN, hashed(CAPABILITY), CAPABILITY + "/"])
def test_unknown_capability_is_refused(capability: str) -> None:
    """Only the capability itself opens its source; a token is none."""
    with pytest.raises(Unauthenticated):
        Keyring(acme()).by_capability(capability)


def test_capability_is_no_token() -> None:
    """A capability in a header opens nothing."""
    with pytest.raises(Unauthenticated):
        Keyring(acme()).by_token(CAPABILITY, "wazuh")


def test_same_source_name_in_two_tenants_is_told_apart_by_the_token() -> None:
    """Two tenants may name a source alike; each token leads to its own tenant."""
    tenants = {
        TenantName(name): TenantConfig(
            tenant=name,
            sources=(SourceConfig(name="wazuh", kind="wazuh", tokens=(hashed(name),)),),
        )
        for name in ("one", "two")
    }
    keyring = Keyring(tenants)
    assert [keyring.by_token(name, "wazuh").tenant for name in ("one", "two")] == ["one", "two"]


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"authorization": "Bearer abc"}, "abc"),
        ({"authorization": "bearer   abc  "}, "abc"),
        ({"x-api-key": "abc"}, "abc"),
        ({"authorization": "Basic dXNlcg==", "x-api-key": "abc"}, "abc"),
        ({"authorization": "Bearer abc", "x-api-key": "other"}, "abc"),
        ({"authorization": "Bearer"}, ""),
        ({"authorization": "abc"}, ""),
        ({}, ""),
        ({"x-api-key": "schl\u00fcssel".encode().decode("latin-1")}, "schl\u00fcssel"),
    ],
)
def test_token_is_found_in_the_headers(headers: dict[str, str], token: str) -> None:
    """The token stands in `Authorization: Bearer` or in `X-API-Key`, as UTF-8."""
    assert presented_token(headers) == token


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """All hashes are compared by `hmac.compare_digest`, whichever matches."""
    compared = []

    def watch(key: bytes, digest: bytes) -> bool:
        compared.append(key.decode())
        return hmac.compare_digest(key, digest)

    class Watched:
        compare_digest = staticmethod(watch)

    monkeypatch.setattr(auth, "hmac", Watched)
    Keyring(acme()).by_token(TOKEN, "wazuh")
    assert compared == [hashed(TOKEN), hashed(OTHER_TOKEN), hashed(TOKEN)]


@pytest.mark.parametrize(
    "headers", [{}, bearer("unknown"), {"X-API-Key": "unknown"}, {"Authorization": "Basic eDp5"}]
)
async def test_unauthenticated_post_keeps_nothing(headers: dict[str, str]) -> None:
    """Without a valid token the answer is a 401 with a challenge, and nothing is kept."""
    bus = MemoryBus()
    async with sender(receiver(bus)) as client:
        answer = await client.post("/v1/alerts/wazuh", json=ALERT, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["type"] == "urn:tocsin:problem:unauthenticated"
    assert bus.kept == []


@pytest.mark.parametrize("body", [b'{"alerts":[]}', b"no json", b""])
async def test_post_to_another_source_keeps_nothing(body: bytes) -> None:
    """A token of another source gets 403, and nothing is kept."""
    bus = MemoryBus()
    async with sender(receiver(bus)) as client:
        answer = await client.post("/v1/alerts/wazuh", content=body, headers=bearer(OTHER_TOKEN))
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:tocsin:problem:wrong-source"
    assert bus.kept == []


@pytest.mark.parametrize(
    "value",
    [b"Bearer \xff\xfe", b"Bearer \xc3\xbc", b"\xf0\x9f\x94\x94", b"Bearer " + b"x" * 60_000, b" "],
)
async def test_weird_header_bytes_are_unauthenticated(value: bytes) -> None:
    """A token of any bytes is compared like every other."""
    async with sender(receiver(MemoryBus())) as client:
        for name in (b"Authorization", b"X-API-Key"):
            answer = await client.post("/v1/alerts/wazuh", json=ALERT, headers=[(name, value)])
            assert answer.status_code == 401
