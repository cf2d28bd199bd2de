"""Names are looked up beside each other, and what is stuck holds up nobody."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.listener import answer, listening
from tocsin.errors import DeliveryDelayed, DeliveryRefused
from tocsin.outbound import Outbound
from tocsin.settings import OutboundSettings

# A process whose only lookup never comes back.
STUCK = """
import asyncio, socket, threading
from datetime import timedelta
from tocsin.errors import DeliveryDelayed
from tocsin.outbound import Outbound
from tocsin.settings import OutboundSettings

socket.getaddrinfo = lambda *_, **__: threading.Event().wait()

async def main():
    outbound = Outbound(OutboundSettings(timeout=timedelta(milliseconds=50)))
    try:
        await outbound.check("stuck.example", 80)
    except DeliveryDelayed:
        print("delayed")
    await outbound.close()

asyncio.run(main())
"""


@pytest_asyncio.fixture
async def outbound() -> AsyncIterator[Outbound]:
    """A client that may reach loopback."""
    client = Outbound(OutboundSettings(allow_private=True, timeout=timedelta(seconds=5)))
    yield client
    await client.close()


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For the time of the test, the lookup of `stuck.example` does not come back."""
    resolve, over = socket.getaddrinfo, threading.Event()

    def getaddrinfo(host: str, *args: Any, **options: Any) -> Any:
        if host == "stuck.example":
            over.wait()
        return resolve(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield
    over.set()


@pytest.mark.usefixtures("stuck")
async def test_stuck_lookups_hold_up_no_other(outbound: Outbound) -> None:
    """However many lookups are stuck, other names are looked up and other threads run."""
    waiting = [asyncio.create_task(outbound.check("stuck.example", 80)) for _ in range(100)]
    await asyncio.sleep(0)
    async with asyncio.timeout(4):
        assert await outbound.check("localhost", 80) in {"127.0.0.1", "::1"}
        assert await asyncio.to_thread(lambda: True)
    assert not any(check.done() for check in waiting)
    for check in waiting:
        check.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.usefixtures("stuck")
async def test_stuck_lookup_is_given_up() -> None:
    """A lookup may take as long as an answer may; then the delivery is tried again later."""
    outbound = Outbound(OutboundSettings(timeout=timedelta(milliseconds=50)))
    async with asyncio.timeout(10):
        with pytest.raises(DeliveryDelayed, match=r"stuck\.example does not resolve"):
            await outbound.check("stuck.example", 80)
    await outbound.close()


def test_stuck_lookup_outlives_no_process() -> None:
    """A process ends without waiting for lookups."""
    ended = subprocess.run(
        [sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=20, check=True
    )
    assert (ended.stdout, ended.stderr) == ("delayed\n", "")


async def test_address_is_not_looked_up(
    outbound: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is an address already asks nobody."""

    def fail(*_args: object, **_options: object) -> None:
        raise AssertionError

    async with listening(answer(200)) as listener:
        monkeypatch.setattr(socket, "getaddrinfo", fail)
        assert await outbound.check("::1", 80) == "::1"
        assert await outbound.post(listener.url, b"", {}) == "200"
        (await outbound.connect("127.0.0.1", listener.port)).close()


@pytest.mark.parametrize("host", ["a..example", f"{'a' * 64}.example"])
async def test_name_that_no_host_can_have_is_refused(outbound: Outbound, host: str) -> None:
    """What can never be looked up is not tried for an hour."""
    with pytest.raises(DeliveryRefused, match="no host name"):
        await outbound.post(f"http://{host}/", b"", {})
