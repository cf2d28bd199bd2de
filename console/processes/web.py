"""Serving one of our HTTP applications until the process drains."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import structlog
import uvicorn
from pydantic_core import PydanticCustomError
from starlette.types import ASGIApp

from console.processes.wire import Wire
from tocsin.errors import ConfigError, Problem
from tocsin.fields import split_address

log = structlog.get_logger()

_RELOAD_SECONDS: Final = 2.0
_DRAIN_SECONDS: Final = 2


class Web:
    """One listening socket.

    Args:
        app: What to serve.
        listen: `ADDRESS:PORT`.
        tls_cert: PEM certificate chain; reloaded when it changes.
        tls_key: PEM private key.
        insecure: Allows plain HTTP beyond loopback.

    Raises:
        ConfigError: As `require_safe`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        listen: str,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        insecure: bool = False,
    ) -> None:
        require_safe(listen, tls_cert, tls_key, insecure=insecure)
        host, port = address(listen)
        self._files = tuple(file for file in (tls_cert, tls_key) if file)
        self._config = uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="uvloop",
            http=Wire,
            ssl_certfile=tls_cert,
            ssl_keyfile=tls_key,
            access_log=False,
            log_config=None,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Serve until asked to stop; requests under way are answered first.

        Raises:
            ConfigError: The address is taken.
        """
        server = _Server(self._config)
        self._config.load()
        listening = self._listen()
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        watching = asyncio.create_task(self._watch())
        try:
            await stopping.wait()
        finally:
            server.should_exit = True
            watching.cancel()
            await serving
            listening.close()

    def _listen(self) -> socket.socket:
        host, port = self._config.host, self._config.port
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            return socket.create_server((host, port), family=family, backlog=2048)
        except OSError as error:
            raise _wrong(
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                "is another process listening there?",
            ) from error

    async def _watch(self) -> None:
        """Load certificate and key again when a file changes; new connections use them."""
        seen = self._stamps()
        while self._config.ssl and self._files:
            cert, key = self._files
            await asyncio.sleep(_RELOAD_SECONDS)
            try:
                stamps = self._stamps()
                if stamps == seen:
                    continue
                # A new certificate with the old key would take the place of both: look first.
                _try_certificate(cert, key)
                self._config.ssl.load_cert_chain(cert, key)
            except (OSError, ssl.SSLError) as error:
                log.warning("certificate_unusable", error=str(error))
            else:
                log.info("certificate_reloaded")
                seen = stamps

    def _stamps(self) -> list[int]:
        return [file.stat().st_mtime_ns for file in self._files]


class _Server(uvicorn.Server):
    """Uvicorn without its own idea of signals: the process has one."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process."""
        yield


def address(listen: str) -> tuple[str, int]:
    """Split `ADDRESS:PORT`.

    Raises:
        ConfigError: It is none.
    """
    try:
        return split_address(listen)
    except PydanticCustomError as error:
        raise _wrong(f"{listen!r} {error.message()}", str((error.context or {})["hint"])) from error


def require_safe(
    listen: str, tls_cert: Path | None, tls_key: Path | None, *, insecure: bool = False
) -> None:
    """Make sure that one could listen so, and that no secret crosses a network in the clear.

    Args:
        listen: `ADDRESS:PORT`.
        tls_cert: PEM certificate chain.
        tls_key: PEM private key.
        insecure: Allows plain HTTP beyond loopback.

    Raises:
        ConfigError: The address is none, the certificate is half a pair or cannot be used, or
            plain HTTP would leave the machine.
    """
    host, _ = address(listen)
    if bool(tls_cert) != bool(tls_key):
        raise _wrong("--tls-cert and --tls-key belong together", "give both or neither")
    if tls_cert and tls_key:
        try:
            _try_certificate(tls_cert, tls_key)
        except (OSError, ssl.SSLError) as error:
            raise _wrong(f"the certificate cannot be used: {error}", "PEM files") from error
    elif not insecure and not _is_loopback(host):
        raise _wrong(
            f"{listen} would take alerts and tokens in the clear",
            "give --tls-cert and --tls-key, or --insecure behind a proxy that speaks TLS",
        )


def _try_certificate(cert: Path, key: Path) -> None:
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wrong(message: str, hint: str) -> ConfigError:
    return ConfigError((Problem(file="listen", message=message, hint=hint),))
