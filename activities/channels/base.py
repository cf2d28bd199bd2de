"""What every channel is given, and what it promises."""

from abc import ABC, abstractmethod
from datetime import datetime

import msgspec

from tocsin.domain.alert import Alert, AlertRef
from tocsin.domain.severity import Severity
from tocsin.domain.text import one_line
from tocsin.domain.verdict import Verdict
from tocsin.tenants import ReceiverConfig


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One notification, before a channel gives it its form.

    Attributes:
        key: Identity of the notification: the same on every attempt, so that the other side can
            recognise a repeat.
        ref: The run of the alert it tells of.
        alert: The alert itself; its text was written by strangers.
        verdict: The effective verdict.
        route: Name of the route that led here.
        sent_at: When this attempt is made.
        fallback_for: The receiver that refused it before; empty for a first choice.
    """

    key: str
    ref: AlertRef
    alert: Alert
    verdict: Verdict
    route: str
    sent_at: datetime
    fallback_for: str = ""

    @property
    def severity(self) -> Severity:
        """The effective severity."""
        return self.verdict.severity

    @property
    def title(self) -> str:
        """One line that says what happened."""
        what = self.alert.rule.description or self.alert.message or self.alert.rule.id
        return f"[{self.severity.value.upper()}] {one_line(what) or 'alert without a description'}"


class Channel(ABC):
    """A way of telling somebody; one attempt per call, no retries of its own."""

    @abstractmethod
    async def send(self, message: Message, receiver: ReceiverConfig) -> str:
        """Deliver one message.

        Args:
            message: What to tell.
            receiver: Whom, with this channel's part of its configuration set.

        Returns:
            What the other side answered, for the operator.

        Raises:
            DeliveryRefused: It will never be taken.
            DeliveryDelayed: It may be taken later.
            SecretMissing: A reference in the receiver names nothing.
            VaultUnavailable: The secrets backend is away.
        """
