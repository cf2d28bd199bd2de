"""Every task queue, timeout and retry policy of a workflow, by name."""

from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy

from tocsin.domain.alert import TenantName

ALERTS_QUEUE: Final = "tocsin-alerts"

# A worker that died is noticed after these (the server's default of 10 s costs 10 to 14 s).
TASK_TIMEOUT: Final = timedelta(seconds=3)
STICKY_TIMEOUT: Final = timedelta(seconds=2)

# A local activity needs PostgreSQL on the same network; while that is away, the alert waits.
LOCAL_TIMEOUT: Final = timedelta(seconds=10)
LOCAL_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    maximum_interval=timedelta(seconds=10),
)

# One attempt of one notification. How long attempts go on is decided by the activity itself, from
# the age of the first attempt and their number, so that a worker that is away for an hour after a
# few attempts is not held against the receiver.
NOTIFY_TIMEOUT: Final = timedelta(seconds=20)
NOTIFY_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    maximum_interval=timedelta(minutes=2),
)


def notify_queue(tenant: TenantName) -> str:
    """Where a tenant's notifications wait for a sender; nobody else's wait behind them."""
    return f"tocsin-notify-{tenant}"
