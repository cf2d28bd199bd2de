"""What leaves the machine: where it may go, what it tells of itself, and how much comes back."""

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
import pytest_asyncio

from activities.channels.webhook import sign
from tests.integration.listener import answer, listening
from tocsin.errors import DeliveryRefused
from tocsin.outbound import Outbound, is_public
from tocsin.settings import OutboundSettings

SECRET = "hunter2"


@pytest_asyncio.fixture
async def outbound() -> AsyncIterator[Outbound]:
    """A client that may reach loopback."""
    client = Outbound(OutboundSettings(allow_private=True, timeout=timedelta(seconds=5)))
    yield client
    await client.close()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("239.255.255.250", False),
        ("255.255.255.255", False),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("::", False),
        ("::1", False),
        ("::7f00:1", False),
        ("::5db8:d70e", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("::ffff:0:7f00:1", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::e000:1", False),
        ("64:ff9b::5db8:d70e", True),
        ("64:ff9b:1::a00:1", False),
        ("2002:a9fe:a9fe::1", False),
        ("2002:7f00:1::", False),
        ("2002:5db8:d70e::1", True),
        ("2001:0:7f00:1::", False),
        ("2001:db8::1", False),
        ("3fff::1", False),
        ("3fff:fff:ffff::1", False),
        ("3fff:1000::1", True),
        ("fc00::1", False),
        ("fe80::1", False),
        ("fe80::1%lo", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("ff0e::1", False),
        ("4000::1", False),
    ],
)
def test_addresses(address: str, public: bool) -> None:  # noqa: FBT001 - a column of the table
    """Public is what somebody on the internet has, also where IPv6 carries IPv4."""
    assert is_public(address) is public


@pytest.mark.parametrize("host", ["64:ff9b::a9fe:a9fe", "2002:a00:1::", "fec0::1", "224.0.0.1"])
async def test_private_address_in_disguise_is_refused(host: str) -> None:
    """Without outbound.allow_private nothing is sent to an address that only looks public."""
    outbound = Outbound(OutboundSettings())
    with pytest.raises(DeliveryRefused, match="private address"):
        await outbound.check(host, 80)
    await outbound.close()


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {SECRET}\n",
        f"Bearer {SECRET} ",
        f"\t{SECRET}",
        f"{SECRET}\r\nX: y",
        f"{SECRET}\0",
        f"{SECRET}\x7f",
        f"{SECRET}ü",
    ],
)
async def test_value_that_is_no_header_is_never_told(outbound: Outbound, value: str) -> None:
    """A header that cannot be sent is refused by its name; no error of the chain has its value."""
    async with listening(answer(200)) as listener:
        with pytest.raises(DeliveryRefused, match="header Authorization is no header value") as it:
            await outbound.post(listener.url, b"", {"Authorization": value})
    assert listener.seen == []
    assert SECRET not in everything_said(it.value)


async def test_strange_header_values_are_sent(outbound: Outbound) -> None:
    """Empty values, and spaces within one, are sent as they are."""
    async with listening(answer(200)) as listener:
        await outbound.post(listener.url, b"", {"X-Empty": "", "X-Spaced": "a \t b"})
    assert listener.seen[0].headers["x-empty"] == ""
    assert listener.seen[0].headers["x-spaced"] == "a \t b"


async def test_error_of_our_own_request_is_never_repeated(
    outbound: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the HTTP library says of a request that it cannot send may hold any part of it."""

    def fail(*_args: object, **_options: object) -> None:
        raise httpx.LocalProtocolError(f"Illegal header value b'{SECRET}'")

    monkeypatch.setattr(httpx.AsyncClient, "stream", fail)
    with pytest.raises(DeliveryRefused) as caught:
        await outbound.post("http://127.0.0.1:1/", b"", {})
    assert SECRET not in everything_said(caught.value)


@pytest.mark.parametrize(
    "headers",
    [{"host": SECRET}, {"Content-Length": SECRET}, {"content-length": "7"}, {"a b": SECRET}],
)
async def test_request_that_can_never_be_sent_is_refused(
    outbound: Outbound, headers: dict[str, str]
) -> None:
    """Trying again would only lose time, so the fallback hears at once."""
    async with listening(answer(200)) as listener:
        with pytest.raises(DeliveryRefused, match="can never be sent") as caught:
            await outbound.post(listener.url, b"", headers)
    assert SECRET not in everything_said(caught.value)


async def test_silent_receivers_hold_up_no_other() -> None:
    """However many receivers are silent, another one hears at once."""
    outbound = Outbound(OutboundSettings(allow_private=True, timeout=timedelta(seconds=30)))
    opened = asyncio.Semaphore(0)

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.release()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(keep_silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/"
        waiting = [asyncio.create_task(outbound.post(url, b"", {})) for _ in range(150)]
        for _ in waiting:
            await opened.acquire()
        async with listening(answer(200)) as listener:
            assert await outbound.post(listener.url, b"", {}) == "200"
        assert not any(post.done() for post in waiting)
        for post in waiting:
            post.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    await outbound.close()


@pytest.mark.parametrize(
    "url",
    [
        f"http://x:{SECRET}/",
        f"http://x/{SECRET}\x07",
        f"http://[{SECRET}/",
        f"http://{SECRET}\u2100/",
        f"{SECRET}",
        f"ftp://{SECRET}/",
        "http:///x",
    ],
)
async def test_url_that_is_none_is_never_told(outbound: Outbound, url: str) -> None:
    """A URL may be secret: one that is none is refused without repeating it."""
    with pytest.raises(DeliveryRefused, match="not an http or https URL") as caught:
        await outbound.post(url, b"", {})
    assert SECRET not in everything_said(caught.value)


async def test_host_is_told_as_it_is_resolved(outbound: Outbound) -> None:
    """The other side hears the name that was asked for, not the address that was connected to."""
    async with listening(answer(200)) as listener:
        await outbound.post(listener.url.replace("127.0.0.1", "localhost"), b"", {})
        assert listener.seen[0].headers["host"] == f"localhost:{listener.port}"


@pytest.mark.parametrize("secret", ["no base64", "whsec_ü"])
def test_signing_secret_that_is_none_is_refused(secret: str) -> None:
    """A signing secret that is not base64 will never sign."""
    with pytest.raises(DeliveryRefused, match="whsec_<base64>"):
        sign(secret, {"webhook-id": "1", "webhook-timestamp": "2"}, b"")


async def test_answer_is_never_unpacked(outbound: Outbound) -> None:
    """We ask for a plain answer, and one that claims to be packed costs no more than its bytes."""
    bomb = gzip.compress(gzip.compress(b"\0" * (64 * 2**20)))
    head = b"HTTP/1.1 200 X\r\nContent-Encoding: gzip, gzip\r\nContent-Length: %d\r\n\r\n"
    async with listening(head % len(bomb) + bomb) as listener:
        tracemalloc.start()
        try:
            taken = await outbound.post(listener.url, b"", {})
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert taken.startswith("200 ")
    assert peak < 4 * 2**20
    assert listener.seen[0].headers["accept-encoding"] == "identity"


async def test_answer_without_end_is_cut(outbound: Outbound) -> None:
    """Of an answer the beginning is kept."""
    async with listening(answer(400, "x" * 2**20)) as listener:
        with pytest.raises(DeliveryRefused) as caught:
            await outbound.post(listener.url, b"", {})
    assert caught.value.response == "400 " + "x" * 2048


def everything_said(error: BaseException | None) -> str:
    """The text of an error and of all that is shown beside it, as Temporal and logs would."""
    said = ""
    while error is not None:
        said += f"{error!r} {error}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return said
