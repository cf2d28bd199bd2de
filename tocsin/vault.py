"""Vault or OpenBao, KV version 2: the only place that knows hvac. Every call blocks its thread."""

from collections.abc import Callable
from typing import Any

import hvac
import msgspec
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, VaultError

from tocsin.errors import SecretMissing, VaultUnavailable
from tocsin.settings import VaultSettings


class TokenRefused(Exception):
    """The backend answers 403: the token is no longer good, or may not do this."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """How long a token lives.

    Attributes:
        seconds: Time left when it was granted; 0 for a token that does not end.
        renewable: Whether it can be renewed.
    """

    seconds: float = 0
    renewable: bool = False


class Vault:
    """A client of one server.

    Args:
        settings: Where the server is, and how long to wait for it.
    """

    def __init__(self, settings: VaultSettings) -> None:
        self._mount = settings.mount
        # Without an explicit token, hvac takes one from the environment or the home folder.
        self._client: Any = hvac.Client(  # type: ignore[no-untyped-call]
            url=settings.address,
            token="",
            timeout=settings.timeout.total_seconds(),
            verify=str(settings.ca_cert) if settings.ca_cert else True,
        )

    def use(self, token: str) -> Grant:
        """Go on with a token that exists.

        Raises:
            VaultUnavailable: The server does not answer, or no longer knows the token.
        """
        self._client.token = token
        try:
            found = self._call(self._client.auth.token.lookup_self)["data"]
        except TokenRefused:
            raise VaultUnavailable("the secrets backend does not accept our token") from None
        return Grant(seconds=found["ttl"], renewable=found["renewable"])

    def log_in(self, role_id: str, secret_id: str) -> Grant:
        """Get a token by AppRole.

        Raises:
            VaultUnavailable: The server does not answer, or refuses the role.
        """
        try:
            answer = self._call(self._client.auth.approle.login, role_id, secret_id)
        except (TokenRefused, InvalidRequest):
            raise VaultUnavailable("the secrets backend refuses our AppRole login") from None
        return _granted(answer)

    def renew(self) -> Grant:
        """Prolong the token.

        Raises:
            TokenRefused: It cannot be renewed any more.
            VaultUnavailable: The server does not answer.
        """
        try:
            return _granted(self._call(self._client.auth.token.renew_self))
        except InvalidRequest:
            raise TokenRefused from None

    def read(self, path: str) -> dict[str, str]:
        """Read the newest version of a secret, all its keys.

        Raises:
            SecretMissing: There is none, or its newest version is deleted.
            TokenRefused: The token may not read it.
            VaultUnavailable: The server does not answer.
        """
        try:
            answer = self._call(
                self._client.secrets.kv.v2.read_secret_version,
                path,
                mount_point=self._mount,
                raise_on_deleted_version=True,
            )
        except (InvalidPath, InvalidRequest):
            raise SecretMissing(f"there is no secret at {path} in {self._mount}") from None
        return {key: str(value) for key, value in answer["data"]["data"].items()}

    def close(self) -> None:
        """Close the connections."""
        self._client.adapter.close()

    def _call(self, ask: Callable[..., Any], *args: str, **options: Any) -> Any:  # noqa: ANN401 - JSON
        try:
            answer = ask(*args, **options)
        except Forbidden:
            raise TokenRefused from None
        except (InvalidPath, InvalidRequest):
            raise
        except (OSError, VaultError) as error:
            # Only the name of the error: its text repeats what the server said.
            kind = type(error).__name__
            raise VaultUnavailable(f"the secrets backend does not answer ({kind})") from None
        if not isinstance(answer, dict):
            raise VaultUnavailable("the secrets backend answers something else")
        return answer


def _granted(answer: dict[str, Any]) -> Grant:
    auth = answer["auth"]
    return Grant(seconds=auth["lease_duration"], renewable=auth["renewable"])
