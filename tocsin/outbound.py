"""The one HTTP client that leaves the machine, and the checks on where it may go."""

import asyncio
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

import certifi
import httpx

from tocsin.errors import DeliveryDelayed, DeliveryRefused
from tocsin.fields import OF_THE_CONNECTION
from tocsin.settings import OutboundSettings

_ANSWER_LIMIT: Final = 2048
_LATER: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
# An hour of trouble shall hold ten attempts (`FEWEST_ATTEMPTS` of `SendNotification`).
_LONGEST_WAIT: Final = timedelta(minutes=6)
_PORTS: Final = {"http": 80, "https": 443}
# A field value (RFC 9110, section 5.5), without what is not ASCII.
_HEADER_VALUE: Final = re.compile(r"(?:[!-~](?:[\t -~]*[!-~])?)?")
# All that IANA has given to single hosts on the internet.
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
# For documentation (RFC 9637), which not every Python knows yet.
_DOCUMENTATION: Final = ipaddress.IPv6Network("3fff::/20")
# Addresses that lead to an IPv4 address, and how many bits stand behind it: mapped (RFC 4291),
# NAT64 (RFC 6052) and 6to4 (RFC 3056).
_CARRIERS: Final = {
    ipaddress.IPv6Network("::ffff:0:0/96"): 0,
    ipaddress.IPv6Network("64:ff9b::/96"): 0,
    ipaddress.IPv6Network("2002::/16"): 80,
}


class Outbound:
    """Posts to addresses that operators configured, and to no other place.

    Args:
        settings: What is allowed, and how long one answer may take.
    """

    def __init__(self, settings: OutboundSettings) -> None:
        self._settings = settings
        # A connection is never reused: it is opened to a checked address, for one host name.
        # How many are open is not bounded here, where tenants would take each other's: each
        # tenant's task queue bounds its own.
        self._client = httpx.AsyncClient(
            timeout=settings.timeout.total_seconds(),
            follow_redirects=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
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
            headers: Complete headers but for `OF_THE_CONNECTION`.

        Returns:
            Status and the beginning of the answer, for the operator.

        Raises:
            DeliveryRefused: The target is not allowed, or answered that it never will, or the
                request can never be sent.
            DeliveryDelayed: No connection, no answer in time, 408, 425, 429 or 5xx.
        """
        named = _read(url)
        host = named.raw_host.decode()
        _must_be_sendable(headers)
        sent = {**headers, "Host": named.netloc.decode(), "Accept-Encoding": "identity"}
        address = await self.check(host, named.port or _PORTS[named.scheme])
        try:
            # A limit on the whole exchange: an answer that drips must not hold a sender for long.
            async with (
                asyncio.timeout(self._settings.timeout.total_seconds()),
                self._client.stream(
                    "POST",
                    named.copy_with(host=address),
                    content=content,
                    headers=sent,
                    extensions={"sni_hostname": host},
                ) as response,
            ):
                answer = await _beginning(response)
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol, httpx.InvalidURL):
            # Its text repeats the request, and so our secrets; so would the chain of errors.
            raise DeliveryRefused(
                "the request can never be sent; look at the receiver's headers"
            ) from None
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
            DeliveryRefused: It is no host name, or resolves to addresses that are not allowed.
            DeliveryDelayed: It does not resolve now.
        """
        for address in await self._resolve(host, port):
            if self._settings.allow_private or is_public(address):
                return address
        raise DeliveryRefused(
            f"{host} is a private address; set outbound.allow_private to reach it"
        )

    async def _resolve(self, host: str, port: int) -> list[str]:
        with suppress(ValueError):
            ipaddress.ip_address(host)
            return [host]
        try:
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                return await asyncio.wrap_future(_lookup(host, port))
        except UnicodeError:
            raise DeliveryRefused(f"{host} is no host name") from None
        except OSError as error:
            raise DeliveryDelayed(f"{host} does not resolve: {error!r}") from error


def trust() -> ssl.SSLContext:
    """Whom we believe: the machine's own store (or `SSL_CERT_FILE`), and certifi's beside it."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def is_public(address: str) -> bool:
    """Whether an address belongs to somebody on the internet, also where IPv6 carries IPv4."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        for network, shift in _CARRIERS.items():
            if ip in network:
                return is_public(str(ipaddress.IPv4Address(int(ip) >> shift & 0xFFFFFFFF)))
        if ip not in _UNICAST or ip in _DOCUMENTATION:
            return False
    return ip.is_global and not ip.is_multicast


def _lookup(host: str, port: int) -> Future[list[str]]:
    """Resolve a host in a thread of its own.

    Nobody can stop a lookup that is stuck. In a pool it would take the place of another tenant's,
    and the process would wait for it at its end, as it does for every thread but a daemon.
    """
    future = Future[list[str]]()
    future.set_running_or_notify_cancel()

    def resolve() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except Exception as error:  # noqa: BLE001 - it is the answer of the future
            future.set_exception(error)
        else:
            future.set_result([str(info[4][0]) for info in found])

    threading.Thread(target=resolve, name="lookup", daemon=True).start()
    return future


def _read(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme not in _PORTS or not url.host or "%" in url.host:
        raise DeliveryRefused("the receiver's URL is not an http or https URL")
    return url


def _must_be_sendable(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if name.lower() in OF_THE_CONNECTION:
            raise DeliveryRefused(f"header {name} can never be sent; tocsin sets it itself")
        if _HEADER_VALUE.fullmatch(value) is None:
            raise DeliveryRefused(
                f"header {name} is no header value; it must be one line of printable ASCII, "
                "without space at its ends"
            )


async def _beginning(response: httpx.Response) -> str:
    data = b""
    # Never decoded: what claims to be packed may unpack to any size.
    async for chunk in response.aiter_raw():
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
