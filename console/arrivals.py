"""What `up` tells: where everything is, what to paste into Wazuh, and what comes first."""

import socket
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import msgspec

from activities.save import Enriched
from console.embedded.endpoints import Endpoints
from console.embedded.processes import WILDCARDS
from tocsin.bus import ENRICHED_SUBJECTS
from tocsin.domain.alert import Alert
from tocsin.domain.text import one_line
from tocsin.fields import split_address
from tocsin.jetstream import Bus
from tocsin.settings import NatsSettings

_BLOCK: Final = """
To send alerts from a Wazuh 4.x manager, paste this into its ossec.conf and restart it
(`shuffle` is built in; integrations/wazuh/custom-tocsin sends more, see docs/wazuh.md):

  <integration>
    <name>shuffle</name>
    <hook_url>{hook}</hook_url>
    <level>3</level>
    <alert_format>json</alert_format>
  </integration>

`tocsin send FILE` posts alerts from a file.
"""


def welcome(endpoints: Endpoints) -> str:
    """Where everything is that runs, and the `<integration>` block.

    Args:
        endpoints: The stack; where its receiver listens on all addresses, the block names the host.
    """
    receiver, hook, listen = endpoints.receiver, endpoints.hook, endpoints.receiver_listen
    if listen and split_address(listen)[0] in WILDCARDS:
        outside = f"{urlsplit(receiver).scheme}://{socket.gethostname()}:{urlsplit(receiver).port}"
        receiver, hook = outside, hook.replace(receiver, outside)
    places = {
        "receiver": receiver,
        "operators": endpoints.api,
        "Temporal": endpoints.temporal_ui,
        "inbox": endpoints.inbox_http,
    }
    notes = {"inbox": "   (what a pager and a mail server would get)"}
    lines = [f"  {name:<13}{url}{notes.get(name, '')}" for name, url in places.items() if url]
    block = _BLOCK.format(hook=hook) if hook else ""
    return "\n".join(["", *lines, f"{block}Ctrl-C stops everything."])


async def announce(endpoints: Endpoints, report: Callable[[str], None]) -> None:
    """Say when the first alert of each source arrives, until cancelled."""
    seen: set[tuple[str, str]] = set()
    bus = Bus(NatsSettings(url=endpoints.nats), name="up")
    await bus.connect()
    try:
        async for event in bus.listen(ENRICHED_SUBJECTS):
            alert = _read(event)
            if alert and (alert.tenant, alert.source) not in seen:
                seen.add((alert.tenant, alert.source))
                what = one_line(alert.rule.description or alert.message)
                report(f"first alert of source {alert.source} ({alert.tenant}): {what}")
    finally:
        await bus.close()


def _read(event: bytes) -> Alert | None:
    """The alert of an event; None when it is none, for nothing on the bus may end the stack."""
    try:
        return msgspec.json.decode(event, type=Enriched).alert
    except (ValueError, RecursionError):
        return None
