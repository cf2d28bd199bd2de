"""What passes between a workflow and its activities: small, frozen, every new field with a default.

These travel through Temporal's history: references and small facts, never the sender's bytes and
never a secret.
"""

import msgspec

from tocsin.domain.alert import AlertRef
from tocsin.domain.severity import Severity
from tocsin.domain.verdict import Verdict


class AlertStart(msgspec.Struct, frozen=True, kw_only=True):
    """The input of an `AlertWorkflow`.

    Attributes:
        ref: Which run of which alert.
        source: Source it came through.
        severity: Severity as the sender sees it.
    """

    ref: AlertRef
    source: str = ""
    severity: Severity = Severity.UNKNOWN


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What triage decided; it is in history, so a changed rule never breaks a replay.

    Attributes:
        verdict: The verdict of the tenant's rules.
        notes: What went wrong without stopping the alert, for example a rule that erred.
    """

    verdict: Verdict = Verdict()
    notes: tuple[str, ...] = ()


class SaveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be stored.

    Attributes:
        ref: Which run of which alert.
        verdict: The effective verdict; the route follows from it.
        notes: Notes collected on the way.
    """

    ref: AlertRef
    verdict: Verdict = Verdict()
    notes: tuple[str, ...] = ()


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What the workflow goes on from: the first writer's decision, not its own plan.

    Attributes:
        severity: Effective severity.
        route: Name of the route.
        notifications: Ids of the notifications to send.
    """

    severity: Severity = Severity.UNKNOWN
    route: str = ""
    notifications: tuple[str, ...] = ()


class NotifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One notification to send.

    Attributes:
        tenant: Whose it is.
        notification: Its id, which is also the key of its idempotency.
    """

    tenant: str
    notification: str


class Notified(msgspec.Struct, frozen=True, kw_only=True):
    """A notification is settled, and what follows from it; how it ended is in the outbox.

    Attributes:
        fallback: Id of the notification that stands in for one that failed for good; empty when
            there is none.
    """

    fallback: str = ""
