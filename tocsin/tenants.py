"""Tenant files: one YAML file per tenant says whose alerts come in, and who hears of them.

Nothing secret stands in them: tokens and capabilities as SHA-256, everything else by reference.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tocsin.domain.alert import TenantName
from tocsin.domain.policy import Classifier, Router, RouteSpec, RuleSpec
from tocsin.domain.severity import Severity
from tocsin.domain.verdict import Disposition
from tocsin.errors import Problem
from tocsin.fields import (
    REFERENCE_HINT,
    AlertField,
    EventValue,
    HeaderName,
    HeaderValue,
    MailAddress,
    MailAddresses,
    RouteCondition,
    RuleCondition,
    Secret,
    Sha256,
    Target,
    is_reference,
    matching,
    wrong,
)
from tocsin.settings import Section

TENANT_PATTERN = r"^[a-z0-9-]{1,32}$"
Name = Annotated[
    str, matching(TENANT_PATTERN, "is no name", "use 1 to 32 of a-z, 0-9 and -, nothing else")
]
CREDENTIALS = re.compile(r"authorization|cookie|token|secret|api-?key|password", re.IGNORECASE)


class SourceConfig(Section):
    """A kind of sender, and how it proves who it is.

    Attributes:
        name: Last part of its URL, `/v1/alerts/<name>`.
        kind: Which parser reads it.
        tokens: SHA-256 of each token accepted in `Authorization: Bearer` or `X-API-Key`.
        capabilities: SHA-256 of each last part of a `/v1/hook/` URL.
        max_body: Largest body in bytes, before and after gunzip.
        mapping: For `generic`: alert field to CEL expression over `event`.
        identity: For `generic`: CEL expressions whose values make the event this one.
    """

    name: Name
    kind: Literal["wazuh", "alertmanager", "generic"]
    tokens: tuple[Sha256, ...] = ()
    capabilities: tuple[Sha256, ...] = ()
    max_body: Annotated[int, Field(ge=1024, le=8 * 1024 * 1024)] = 1024 * 1024
    mapping: dict[AlertField, EventValue] = Field(default_factory=dict)
    identity: tuple[EventValue, ...] = ()

    @model_validator(mode="after")
    def _only_generic_maps(self) -> Self:
        if self.kind != "generic" and (self.mapping or self.identity):
            raise wrong("has mapping or identity, which only kind generic reads", "remove them")
        return self

    @property
    def hashes(self) -> tuple[str, ...]:
        """SHA-256 of everything that opens this source."""
        return self.tokens + self.capabilities


class RuleSet(Section):
    """What a matching rule changes; what is left out stays as it is."""

    severity: Severity | None = None
    disposition: Disposition | None = None


class RuleConfig(Section):
    """One step of classification; rules are tried in order.

    Attributes:
        name: Appears among the verdict's reasons.
        when: CEL expression over `alert`, `severity_id` and `level`.
        set: What changes when it matches.
        final: No later rule is tried after a match.
    """

    name: Annotated[str, Field(min_length=1)]
    when: RuleCondition
    set: RuleSet = RuleSet()
    final: bool = False


class WebhookConfig(Section):
    """A receiver reached by HTTP POST, signed by Standard Webhooks when it has a secret.

    Attributes:
        url: Where to post; may be a reference when the address itself is secret.
        secret: Reference to the signing secret, `whsec_...`.
        headers: More headers; values may be references.
    """

    url: Target
    secret: Secret = ""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _credentials_by_reference(self) -> Self:
        for name, value in self.headers.items():
            if CREDENTIALS.search(name) and not is_reference(value):
                raise wrong(f"header {name} must be a reference to the secret", REFERENCE_HINT)
        return self


class EmailConfig(Section):
    """A receiver reached by SMTP.

    Attributes:
        to: Addresses.
        sender: The From address.
        host: SMTP server.
        port: SMTP port.
        security: `starttls` (refuses to go on without it), `tls`, or `none`.
        username: SMTP user; no login when empty.
        password: Reference to the SMTP password.
    """

    to: MailAddresses
    sender: MailAddress
    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    username: str = ""
    password: Secret = ""


class ReceiverConfig(Section):
    """Somebody or something that can hear of an alert, by exactly one channel."""

    name: Name
    webhook: WebhookConfig | None = None
    email: EmailConfig | None = None

    @model_validator(mode="after")
    def _exactly_one_channel(self) -> Self:
        used = [name for name in CHANNELS if getattr(self, name) is not None]
        if len(used) != 1:
            many = f"has {len(used)} channels" if used else "has no channel"
            raise wrong(many, f"give it exactly one of {', '.join(CHANNELS)}")
        return self

    @property
    def channel(self) -> str:
        """The name of the channel it uses, for example `webhook`."""
        return next(name for name in CHANNELS if getattr(self, name) is not None)


CHANNELS = ("webhook", "email")


class RouteConfig(Section):
    """Which receivers hear of an alert; the first match wins unless it says `continue`.

    Attributes:
        name: Appears as the alert's route.
        when: CEL expression over `alert`, `verdict`, `severity_id` and `level`.
        receivers: Names of receivers.
        continue_: Goes on with the next route after a match (`continue` in the file).
    """

    name: Name
    when: RouteCondition
    receivers: tuple[Name, ...]
    continue_: Annotated[bool, Field(alias="continue")] = False


PAGE = RouteConfig(name="page", when="severity_id >= 4", receivers=("page",))
POST = RouteConfig(name="post", when="severity_id == 3", receivers=("post",))


class TenantConfig(Section):
    """One tenant.

    Attributes:
        tenant: Its name, which is also its subject on the bus.
        sources: Who may post.
        rules: How alerts are classified.
        receivers: Who can hear.
        routes: Who hears what; shipped: severity high and above pages, medium posts, anything
            below is only stored.
        fallback: Receiver that hears of what another receiver refused for good.
    """

    tenant: Name
    sources: tuple[SourceConfig, ...] = ()
    rules: tuple[RuleConfig, ...] = ()
    receivers: tuple[ReceiverConfig, ...] = ()
    routes: tuple[RouteConfig, ...] = (PAGE, POST)
    fallback: Name | None = None

    def classifier(self) -> Classifier:
        """Compile the rules."""
        return Classifier(
            [
                RuleSpec(
                    name=rule.name,
                    when=rule.when,
                    severity=rule.set.severity,
                    disposition=rule.set.disposition,
                    final=rule.final,
                )
                for rule in self.rules
            ]
        )

    def router(self) -> Router:
        """Compile the routes; a tenant without any receiver has none, and only stores."""
        return Router(
            [
                RouteSpec(
                    name=route.name,
                    when=route.when,
                    receivers=route.receivers,
                    continue_=route.continue_,
                )
                for route in (self.routes if self.receivers else ())
            ]
        )


def unknown_tenant(tenant: TenantName) -> Problem:
    """The problem of an alert whose tenant file is gone."""
    return Problem(
        file="tenants",
        message=f"no file describes tenant {tenant!r}",
        hint="restore it, then redrive the alert",
    )
