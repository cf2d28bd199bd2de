"""From a token or a capability to (tenant, source); the receiver knows only their SHA-256."""

import hmac
from collections.abc import Mapping
from hashlib import sha256

import msgspec

from tocsin.domain.alert import TenantName
from tocsin.errors import Unauthenticated, WrongSource
from tocsin.tenants import SourceConfig, TenantConfig


class Sender(msgspec.Struct, frozen=True):
    """Who is posting.

    Attributes:
        tenant: Whose alerts these are.
        source: The configured source.
    """

    tenant: TenantName
    source: SourceConfig


class Keyring:
    """All tokens and capabilities of all tenants, hashed.

    Args:
        tenants: The tenant files.
    """

    def __init__(self, tenants: Mapping[TenantName, TenantConfig]) -> None:
        senders = [
            Sender(name, source) for name, tenant in tenants.items() for source in tenant.sources
        ]
        self._tokens = [(key.encode(), each) for each in senders for key in each.source.tokens]
        self._capabilities = [
            (key.encode(), each) for each in senders for key in each.source.capabilities
        ]

    def by_token(self, token: str, source: str) -> Sender:
        """Who may post to a source with a token.

        Raises:
            Unauthenticated: There is no token, or nobody has it.
            WrongSource: Its owner may not post to this source.
        """
        owners = _owners(self._tokens, token)
        if not owners:
            raise Unauthenticated(
                "Send the source's token as 'Authorization: Bearer TOKEN' or 'X-API-Key: TOKEN'."
            )
        for owner in owners:
            if owner.source.name == source:
                return owner
        raise WrongSource("This token is valid, but not for this source.")

    def by_capability(self, capability: str) -> Sender:
        """Who posts to a capability URL.

        Raises:
            Unauthenticated: Nobody has it.
        """
        owners = _owners(self._capabilities, capability)
        if not owners:
            raise Unauthenticated("The last part of this URL is no capability of any source.")
        return owners[0]


def presented_token(headers: Mapping[str, str]) -> str:
    """The token in a request's headers; empty without one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        token = headers.get("x-api-key", "")
    # HTTP reads header bytes as Latin-1; a token is text in UTF-8 when it was hashed.
    return token.strip().encode("latin-1").decode(errors="surrogateescape")


def _owners(keys: list[tuple[bytes, Sender]], presented: str) -> list[Sender]:
    """Everybody with this key; each hash is compared, in constant time, whether one matched."""
    digest = sha256(presented.encode(errors="surrogateescape")).hexdigest().encode()
    return [owner for key, owner in keys if hmac.compare_digest(key, digest)]
