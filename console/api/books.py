"""`/v1/balance` and `/v1/notifications`: whether all is accounted for, and who was told."""

from starlette.requests import Request
from starlette.responses import Response

from console.api import parameters
from console.api.answers import answer
from console.api.backends import Backends
from console.api.paging import page
from ingest.books import balance
from tocsin.store.deliveries import NotificationFilter, NotificationItem, list_notifications
from tocsin.store.paging import Key


class Books:
    """Answers about the whole.

    Args:
        backends: What is asked.
    """

    NOTIFICATIONS = (
        parameters.SINCE,
        parameters.OUTBOX_STATUS,
        parameters.CHANNEL,
        parameters.ALERT,
        parameters.TENANT,
        parameters.LIMIT,
        parameters.CURSOR,
    )

    def __init__(self, backends: Backends) -> None:
        self._backends = backends

    async def balance(self, request: Request) -> Response:
        """The state of the books now."""
        parameters.read(request.query_params, ())
        bus, database = await self._backends.bus(), await self._backends.database()
        return answer(await balance(bus, database, self._backends.tenants))

    async def notifications(self, request: Request) -> Response:
        """One page of the outbox, newest first."""
        given = parameters.read(request.query_params, self.NOTIFICATIONS)
        limit, after = given.pop("limit"), given.pop("cursor")
        which = NotificationFilter(**given)
        database = await self._backends.database()
        items = await list_notifications(database, which, after=after, limit=limit + 1)
        return answer(page(items, limit, _key))


def _key(item: NotificationItem) -> Key:
    return Key(item.created_at, item.id)
