"""Our HTTP server: where it listens, by whose certificate, and how it stops."""

import asyncio
import ssl
import subprocess
from collections.abc import MutableMapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from console.processes import web as web_module
from console.processes.web import Web, address
from tests.doorstep import ALERT, HOOK, post, serving
from tests.edge import CAPABILITY, MemoryBus, bearer, receiver
from tests.road import eventually
from tocsin.errors import ConfigError


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", HOOK.decode(), 405, "POST"),
        ("HEAD", "/v1/alerts/wazuh", 405, "POST"),
        ("PUT", "/v1/alerts/wazuh", 405, "POST"),
        ("OPTIONS", "/v1/alerts/wazuh", 405, "POST"),
        ("POST", "/healthz", 405, "GET, HEAD"),
        ("GET", "/", 404, None),
        ("POST", HOOK.decode() + "/", 404, None),
        ("POST", HOOK.decode() + "/x", 404, None),
        ("POST", "/v1/hook/", 404, None),
        ("POST", "/v1/alerts/wazuh/", 404, None),
        ("POST", "//v1/alerts/wazuh", 404, None),
        ("POST", "/v1/alerts/%2e%2e/wazuh", 404, None),
        ("HEAD", "/healthz", 200, None),
    ],
)
async def test_other_methods_and_paths(
    method: str, path: str, status: int, allow: str | None
) -> None:
    """What is not there is a 404 or a 405 with Allow, as a problem document, never a redirect."""
    async with serving() as server, httpx.AsyncClient(trust_env=False) as client:
        answer = await client.request(
            method, f"http://127.0.0.1:{server.port}{path}", headers=bearer()
        )
    assert answer.status_code == status
    assert {*answer.headers.get("allow", "").split(", ")} == {*(allow or "").split(", ")}
    assert CAPABILITY not in answer.text
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"


async def test_idle_connections_do_not_keep_it_from_stopping() -> None:
    """A drain ends idle connections, and answers the request that is under way."""
    publishing, may_go_on = asyncio.Event(), asyncio.Event()

    class Slow(MemoryBus):
        async def publish(self, *args: Any, **kwargs: Any) -> Any:
            publishing.set()
            await may_go_on.wait()
            return await super().publish(*args, **kwargs)

    async with serving(Slow()) as server:
        _, idle = await server.connect()
        under_way = asyncio.create_task(server.say(post(ALERT)))
        await publishing.wait()
        asyncio.get_running_loop().call_later(0.3, may_go_on.set)
    assert (await under_way).startswith(b"HTTP/1.1 202")
    idle.close()


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(key), "-out", str(cert)),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate and key; skips where there is no openssl to make them."""
    try:
        return make_certificate(tmp_path, "first")
    except FileNotFoundError:
        pytest.skip("no openssl program to make a certificate with")


async def test_https_is_answered(certificate: tuple[Path, Path]) -> None:
    """With certificate and key the receiver speaks TLS, and nothing else."""
    cert, key = certificate
    trust = ssl.create_default_context(cafile=str(cert))
    async with serving(tls_cert=cert, tls_key=key) as server:
        async with httpx.AsyncClient(verify=trust, trust_env=False) as client:
            url = f"https://127.0.0.1:{server.port}/v1/alerts/wazuh"
            answer = await client.post(url, content=ALERT, headers=bearer())
        plain = await server.say(post(ALERT))
    assert answer.status_code == 202
    assert plain == b""


async def test_certificate_is_reloaded(
    certificate: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new certificate is used by new connections; until its key fits, the old one serves."""
    monkeypatch.setattr(web_module, "_RELOAD_SECONDS", 0.05)
    cert, key = certificate
    (tmp_path / "new").mkdir()
    new_cert, new_key = await asyncio.to_thread(make_certificate, tmp_path / "new", "second")
    async with serving(tls_cert=cert, tls_key=key) as server:
        _, kept = await _shake(server.port)
        for unusable in (b"garbage", new_cert.read_bytes()):
            with capture_logs() as logs:
                cert.write_bytes(unusable)
                await eventually(partial(_unusable, logs), "the change was seen")
            assert await _name(server.port) == "first"
        key.write_bytes(new_key.read_bytes())

        async def renewed() -> bool:
            return await _name(server.port) == "second"

        await eventually(renewed, "the new certificate is used")
        assert not kept.is_closing()
        kept.close()


async def _unusable(logs: list[MutableMapping[str, Any]]) -> bool:
    return any(each["event"] == "certificate_unusable" for each in logs)


async def _shake(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anything.check_hostname = False
    anything.verify_mode = ssl.CERT_NONE
    return await asyncio.open_connection("127.0.0.1", port, ssl=anything)


async def _name(port: int) -> str:
    """The name in the certificate that a new connection is shown."""
    _, writer = await _shake(port)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return "second" if b"second" in shown else "first" if b"first" in shown else "?"


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "192.0.2.1:1", "[::]:1", "example.org:1"])
def test_plain_http_beyond_loopback_is_refused(listen: str) -> None:
    """Tokens never cross a network in the clear unless somebody insists."""
    app = receiver(MemoryBus())
    with pytest.raises(ConfigError, match="in the clear"):
        Web(app, listen=listen)
    assert Web(app, listen=listen, insecure=True)


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "[::1]:1", "localhost:1", "127.1.2.3:1"])
def test_plain_http_on_loopback_is_fine(listen: str) -> None:
    """What never leaves the machine needs no certificate."""
    assert Web(receiver(MemoryBus()), listen=listen)


@pytest.mark.parametrize(("cert", "key"), [(Path("x.pem"), None), (None, Path("x.pem"))])
def test_half_a_pair_is_refused(cert: Path | None, key: Path | None) -> None:
    """A certificate without its key, or the other way round, is a mistake."""
    with pytest.raises(ConfigError, match="belong together"):
        Web(receiver(MemoryBus()), listen="127.0.0.1:1", tls_cert=cert, tls_key=key)


@pytest.mark.parametrize(
    "listen", ["", "8080", "127.0.0.1", "127.0.0.1:", ":8080", "a:65536", "a:0", "::1:8080"]
)
def test_address_without_host_or_port_is_refused(listen: str) -> None:
    """An address needs both, and an IPv6 address its brackets."""
    with pytest.raises(ConfigError, match="must be ADDRESS:PORT"):
        address(listen)


def test_unusable_certificate_is_a_configuration_error(tmp_path: Path) -> None:
    """Files that are no PEM end the process at its start."""
    bad = tmp_path / "bad.pem"
    bad.write_text("nothing")
    with pytest.raises(ConfigError, match="certificate cannot be used"):
        Web(receiver(MemoryBus()), listen="127.0.0.1:1", tls_cert=bad, tls_key=bad)


async def test_taken_address_is_a_configuration_error() -> None:
    """A port that another process has is said at the start."""
    async with serving() as server:
        web = Web(receiver(MemoryBus()), listen=f"127.0.0.1:{server.port}")
        with pytest.raises(ConfigError, match="cannot listen"):
            await web.run(asyncio.Event())
