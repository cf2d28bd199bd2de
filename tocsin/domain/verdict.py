"""What was decided about an alert, by whom, and why."""

from enum import StrEnum

import msgspec

from tocsin.domain.severity import Severity


class Disposition(StrEnum):
    """How bad an alert is believed to be, apart from how loud it is."""

    BENIGN = "benign"
    UNDECIDED = "undecided"
    SUSPICIOUS = "suspicious"
    MALICIOUS = "malicious"


class Giver(StrEnum):
    """Who gave a verdict: the sender's own severity, our rules, or a model."""

    SENDER = "sender"
    RULES = "rules"
    MODEL = "model"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Severity and disposition with who gave them.

    Attributes:
        severity: Effective OCSF severity; routes follow it.
        disposition: How bad it is believed to be.
        given_by: Who decided.
        reasons: Why, one sentence each: the names of the rules that matched, for example.
    """

    severity: Severity = Severity.UNKNOWN
    disposition: Disposition = Disposition.UNDECIDED
    given_by: Giver = Giver.SENDER
    reasons: tuple[str, ...] = ()
