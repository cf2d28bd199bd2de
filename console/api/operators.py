"""Who may use the operators' interface: whoever has the operators' token, and no sender."""

import hmac
from collections.abc import Awaitable, Callable, Iterable, Mapping
from hashlib import sha256

from ingest.auth import presented_token
from tocsin.errors import SecretMissing, Unauthenticated, Unavailable
from tocsin.tenants import TenantConfig


class Operators:
    """The operators' token, looked up anew for each request, so that it can be replaced.

    Args:
        token: Resolves the reference to it.
        tenants: Whose ingest tokens open nothing here, even one that is also the operators'.
    """

    def __init__(
        self, token: Callable[[], Awaitable[str]], tenants: Iterable[TenantConfig]
    ) -> None:
        self._token = token
        self._ingest = frozenset(
            key for tenant in tenants for source in tenant.sources for key in source.hashes
        )

    async def admit(self, headers: Mapping[str, str]) -> None:
        """Let an operator in.

        Raises:
            Unauthenticated: The request has no token, or another one.
            Unavailable: The operators' token cannot be looked up.
        """
        presented = _fingerprint(presented_token(headers))
        try:
            own = _fingerprint(await self._token())
        except SecretMissing as error:
            raise Unavailable(f"The operators' token cannot be looked up: {error}") from error
        if not hmac.compare_digest(presented, own) or presented in self._ingest:
            raise Unauthenticated(
                "Send the operators' token as 'Authorization: Bearer TOKEN'; "
                "a sender's token opens nothing here."
            )


def _fingerprint(token: str) -> str:
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
