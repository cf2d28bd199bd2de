"""`webhook`: an HTTP POST of JSON, signed by Standard Webhooks when the receiver has a secret.

Format and signature: https://www.standardwebhooks.com (specification 1.0.0): `webhook-id`,
`webhook-timestamp`, and `webhook-signature` = `v1,` + base64 of HMAC-SHA256 over
`id.timestamp.body`.
"""

import base64
import hashlib
import hmac
from typing import Any

import msgspec

from activities.channels.base import Channel, Message
from tocsin.errors import DeliveryRefused
from tocsin.outbound import Outbound
from tocsin.secrets import Secrets
from tocsin.tenants import ReceiverConfig, WebhookConfig


class Webhook(Channel):
    """Posts the whole alert as JSON.

    Args:
        outbound: The HTTP client.
        secrets: Resolves references in the receiver.
    """

    def __init__(self, outbound: Outbound, secrets: Secrets) -> None:
        self._outbound = outbound
        self._secrets = secrets

    async def send(self, message: Message, receiver: ReceiverConfig) -> str:
        """Post one message; the key travels as `webhook-id` and `Idempotency-Key`."""
        config = receiver.webhook or _missing(receiver)
        body = msgspec.json.encode(payload(message))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "tocsin",
            "Idempotency-Key": message.key,
            "webhook-id": message.key,
            "webhook-timestamp": str(int(message.sent_at.timestamp())),
        }
        for name, value in config.headers.items():
            headers[name] = await self._secrets.value(value)
        if config.secret:
            secret = await self._secrets.resolve(config.secret)
            headers["webhook-signature"] = sign(secret, headers, body)
        return await self._outbound.post(await self._secrets.value(config.url), body, headers)


def payload(message: Message) -> dict[str, Any]:
    """The body: an event in the form that Standard Webhooks recommends."""
    return {
        "type": "alert.notification",
        "timestamp": message.sent_at,
        "data": {
            "key": message.key,
            "title": message.title,
            "severity": message.severity,
            "route": message.route,
            "run": message.ref.run,
            "fallback_for": message.fallback_for or None,
            "verdict": message.verdict,
            "alert": message.alert,
        },
    }


def sign(secret: str, headers: dict[str, str], body: bytes) -> str:
    """Compute `webhook-signature`.

    Args:
        secret: `whsec_` and the key in base64, or the key's base64 alone.
        headers: With `webhook-id` and `webhook-timestamp` set.
        body: The exact bytes posted.

    Raises:
        DeliveryRefused: The secret is not base64.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError as error:
        raise DeliveryRefused("the receiver's signing secret is not whsec_<base64>") from error
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def _missing(receiver: ReceiverConfig) -> WebhookConfig:
    raise DeliveryRefused(f"receiver {receiver.name!r} has no webhook")
