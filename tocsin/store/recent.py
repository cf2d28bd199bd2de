"""The alerts that this process recorded a moment ago, so that its activities need not ask for them.

An alert never changes once it is recorded, so what is remembered is what is stored.
"""

from collections import OrderedDict
from typing import Final

from tocsin.domain.alert import Alert, AlertRef
from tocsin.store import alerts
from tocsin.store.database import Database

_MOST: Final = 1000


class RecentAlerts:
    """A bounded memory in front of the database.

    Args:
        database: Where an alert is read from when it is not remembered.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._alerts: OrderedDict[AlertRef, Alert] = OrderedDict()

    def remember(self, ref: AlertRef, alert: Alert) -> None:
        """Keep an alert that was just recorded; the oldest gives way."""
        self._alerts[ref] = alert
        if len(self._alerts) > _MOST:
            self._alerts.popitem(last=False)

    async def load(self, ref: AlertRef) -> Alert:
        """Give an alert.

        Raises:
            LookupError: There is no such run.
            StoreUnavailable: It has to be read, and PostgreSQL is away.
        """
        return self._alerts.get(ref) or await alerts.load(self._database, ref)
