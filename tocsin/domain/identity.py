"""Where an alert's identity comes from: same event, same id, from any shape that carries it whole.

The id is the first 32 hexadecimal characters of SHA-256 over the canonical JSON of
`[tenant, source, parts...]`. It is the JetStream message id, the stem of the workflow id, the
primary key, and the stem of each notification's key.
"""

from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from tocsin.domain.alert import AlertId, TenantName

_ENCODER = msgspec.json.Encoder(order="sorted")


def identify(tenant: TenantName, source: str, *parts: Any) -> AlertId:  # noqa: ANN401 - JSON
    """Derive the id of an event.

    Args:
        tenant: Whose event it is.
        source: Name of the source it came through.
        *parts: JSON values that make it this event and no other; the order of keys in objects
            does not matter.

    Returns:
        32 lowercase hexadecimal characters.
    """
    digest = sha256(_ENCODER.encode((tenant, source, *parts)))
    return AlertId(digest.hexdigest()[:32])


def hour_of(received_at: datetime) -> str:
    """The hour of receipt, which stands in for an id and a time where a body has neither."""
    return received_at.strftime("%Y-%m-%dT%H")
