"""The tree of errors; a class says when it happens and whether trying again can help.

```
TocsinError
├── ConfigError            a file, flag or variable is wrong
├── BadInput               what a sender posted, or an operator asked, cannot be taken
│   ├── NotJson            no event in the body parses as JSON
│   ├── NotAnAlert         JSON, but not an alert of this source
│   ├── TooLarge           the body, or what it unpacks to, is over the source's limit
│   ├── Unauthenticated    no valid token or capability
│   ├── WrongSource        a valid token, of another source
│   ├── InvalidParameter   a parameter of the request is wrong
│   ├── NotFound           there is nothing of that id
│   └── NotRedrivable      publishing it again would change nothing, or do harm
├── MessageFault           this one message cannot be dispatched, whatever is tried
├── Unavailable            a dependency is away (retryable)
│   ├── BusUnavailable     NATS JetStream does not acknowledge
│   │   └── BusFull        the tenant's bound is reached
│   │       └── StreamFull the stream's own is, for every tenant
│   ├── StoreUnavailable   PostgreSQL does not answer
│   ├── EngineUnavailable  Temporal does not accept work
│   └── VaultUnavailable   the secrets backend does not answer
├── SecretMissing          a reference names a secret that is not there
└── DeliveryError          a notification was not delivered
    ├── DeliveryRefused    and never will be by trying again
    └── DeliveryDelayed    but may be later (retryable)
```
"""

from datetime import timedelta
from typing import ClassVar, Final

import msgspec

# A bug of ours or a poisoned input: trying again would only repeat it. Nondeterminism of a workflow
# after a bad deploy is deliberately not among them: such a task is retried until the rollback.
BUGS: Final[tuple[type[BaseException], ...]] = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong in a configuration file.

    Attributes:
        file: The file's path as the user named it; a flag or variable when it is no file.
        line: Line number from 1; 0 when the whole file is meant.
        message: What is wrong, in one sentence.
        hint: What to do about it; may be empty.
    """

    file: str
    line: int = 0
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class TocsinError(Exception):
    """Base of every error of ours.

    Attributes:
        retryable: True when the same call may succeed later without anybody changing anything.
    """

    retryable: ClassVar[bool] = False


class ConfigError(TocsinError):
    """A configuration file, flag or variable is wrong.

    Attributes:
        problems: What is wrong, one entry per place, in file order.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(str(problem) for problem in problems))


class BadInput(TocsinError):
    """What a sender posted, or an operator asked, cannot be taken.

    Attributes:
        slug: Stable last part of the RFC 9457 `type`.
        status: HTTP status of the answer.
        members: Extension members of the problem document.
    """

    slug: ClassVar[str] = "bad-input"
    status: ClassVar[int] = 400

    @property
    def members(self) -> dict[str, str]:
        """None, unless a subclass has some."""
        return {}


class NotJson(BadInput):
    """No event in the body parses as JSON."""

    slug = "not-json"


class NotAnAlert(BadInput):
    """JSON, but not an alert of this source; the message is the reason for its quarantine."""

    slug = "not-an-alert"


class TooLarge(BadInput):
    """The body, what it unpacks to, or its number of events is over the source's limit."""

    slug = "too-large"
    status = 413


class Unauthenticated(BadInput):
    """No valid token or capability came with the request."""

    slug = "unauthenticated"
    status = 401


class WrongSource(BadInput):
    """The token is valid, and belongs to another source."""

    slug = "wrong-source"
    status = 403


class InvalidParameter(BadInput):
    """A parameter of the request is unknown, or has a value that it cannot have.

    Attributes:
        parameter: Its name.
        allowed: What it may be.
    """

    slug = "invalid-parameter"

    def __init__(self, parameter: str, message: str, *, allowed: str) -> None:
        self.parameter = parameter
        self.allowed = allowed
        super().__init__(f"{parameter} {message}; allowed: {allowed}")

    @property
    def members(self) -> dict[str, str]:
        """Which parameter, and what it may be."""
        return {"parameter": self.parameter, "allowed": self.allowed}


class NotFound(BadInput):
    """There is nothing of that id."""

    slug = "not-found"
    status = 404


class NotRedrivable(BadInput):
    """Publishing it again would change nothing, or do harm; nothing was changed."""

    slug = "not-redrivable"
    status = 409


class MessageFault(TocsinError):
    """This one message cannot be dispatched; those behind it are not concerned."""


class Unavailable(TocsinError):
    """A dependency is away.

    Attributes:
        dependency: Which one, as named in `/readyz`.
        slug: Stable last part of the RFC 9457 `type`.
        retry_after: How long to wait before trying again.
    """

    retryable = True
    dependency: ClassVar[str] = "dependency"
    slug: ClassVar[str] = "unavailable"

    def __init__(self, message: str, *, retry_after: timedelta = timedelta(seconds=5)) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class BusUnavailable(Unavailable):
    """NATS JetStream does not acknowledge."""

    dependency = "nats"


class BusFull(BusUnavailable):
    """The tenant's bound of unprocessed messages is reached."""

    slug = "tenant-full"


class StreamFull(BusFull):
    """The stream's own bound is reached, for every tenant."""

    slug = "stream-full"


class StoreUnavailable(Unavailable):
    """PostgreSQL does not answer."""

    dependency = "postgres"


class EngineUnavailable(Unavailable):
    """Temporal does not accept work."""

    dependency = "temporal"


class VaultUnavailable(Unavailable):
    """The secrets backend does not answer."""

    dependency = "vault"


class SecretMissing(TocsinError):
    """A reference names a secret that is not there; the message never carries a value."""


class DeliveryError(TocsinError):
    """A notification was not delivered.

    Attributes:
        response: What the other side answered, shortened, for the operator.
    """

    def __init__(self, message: str, *, response: str = "") -> None:
        self.response = response
        super().__init__(message)


class DeliveryRefused(DeliveryError):
    """The other side will never take it."""


class DeliveryDelayed(DeliveryError):
    """The other side may take it later.

    Attributes:
        retry_after: How long the other side asked us to wait; None when it did not say.
    """

    retryable = True

    def __init__(
        self, message: str, *, response: str = "", retry_after: timedelta | None = None
    ) -> None:
        self.retry_after = retry_after
        super().__init__(message, response=response)


def is_permanent(error: Exception) -> bool:
    """Whether the same call would fail again, however often it is made."""
    return not error.retryable if isinstance(error, TocsinError) else isinstance(error, BUGS)
