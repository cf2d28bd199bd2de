"""`email`: a plain-text mail over SMTP, STARTTLS unless the receiver says otherwise."""

import asyncio
from email.message import EmailMessage
from email.utils import format_datetime

import aiosmtplib

from activities.channels.base import Channel, Message
from tocsin.domain.text import one_line
from tocsin.errors import DeliveryDelayed, DeliveryError, DeliveryRefused
from tocsin.outbound import Outbound, trust
from tocsin.secrets import Secrets
from tocsin.tenants import EmailConfig, ReceiverConfig

_TIMEOUT_SECONDS = 15.0
_PERMANENT = 500


class Email(Channel):
    """Sends a mail whose `Message-ID` is the notification's key.

    Args:
        outbound: Checks where the mail may go.
        secrets: Resolves the password.
    """

    def __init__(self, outbound: Outbound, secrets: Secrets) -> None:
        self._outbound = outbound
        self._secrets = secrets

    async def send(self, message: Message, receiver: ReceiverConfig) -> str:
        """Send one mail to every address of the receiver."""
        config = receiver.email or _missing(receiver)
        password = await self._secrets.resolve(config.password) if config.password else None
        connection = await self._outbound.connect(config.host, config.port)
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                refused, answer = await aiosmtplib.send(
                    compose(message, config),
                    sock=connection,
                    hostname=config.host,
                    use_tls=config.security == "tls",
                    start_tls=config.security == "starttls",
                    username=config.username or None,
                    password=password,
                    tls_context=trust(),
                )
        except aiosmtplib.SMTPException as error:
            raise _judge(error) from error
        except OSError as error:
            raise DeliveryDelayed(f"no connection to {config.host}: {error}") from error
        return _summary(answer, sorted(refused))


def compose(message: Message, config: EmailConfig) -> EmailMessage:
    """Write the mail; everything a stranger wrote is plain text in it."""
    mail = EmailMessage()
    mail["Subject"] = one_line(message.title, limit=180)
    mail["From"] = config.sender
    mail["To"] = ", ".join(config.to)
    mail["Date"] = format_datetime(message.sent_at)
    mail["Message-ID"] = f"<{message.key}@tocsin>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Tocsin-Key"] = message.key
    mail.set_content(text(message))
    return mail


def text(message: Message) -> str:
    """The body of the mail."""
    alert, verdict = message.alert, message.verdict
    lines = [
        message.title,
        "",
        f"Severity:   {verdict.severity.value}",
        f"Verdict:    {verdict.disposition.value}, given by {verdict.given_by.value}",
        f"Rule:       {one_line(alert.rule.id)} level {alert.level}",
        f"Agent:      {one_line(alert.agent.name)} {one_line(alert.agent.ip)}",
        f"Source:     {one_line(alert.source_address) or '-'}",
        f"Location:   {one_line(alert.location)}",
        f"Time:       {alert.time.isoformat()} (received {alert.received_at.isoformat()})",
        f"MITRE:      {one_line(', '.join(alert.rule.mitre)) or '-'}",
        f"Route:      {one_line(message.route)}",
        f"Alert:      {message.ref.workflow_id}",
        "",
        *("| " + one_line(line, limit=500) for line in alert.message.splitlines()[:20]),
    ]
    if message.fallback_for:
        lines.insert(2, f"Sent in place of {message.fallback_for}, which refused it.\n")
    return "\n".join(lines) + "\n"


def _judge(error: aiosmtplib.SMTPException) -> DeliveryError:
    """Permanent by SMTP's own reply codes (RFC 5321, section 4.2.1); anything else may pass."""
    codes = [getattr(error, "code", 0)]
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        codes = [refused.code for refused in error.recipients]
    # The bare class is the client's own word that the server lacks what the receiver asks for.
    impossible = type(error) in {aiosmtplib.SMTPException, aiosmtplib.SMTPNotSupported}
    permanent = impossible or all(code >= _PERMANENT for code in codes)
    kind = DeliveryRefused if permanent else DeliveryDelayed
    return kind(f"SMTP: {type(error).__name__}", response=one_line(str(error)))


def _summary(answer: str, refused: list[str]) -> str:
    if refused:
        return f"{answer}; refused: {', '.join(refused)}"
    return answer


def _missing(receiver: ReceiverConfig) -> EmailConfig:
    raise DeliveryRefused(f"receiver {receiver.name!r} has no email")
