"""The only place that lists the activities and the channels."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from activities.channels.base import Channel
from activities.channels.email import Email
from activities.channels.webhook import Webhook
from activities.notify import Notifying
from activities.save import Saving
from activities.triage import Triage
from tocsin.domain.alert import TenantName
from tocsin.jetstream import Bus
from tocsin.outbound import Outbound
from tocsin.secrets import Secrets
from tocsin.store.database import Database
from tocsin.store.recent import RecentAlerts
from tocsin.tenants import TenantConfig

Activity = Callable[..., Any]


class Activities(msgspec.Struct, frozen=True, kw_only=True):
    """The activities, by the queue they are on.

    Attributes:
        local: Run beside the workflow, in the worker's own process.
        notify: Leave the machine.
    """

    local: tuple[Activity, ...]
    notify: tuple[Activity, ...]


def channels(outbound: Outbound, secrets: Secrets) -> dict[str, Channel]:
    """Every way of telling somebody, by the name it has in a tenant file."""
    return {"webhook": Webhook(outbound, secrets), "email": Email(outbound, secrets)}


def activities(
    database: Database,
    recent: RecentAlerts,
    bus: Bus,
    tenants: Mapping[TenantName, TenantConfig],
    ways: Mapping[str, Channel],
) -> Activities:
    """Build the activities around clients that are already open."""
    triage = Triage(recent, {name: each.classifier() for name, each in tenants.items()})
    saving = Saving(
        database, recent, tenants, {name: each.router() for name, each in tenants.items()}, bus
    )
    notifying = Notifying(database, tenants, ways, bus)
    return Activities(local=(triage.run, saving.save, saving.finish), notify=(notifying.send,))
