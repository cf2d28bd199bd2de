"""The ledger: copies quarantine and dead letters from the FAILED stream to PostgreSQL."""

from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from ingest.dispatcher.patience import Patience, Stopping
from ingest.letters import Letter
from tocsin.bus import FAILED, LEDGER
from tocsin.errors import BusUnavailable, MessageFault
from tocsin.jetstream import Bus
from tocsin.pulling import Subscription
from tocsin.store import dead_letters
from tocsin.store.database import Database

log = structlog.get_logger()

_BATCH: Final = 50
_FETCH_WAIT: Final = timedelta(seconds=1)
_RETRY_PAUSE: Final = 1.0


async def keep_ledger(bus: Bus, database: Database, patience: Patience) -> None:
    """Copy letters until the process drains."""
    while not patience.stopping.is_set():
        try:
            subscription = await bus.pull(FAILED, LEDGER)
            try:
                await _follow(subscription, database, patience)
            finally:
                await subscription.close()
        except BusUnavailable as error:
            log.warning("dependency_away", dependency="nats", error=str(error))
            await patience.pause(_RETRY_PAUSE)
        except Stopping:
            return
        except MessageFault as fault:
            # The letter stays on its stream; nothing else of this process stops for it.
            log.error("letter_unkept", error=str(fault))  # noqa: TRY400
            await patience.pause(_RETRY_PAUSE)


async def _follow(subscription: Subscription, database: Database, patience: Patience) -> None:
    while not patience.stopping.is_set():
        deliveries = await patience.unless_stopping(
            subscription.fetch(batch=_BATCH, wait=_FETCH_WAIT)
        )
        if not deliveries:
            continue
        letters = [Letter.open(d.subject, d.data, d.headers) for d in deliveries]
        await patience.hold(partial(dead_letters.keep, database, [row(each) for each in letters]))
        for delivery in deliveries:
            await delivery.ack()


def row(letter: Letter) -> dict[str, object]:
    """The row of a letter."""
    return {
        "id": letter.id,
        "tenant": letter.tenant,
        "source": letter.source,
        "kind": letter.kind.value,
        "stage": letter.stage.value,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "alert_id": letter.alert_id,
        "epoch": letter.epoch,
        "sequence": letter.sequence,
        "raw": letter.raw,
        "received_at": letter.received_at,
    }
