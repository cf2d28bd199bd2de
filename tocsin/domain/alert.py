"""The normalized alert: one event of any sender, in the words of OCSF Detection Finding."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import NewType

import msgspec

from tocsin.domain.severity import Severity

AlertId = NewType("AlertId", str)
TenantName = NewType("TenantName", str)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ObservableType(StrEnum):
    """Kinds of observables, after the captions of OCSF `observable.type_id`."""

    HOSTNAME = "hostname"
    IP_ADDRESS = "ip_address"
    MAC_ADDRESS = "mac_address"
    USER_NAME = "user_name"
    EMAIL_ADDRESS = "email_address"
    URL = "url_string"
    FILE_NAME = "file_name"
    HASH = "hash"
    PROCESS_NAME = "process_name"


class Observable(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in an alert that can be looked up elsewhere.

    Attributes:
        name: Where it stood in the sender's document, for example `data.srcip`.
        type: What it is.
        value: The thing itself, cleaned of ports, brackets and white space.
    """

    name: str
    type: ObservableType
    value: str


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """The sender's rule that raised the alert.

    Attributes:
        id: The sender's identifier of the rule.
        description: What the rule says happened.
        groups: The sender's groups or labels, stripped and without repeats.
        mitre: MITRE ATT&CK technique ids, for example `T1110.001`.
    """

    id: str = ""
    description: str = ""
    groups: tuple[str, ...] = ()
    mitre: tuple[str, ...] = ()


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """The machine the alert is about, as the sender names it.

    Attributes:
        id: The sender's identifier of the agent; empty for an agentless one.
        name: Its name, or the host of an agentless device.
        ip: Its address; empty when the sender gives none.
    """

    id: str = ""
    name: str = ""
    ip: str = ""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One event in normalized form; every field but the identity has a default.

    Attributes:
        tenant: Whose it is, `[a-z0-9-]{1,32}`.
        source: Name of the configured source it came through.
        id: Our identity of it, 32 hexadecimal characters (see `tocsin.domain.identity`).
        source_event_id: The sender's own identifier; empty when it has none.
        shape: Which of the source's body shapes it came in, for example `shuffle`.
        rule: The sender's rule.
        level: The sender's numeric level (Wazuh 0 to 16); None when it has none.
        sender_severity: The sender's severity as it wrote it, when it is a word.
        severity: OCSF severity as the sender sees it.
        agent: The machine concerned.
        observables: Addresses, users, hashes and the like, in document order, without repeats.
        source_address: The address an attack came from; empty when there is none.
        time: When the sender says it happened (UTC); the time of receipt when it does not say.
        received_at: When it was received (UTC).
        location: Where the sender found it: a log file, a component, a job.
        message: What happened, as raw as the sender gives it.
        resolved: True when the sender says that it is over.
    """

    tenant: TenantName
    source: str
    id: AlertId
    source_event_id: str = ""
    shape: str = ""
    rule: Rule = Rule()
    level: int | None = None
    sender_severity: str = ""
    severity: Severity = Severity.UNKNOWN
    agent: Agent = Agent()
    observables: tuple[Observable, ...] = ()
    source_address: str = ""
    time: datetime = EPOCH
    received_at: datetime = EPOCH
    location: str = ""
    message: str = ""
    resolved: bool = False


class AlertRef(msgspec.Struct, frozen=True, kw_only=True):
    """What identifies one run of one alert.

    Attributes:
        tenant: Whose alert it is.
        alert_id: Which alert.
        run: 0 for the first; a redrive or replay counts up.
    """

    tenant: TenantName
    alert_id: AlertId
    run: int = 0

    @property
    def workflow_id(self) -> str:
        """The Temporal workflow id: `<tenant>/<alert_id>`, with `/<run>` for later runs."""
        return f"{self.tenant}/{self.message_id}"

    @property
    def message_id(self) -> str:
        """The JetStream message id; distinct per run, so that a redrive is no duplicate."""
        return f"{self.alert_id}/{self.run}" if self.run else self.alert_id
