"""`/v1/alerts`: the list, one alert with all that is known of it, and its redrive."""

from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from console.api import parameters
from console.api.answers import Redriven, answer, require_id
from console.api.backends import Backends
from console.api.detail import WorkflowLink, describe
from console.api.paging import page
from tocsin.domain.ocsf import detection_finding
from tocsin.errors import NotFound
from tocsin.settings import TemporalSettings
from tocsin.store.deliveries import NotificationFilter, list_notifications
from tocsin.store.dossier import Dossier, list_runs, open_dossier
from tocsin.store.listing import AlertFilter, AlertItem, list_alerts
from tocsin.store.paging import Key

_MOST_NOTIFICATIONS: Final = 1000


class Alerts:
    """Answers about alerts.

    Args:
        backends: What is asked.
        temporal: Where workflows are, for links.
    """

    LIST = (
        parameters.SINCE,
        parameters.SEVERITY,
        parameters.STATUS,
        parameters.SOURCE,
        parameters.SOURCE_EVENT_ID,
        parameters.TENANT,
        parameters.LIMIT,
        parameters.CURSOR,
    )
    SHOW = (parameters.TENANT, parameters.RUN, parameters.FORMAT)
    REDRIVE = (parameters.TENANT,)

    def __init__(self, backends: Backends, temporal: TemporalSettings) -> None:
        self._backends = backends
        self._temporal = temporal

    async def list(self, request: Request) -> Response:
        """One page, newest first."""
        given = parameters.read(request.query_params, self.LIST)
        limit, after = given.pop("limit"), given.pop("cursor")
        database = await self._backends.database()
        items = await list_alerts(database, AlertFilter(**given), after=after, limit=limit + 1)
        return answer(page(items, limit, _key))

    async def show(self, request: Request) -> Response:
        """One alert, or the same as OCSF."""
        given = parameters.read(request.query_params, self.SHOW)
        dossier = await self._open(request, tenant=given["tenant"], run=given["run"])
        if given["format"]:
            return answer(detection_finding(dossier.alert, dossier.verdict, raw=dossier.raw))
        database = await self._backends.database()
        which = NotificationFilter(tenant=dossier.tenant, alert=dossier.id, run=dossier.run)
        notifications = await list_notifications(database, which, limit=_MOST_NOTIFICATIONS)
        runs = await list_runs(database, dossier.tenant, dossier.id)
        others = [run for run in runs if run.run != dossier.run]
        return answer(describe(dossier, self._link(dossier), notifications, others))

    async def redrive(self, request: Request) -> Response:
        """Publish a failed or dead alert again."""
        given = parameters.read(request.query_params, self.REDRIVE)
        dossier = await self._open(request, tenant=given["tenant"])
        redriver = await self._backends.redriver()
        ref = await redriver.redrive_alert(dossier)
        return answer(Redriven.of((ref,)))

    async def _open(self, request: Request, *, tenant: str, run: int | None = None) -> Dossier:
        id_ = require_id(request)
        database = await self._backends.database()
        dossier = await open_dossier(database, id_, tenant=tenant, run=run)
        if dossier is None:
            wanted = f"alert {id_}" if run is None else f"run {run} of alert {id_}"
            raise NotFound(f"There is no {wanted}.")
        return dossier

    def _link(self, dossier: Dossier) -> WorkflowLink:
        id_, run_id = dossier.ref.workflow_id, dossier.workflow_run_id
        url = None
        if self._temporal.ui and run_id:
            url = (
                f"{self._temporal.ui.rstrip('/')}/namespaces/{quote(self._temporal.namespace)}"
                f"/workflows/{quote(id_, safe='')}/{run_id}/history"
            )
        return WorkflowLink(id=id_, run_id=run_id, url=url)


def _key(item: AlertItem) -> Key:
    return Key(item.received_at, item.id)
