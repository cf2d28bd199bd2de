"""The command's client of the operators' interface, and how it finds it."""

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import httpx
import msgspec

from console.bearer import sendable
from console.embedded import endpoints
from tocsin.domain.text import one_line
from tocsin.errors import ConfigError, Problem, TocsinError, Unavailable
from tocsin.settings import load_settings

_PATIENCE: Final = timedelta(seconds=60)
_LONGEST_PAGE: Final = 1000

Parameters = Mapping[str, str | int | None]


class ApiUnavailable(Unavailable):
    """The operators' interface does not answer, or something that it needs is away."""

    dependency: ClassVar[str] = "api"


class ApiRefused(TocsinError):
    """The operators' interface refuses; the message is its own sentence."""


class NoStack(TocsinError):
    """Nothing says where the operators' interface is."""


class _Refusal(msgspec.Struct):
    """What we read of a problem document (RFC 9457)."""

    type: str = ""
    title: str = ""
    detail: str = ""
    parameter: str = ""
    allowed: str = ""

    @property
    def sentence(self) -> str:
        """What it says, harmless in a terminal: it may quote what a sender posted."""
        return one_line(": ".join(part for part in (self.title, self.detail) if part), limit=1000)


class Client:
    """Asks the operators' interface.

    Args:
        url: Its base URL.
        token: The operators' token.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        # The system's certificates, or those of SSL_CERT_FILE; no proxy stands before our own.
        self._client = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"},
            timeout=None,  # noqa: S113 - each question is bounded as a whole
            trust_env=False,
            verify=ssl.create_default_context() if url.startswith("https:") else False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._client.aclose()

    async def get(
        self, path: str, parameters: Parameters | None = None, *, within: timedelta = _PATIENCE
    ) -> dict[str, Any]:
        """Ask.

        Args:
            path: What.
            parameters: Those that are None or empty are left out.
            within: How long it may take.

        Raises:
            ApiUnavailable: No answer, or a dependency is away.
            ApiRefused: It says no.
            ConfigError: It names a parameter that is wrong.
        """
        given = {name: each for name, each in (parameters or {}).items() if each not in {None, ""}}
        return await self._ask("GET", path, given, within)

    async def post(self, path: str) -> dict[str, Any]:
        """Have something done.

        Raises:
            ApiUnavailable: As `get`.
            ApiRefused: As `get`.
        """
        return await self._ask("POST", path, {}, _PATIENCE)

    async def pages(
        self, path: str, parameters: Parameters, *, limit: int
    ) -> AsyncIterator[dict[str, Any]]:
        """The items of a list, page after page.

        Args:
            path: The list.
            parameters: As for `get`.
            limit: Most items; 0 for all.

        Raises:
            ApiUnavailable: As `get`.
            ApiRefused: As `get`.
            ConfigError: As `get`.
        """
        left, cursor = limit or math.inf, None
        while left > 0:
            size = int(min(left, _LONGEST_PAGE))
            page = await self.get(path, {**parameters, "limit": size, "cursor": cursor})
            for item in page["items"]:
                yield item
            left, cursor = left - len(page["items"]), page["next"]
            if cursor is None:
                return

    async def _ask(
        self, method: str, path: str, parameters: Parameters, within: timedelta
    ) -> dict[str, Any]:
        try:
            async with asyncio.timeout(within.total_seconds()):
                answer = await self._client.request(method, self._url + path, params=parameters)
        except TimeoutError as error:
            raise self._away(f"no answer within {within.total_seconds():.0f} s") from error
        except httpx.LocalProtocolError:
            # Its text repeats the request, and so the token; so would the chain of errors.
            raise self._away("the request cannot be sent") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._away(str(error) or type(error).__name__) from error
        try:
            content = msgspec.json.decode(answer.content, type=dict[str, Any])
            refusal = msgspec.convert(content, _Refusal) if answer.is_error else None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ApiRefused(
                f"what answers at {self._url} is no operators' interface of tocsin"
            ) from error
        if refusal:
            raise _error(answer, refusal)
        return content

    def _away(self, why: str) -> ApiUnavailable:
        return ApiUnavailable(
            f"the operators' interface at {self._url} does not answer ({why}); "
            "is `tocsin serve` running there?"
        )


def connect(data_dir: Path | None = None) -> Client:
    """Open a client.

    The flag comes first, then `TOCSIN_URL` and `TOCSIN_TOKEN`, then the running stack of
    `TOCSIN_DATA_DIR` or `./.tocsin`.

    Args:
        data_dir: Data directory of a running stack.

    Raises:
        ConfigError: Settings are wrong, or there is a URL without a token that can be sent.
        NoStack: Nothing runs in the data directory.
        StackFailed: What runs there has no operators' interface.
    """
    settings = load_settings(flags={"data_dir": data_dir})
    if settings.url and not data_dir:
        hint = "set TOCSIN_TOKEN to the operators' token"
        token = sendable(settings.token.get_secret_value(), name="TOCSIN_TOKEN", hint=hint)
        if not token:
            raise ConfigError((Problem(file="TOCSIN_URL", message="has no token", hint=hint),))
        return Client(settings.url, token)
    running = endpoints.read(settings.data_dir)
    if running is None:
        raise NoStack(
            f"no running stack at {_shown(settings.data_dir)}; start one with `tocsin up`, "
            "or set TOCSIN_URL and TOCSIN_TOKEN"
        )
    running.require("api")
    return Client(running.api, running.operator_token)


def _error(answer: httpx.Response, refusal: _Refusal) -> TocsinError:
    if refusal.parameter:
        message = one_line(refusal.detail, limit=1000)
        flag = one_line(refusal.parameter).replace("_", "-")
        problem = Problem(file=f"--{flag}", message=message)
        return ConfigError((problem,))
    if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE:
        wait = answer.headers.get("Retry-After", "")
        seconds = int(wait) if wait.isdecimal() else 5
        return ApiUnavailable(refusal.sentence, retry_after=timedelta(seconds=seconds))
    if answer.status_code == HTTPStatus.UNAUTHORIZED:
        return ApiRefused("the operators' token is not accepted; look at TOCSIN_TOKEN")
    return ApiRefused(refusal.sentence or f"the answer is {answer.status_code}")


def _shown(folder: Path) -> str:
    return str(folder) if folder.is_absolute() else f"./{folder}"
