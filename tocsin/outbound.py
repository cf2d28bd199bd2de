"""The one HTTP client that leaves the machine, and the checks on where it may go."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import certifi
import httpx

from tocsin.errors import DeliveryDelayed, DeliveryRefused
from tocsin.settings import OutboundSettings

_ANSWER_LIMIT: Final = 2048
_LATER: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
# An hour of trouble shall hold ten attempts (`FEWEST_ATTEMPTS` of `SendNotification`).
_LONGEST_WAIT: Final = timedelta(minutes=6)


class Outbound:
    """Posts to addresses that operators configured, and to no other place.

    Args:
        settings: What is allowed, and how long one answer may take.
    """

    def __init__(self, settings: OutboundSettings) -> None:
        self._settings = settings
        # A connection is never reused: it is opened to a checked address, for one host name.
        self._client = httpx.AsyncClient(
            timeout=settings.timeout.total_seconds(),
            follow_redirects=False,
            limits=httpx.Limits(max_connections=100, max_keepalive_connections=0),
            trust_env=False,
            verify=trust(),
        )

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> str:
        """Post once.

        Args:
            url: An `http` or `https` URL.
            content: The body.
            headers: Complete headers but for `Host`.

        Returns:
            Status and the beginning of the answer, for the operator.

        Raises:
            DeliveryRefused: The target is not allowed, or answered that it never will.
            DeliveryDelayed: No connection, no answer in time, 408, 425, 429 or 5xx.
        """
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise DeliveryRefused("the receiver's URL is not an http or https URL")
        address = await self.check(parts.hostname, parts.port or _port(parts.scheme))
        target = httpx.URL(url).copy_with(host=address)
        try:
            # A limit on the whole exchange: an answer that drips must not hold a sender for long.
            async with (
                asyncio.timeout(self._settings.timeout.total_seconds()),
                self._client.stream(
                    "POST",
                    target,
                    content=content,
                    headers={**headers, "Host": parts.netloc.rpartition("@")[2]},
                    extensions={"sni_hostname": parts.hostname},
                ) as response,
            ):
                answer = await _beginning(response)
        except (httpx.HTTPError, TimeoutError) as error:
            raise DeliveryDelayed(f"no answer: {type(error).__name__} {error}") from error
        return _judge(response, answer)

    async def connect(self, host: str, port: int) -> socket.socket:
        """Open a connection to a checked address of a host, for a protocol that is not HTTP.

        Raises:
            DeliveryRefused: It resolves to addresses that are not allowed.
            DeliveryDelayed: It does not resolve now, or takes no connection.
        """
        address = await self.check(host, port)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                await asyncio.get_running_loop().sock_connect(connection, (address, port))
        except OSError as error:
            connection.close()
            raise DeliveryDelayed(f"no connection to {host}: {error!r}") from error
        except BaseException:
            connection.close()
            raise
        return connection

    async def check(self, host: str, port: int) -> str:
        """Resolve a host and choose an address that may be reached.

        Raises:
            DeliveryRefused: It resolves to addresses that are not allowed.
            DeliveryDelayed: It does not resolve now.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise DeliveryDelayed(f"{host} does not resolve: {error}") from error
        addresses = [str(info[4][0]) for info in found]
        for address in addresses:
            if self._settings.allow_private or ipaddress.ip_address(address).is_global:
                return address
        raise DeliveryRefused(
            f"{host} is a private address; set outbound.allow_private to reach it"
        )


def trust() -> ssl.SSLContext:
    """Whom we believe: the machine's own store (or `SSL_CERT_FILE`), and certifi's beside it."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


async def _beginning(response: httpx.Response) -> str:
    data = b""
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) >= _ANSWER_LIMIT:
            break
    return data[:_ANSWER_LIMIT].decode("utf-8", "replace")


def _judge(response: httpx.Response, answer: str) -> str:
    status = response.status_code
    summary = f"{status} {answer}".strip()
    if response.is_success:
        return summary
    if status in _LATER or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise DeliveryDelayed(
            f"answered {status}", response=summary, retry_after=retry_after(response.headers)
        )
    raise DeliveryRefused(f"answered {status}", response=summary)


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """Read `Retry-After` (RFC 9110, section 10.2.3): seconds or a date; bounded; None without."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return min(timedelta(seconds=min(int(value), 10**6)), _LONGEST_WAIT)
    try:
        wait = parsedate_to_datetime(value) - datetime.now(UTC)
    except (ValueError, TypeError):
        return None
    return min(max(wait, timedelta()), _LONGEST_WAIT)
