"""`SaveToPostgres`: verdict, route and outbox in one transaction; then subscribers are told."""

from collections.abc import Mapping

import msgspec
import structlog
from temporalio import activity

from tocsin.bus import enriched_subject
from tocsin.domain.alert import Alert, AlertRef, TenantName
from tocsin.domain.policy import Router
from tocsin.domain.verdict import Verdict
from tocsin.domain.work import Saved, SaveRequest
from tocsin.errors import BusUnavailable, ConfigError
from tocsin.jetstream import Bus
from tocsin.store import alerts
from tocsin.store.alerts import Decision, Outboxed
from tocsin.store.database import Database
from tocsin.store.recent import RecentAlerts
from tocsin.telemetry import EVENTS_UNTOLD, VERDICTS
from tocsin.tenants import TenantConfig, unknown_tenant

log = structlog.get_logger()


class Enriched(msgspec.Struct, frozen=True, kw_only=True):
    """What subscribers of `alerts.enriched.<tenant>` are told, as JSON.

    Attributes:
        run: Which run of the alert.
        route: Name of its route.
        verdict: The effective verdict.
        alert: The normalized alert.
    """

    run: int
    route: str
    verdict: Verdict
    alert: Alert


class Saving:
    """Stores what was decided.

    Args:
        database: Where.
        recent: Where the normalized alert is.
        tenants: The tenant files.
        routers: Each tenant's routes, compiled.
        bus: Where subscribers listen.
    """

    def __init__(
        self,
        database: Database,
        recent: RecentAlerts,
        tenants: Mapping[TenantName, TenantConfig],
        routers: Mapping[TenantName, Router],
        bus: Bus,
    ) -> None:
        self._database = database
        self._recent = recent
        self._tenants = tenants
        self._routers = routers
        self._bus = bus

    @activity.defn(name="SaveToPostgres")
    async def save(self, request: SaveRequest) -> Saved:
        """Store the verdict, the route that follows from it, and whom to notify.

        Returns:
            What is stored: this decision, or that of an earlier writer.

        Raises:
            ConfigError: No tenant file names this tenant.
            LookupError: There is no such alert.
            StoreUnavailable: PostgreSQL is away.
        """
        alert = await self._recent.load(request.ref)
        decision = self._decide(request, alert)
        saved, first = await alerts.save(
            self._database,
            request.ref,
            decision,
            workflow_run_id=activity.info().workflow_run_id or "",
        )
        if first:
            VERDICTS.labels(request.ref.tenant, request.verdict.given_by.value).inc()
            await self._tell(request.ref, alert, request.verdict, decision.route)
        return saved

    @activity.defn(name="FinishAlert")
    async def finish(self, ref: AlertRef) -> None:
        """Note that everybody concerned was told.

        Raises:
            StoreUnavailable: PostgreSQL is away.
        """
        await alerts.mark_finished(self._database, ref)

    def _decide(self, request: SaveRequest, alert: Alert) -> Decision:
        ref = request.ref
        router, tenant = self._routers.get(ref.tenant), self._tenants.get(ref.tenant)
        if router is None or tenant is None:
            raise ConfigError((unknown_tenant(ref.tenant),))
        routing = router.route(alert, request.verdict)
        channels = {receiver.name: receiver.channel for receiver in tenant.receivers}
        outbox = tuple(
            Outboxed(id=f"{ref.alert_id}-{ref.run}-{name}", receiver=name, channel=channels[name])
            for name in routing.receivers
        )
        notes = request.notes + routing.notes
        return Decision(verdict=request.verdict, route=routing.route, notes=notes, outbox=outbox)

    async def _tell(self, ref: AlertRef, alert: Alert, verdict: Verdict, route: str) -> None:
        event = Enriched(run=ref.run, route=route, verdict=verdict, alert=alert)
        try:
            await self._bus.tell(enriched_subject(ref.tenant), msgspec.json.encode(event))
        except BusUnavailable:
            EVENTS_UNTOLD.labels(ref.tenant).inc()
            log.warning("event_untold", tenant=ref.tenant, alert_id=ref.alert_id)
