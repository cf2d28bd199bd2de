"""`Triage`: what is known nearby, and what the tenant's rules make of it."""

from collections.abc import Mapping

from temporalio import activity

from tocsin.domain.alert import AlertRef, TenantName
from tocsin.domain.policy import Classifier
from tocsin.domain.work import Plan
from tocsin.errors import ConfigError
from tocsin.store.recent import RecentAlerts
from tocsin.tenants import unknown_tenant


class Triage:
    """Makes the plan of an alert.

    Args:
        recent: Where the normalized alert is.
        classifiers: Each tenant's rules, compiled.
    """

    def __init__(self, recent: RecentAlerts, classifiers: Mapping[TenantName, Classifier]) -> None:
        self._recent = recent
        self._classifiers = classifiers

    @activity.defn(name="Triage")
    async def run(self, ref: AlertRef) -> Plan:
        """Judge one alert by its tenant's rules.

        Raises:
            ConfigError: No tenant file names this tenant.
            LookupError: There is no such alert.
            StoreUnavailable: PostgreSQL is away.
        """
        classifier = self._classifiers.get(ref.tenant)
        if classifier is None:
            raise ConfigError((unknown_tenant(ref.tenant),))
        judged = classifier.judge(await self._recent.load(ref))
        return Plan(verdict=judged.verdict, notes=judged.notes)
