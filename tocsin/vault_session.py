"""A logged-in session with the secrets backend that keeps itself alive."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import structlog

from tocsin.errors import SecretMissing, TocsinError, VaultUnavailable
from tocsin.settings import VaultSettings
from tocsin.vault import Grant, TokenRefused, Vault

RENEW_AFTER = 2 / 3
PAUSE_SECONDS = 5.0
SHORTEST_SECONDS = 1.0

log = structlog.get_logger()


class VaultSession:
    """Logs in when first asked, renews its token in the background, logs in anew when it must.

    Args:
        settings: Where the server is, and by what we log in.
        resolve: Resolves a reference to a token or secret id; never asks this session.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        settings: VaultSettings,
        resolve: Callable[[str], Awaitable[str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._resolve = resolve
        self._clock = clock
        self._vault = Vault(settings)
        self._grant = Grant()
        self._granted_at = 0.0
        self._full = 0.0
        self._logins = 0
        self._entrance = asyncio.Lock()
        self._renewal: asyncio.Task[None] | None = None

    @property
    def lease_end(self) -> float:
        """When our token ends, on the clock; infinite for one that does not end."""
        if self._logins and not self._grant.seconds:
            return float("inf")
        return self._granted_at + self._grant.seconds

    async def open(self) -> None:
        """Log in, unless we are.

        Raises:
            SecretMissing: What we log in by is not there.
            VaultUnavailable: The server does not answer, or does not let us in.
        """
        if not self._logins:
            await self._log_in(after=0)

    async def read(self, path: str) -> dict[str, str]:
        """Read all keys of a secret.

        Raises:
            SecretMissing: There is none, it is deleted, or our policy does not let us read it.
            VaultUnavailable: The server does not answer, or does not let us in.
        """
        logins = self._logins or await self._log_in(after=0)
        try:
            return await asyncio.to_thread(self._vault.read, path)
        except TokenRefused:
            await self._log_in(after=logins)
        try:
            return await asyncio.to_thread(self._vault.read, path)
        except TokenRefused:
            raise SecretMissing(f"the secrets backend does not let us read {path}") from None

    async def close(self) -> None:
        """Stop renewing and close the connections."""
        if self._renewal is not None:
            self._renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._renewal
        await asyncio.to_thread(self._vault.close)

    async def _log_in(self, *, after: int) -> int:
        """Log in, unless somebody did since login number `after`; the number of the login."""
        async with self._entrance:
            if self._logins == after:
                self._hold(await self._enter())
                self._full = self._grant.seconds
                self._logins += 1
            if self._grant.seconds and (self._renewal is None or self._renewal.done()):
                self._renewal = asyncio.create_task(self._stay())
        return self._logins

    async def _enter(self) -> Grant:
        if self._settings.role_id:
            secret_id = await self._resolve(self._settings.secret_id)
            return await asyncio.to_thread(self._vault.log_in, self._settings.role_id, secret_id)
        if not self._settings.token:
            raise SecretMissing("neither vault.token nor vault.role_id says how to log in")
        token = await self._resolve(self._settings.token)
        return await asyncio.to_thread(self._vault.use, token)

    def _hold(self, grant: Grant) -> None:
        self._grant = grant
        self._granted_at = self._clock()

    async def _stay(self) -> None:
        """Renew at two thirds of each lease; log in anew where renewing no longer prolongs it."""
        prolonged = True
        while self._grant.seconds:
            due = max(self._grant.seconds * RENEW_AFTER, SHORTEST_SECONDS)
            await asyncio.sleep(due if prolonged else PAUSE_SECONDS)
            prolonged = await self._prolonged()

    async def _prolonged(self) -> bool:
        try:
            if not await self._renewed():
                await self._log_in(after=self._logins)
        except TocsinError as error:
            log.warning("secrets_renewal_failed", error=str(error))
            return False
        return True

    async def _renewed(self) -> bool:
        """Renew, unless that gains less than half of what a login does."""
        if not self._grant.renewable:
            return False
        try:
            grant = await asyncio.to_thread(self._vault.renew)
        except (TokenRefused, VaultUnavailable):
            # OpenBao answers 500 to a token at the end of its longest life: the login will tell.
            return False
        if grant.seconds <= self._full / 2:
            return False
        self._hold(grant)
        return True
