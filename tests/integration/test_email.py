"""Mail, against a real SMTP listener with real failures."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from activities.channels import email
from activities.channels.base import Message
from activities.channels.email import Email
from tests.certificates import make_certificate
from tocsin.domain.alert import Agent, Alert, AlertId, AlertRef, Rule, TenantName
from tocsin.domain.severity import Severity
from tocsin.domain.verdict import Verdict
from tocsin.errors import DeliveryDelayed, DeliveryRefused
from tocsin.outbound import Outbound
from tocsin.secrets import Secrets
from tocsin.settings import OutboundSettings, VaultSettings
from tocsin.tenants import ReceiverConfig

REF = AlertRef(tenant=TenantName("acme"), alert_id=AlertId("a" * 32))
NOW = datetime(2026, 11, 20, 15, 4, 5, tzinfo=UTC)


def message(**more: Any) -> Message:
    """A notification about an alert whose text a stranger wrote."""
    alert = Alert(
        tenant=REF.tenant,
        source="wazuh",
        id=REF.alert_id,
        level=12,
        rule=Rule(id="5712", description="brute\r\nBcc: victim@example.org\r\n\r\nforce"),
        agent=Agent(name="web-01", ip="192.0.2.1"),
        message="first line\n\u202esecond\x1b[31m line",
        time=NOW,
        received_at=NOW,
        **more,
    )
    verdict = Verdict(severity=Severity.HIGH)
    key = f"{REF.alert_id}-0-mail"
    return Message(key=key, ref=REF, alert=alert, verdict=verdict, route="page", sent_at=NOW)


class Post:
    """An SMTP listener's handler; answers DATA as it is told."""

    def __init__(self, answer: str = "250 2.0.0 taken", recipient: str = "250 ok") -> None:
        self.answer = answer
        self.recipient = recipient
        self.mails: list[EmailMessage] = []
        self.port = 0

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd calls
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        """Take or refuse a recipient."""
        envelope.rcpt_tos.append(address)
        return self.recipient

    async def handle_DATA(  # noqa: N802 - the name that aiosmtpd calls
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take or refuse a mail."""
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        return self.answer

    def receiver(self, **more: Any) -> ReceiverConfig:
        """A receiver that sends its mail here."""
        config = {
            "to": ["a@example.org", "b@example.org"],
            "sender": "tocsin@example.org",
            "host": "localhost",
            "port": self.port,
            "security": "none",
            **more,
        }
        return ReceiverConfig.model_validate({"name": "mail", "email": config})


@asynccontextmanager
async def listening(post: Post, **options: Any) -> AsyncIterator[Post]:
    """Listen on loopback for the time of the block."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(post, **options), "127.0.0.1", 0)
    post.port = server.sockets[0].getsockname()[1]
    try:
        yield post
    finally:
        server.close()


@pytest.fixture
def channel() -> Email:
    """The channel, allowed to reach loopback."""
    outbound = Outbound(OutboundSettings(allow_private=True, timeout=timedelta(seconds=2)))
    return Email(outbound, Secrets(VaultSettings()))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost and its key; skips where there is no openssl to make them."""
    try:
        return make_certificate(tmp_path_factory.mktemp("tls"), "DNS:localhost")
    except FileNotFoundError:
        pytest.skip("no openssl program to make a certificate with")


async def test_mail_tells_what_happened_and_carries_the_key(channel: Email) -> None:
    """The mail has the key as Message-ID, everybody in To, and the facts in its text."""
    async with listening(Post()) as post:
        answer = await channel.send(message(), post.receiver())
    assert "taken" in answer
    (mail,) = post.mails
    assert mail["Message-ID"] == f"<{REF.alert_id}-0-mail@tocsin>"
    assert mail["To"] == "a@example.org, b@example.org"
    text = mail.get_content()
    for fact in ("5712", "web-01", "high", "acme/" + REF.alert_id, "| first line"):
        assert fact in text


async def test_stranger_cannot_write_headers_or_move_the_cursor(channel: Email) -> None:
    """Newlines, escape sequences and direction marks in an alert stay harmless."""
    async with listening(Post()) as post:
        await channel.send(message(), post.receiver())
    (mail,) = post.mails
    assert mail["Bcc"] is None
    assert mail["Subject"] == "[HIGH] brute Bcc: victim@example.org force"
    assert not {"\x1b", "\u202e"} & set(mail.get_content())


@pytest.mark.parametrize(
    ("post", "error"),
    [
        (Post(answer="451 4.3.0 later"), DeliveryDelayed),
        (Post(answer="554 5.7.1 never"), DeliveryRefused),
        (Post(recipient="450 4.2.1 full"), DeliveryDelayed),
        (Post(recipient="550 5.1.1 unknown"), DeliveryRefused),
    ],
    ids=["data 451", "data 554", "recipient 450", "recipient 550"],
)
async def test_reply_codes_decide(channel: Email, post: Post, error: type[Exception]) -> None:
    """4xx replies are tried again, 5xx replies are final (RFC 5321)."""
    async with listening(post):
        with pytest.raises(error):
            await channel.send(message(), post.receiver())


async def test_no_server_is_a_delay(channel: Email) -> None:
    """A refused connection passes."""
    async with listening(Post()) as post:
        receiver = post.receiver()
    with pytest.raises(DeliveryDelayed):
        await channel.send(message(), receiver)


async def test_silent_server_is_a_delay(channel: Email, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never greets is given up within the limit."""
    monkeypatch.setattr(email, "_TIMEOUT_SECONDS", 0.3)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    post = Post()
    post.port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(DeliveryDelayed):
            await channel.send(message(), post.receiver())


async def test_wrong_password_is_final(channel: Email, tmp_path: Path) -> None:
    """A refused login is no matter of trying again."""
    password = tmp_path / "password"
    password.write_text("wrong")
    options: dict[str, Any] = {
        "auth_require_tls": False,
        "authenticator": lambda *_: AuthResult(success=False, handled=False),
    }
    async with listening(Post(), **options) as post:
        with pytest.raises(DeliveryRefused):
            await channel.send(
                message(), post.receiver(username="tocsin", password=f"file:{password}")
            )


async def test_starttls_is_refused_where_the_server_has_none(channel: Email) -> None:
    """A receiver that asks for STARTTLS never falls back to plain text."""
    async with listening(Post()) as post:
        with pytest.raises(DeliveryRefused):
            await channel.send(message(), post.receiver(security="starttls"))
    assert post.mails == []


async def test_starttls_with_a_stranger_s_certificate_sends_nothing(
    channel: Email, certificate: tuple[Path, Path]
) -> None:
    """A certificate that nobody vouches for is no delivery."""
    async with listening(Post(), tls_context=_serving(certificate)) as post:
        with pytest.raises(DeliveryDelayed):
            await channel.send(message(), post.receiver(security="starttls"))
    assert post.mails == []


async def test_starttls_with_a_trusted_certificate_delivers(
    channel: Email, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate of the operator's own authority is trusted through SSL_CERT_FILE."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with listening(Post(), tls_context=_serving(certificate), require_starttls=True) as post:
        await channel.send(message(), post.receiver(security="starttls"))
    assert len(post.mails) == 1


def _serving(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


async def test_private_mail_server_is_refused_unless_allowed() -> None:
    """Without outbound.allow_private no mail is sent to loopback."""
    channel = Email(Outbound(OutboundSettings()), Secrets(VaultSettings()))
    async with listening(Post()) as post:
        with pytest.raises(DeliveryRefused, match="private address"):
            await channel.send(message(), post.receiver())
    assert post.mails == []
