"""Logs and metrics: their names and their set-up.

Metric names follow the Prometheus conventions. `tenant` is a label only because tenants are bounded
by the files that describe them.
"""

import logging
import sys
from typing import Final

import structlog
from prometheus_client import Counter, Gauge, Histogram

_LATENCY: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60)

REQUESTS: Final = Counter(
    "tocsin_receiver_requests_total", "Requests by route template and status.", ["route", "status"]
)
REQUEST_SECONDS: Final = Histogram(
    "tocsin_receiver_request_seconds", "Time to answer a sender.", ["route"], buckets=_LATENCY
)
EVENTS: Final = Counter(
    "tocsin_receiver_events_total",
    "Events taken, by what became of them: accepted, duplicate, quarantined.",
    ["tenant", "source", "outcome"],
)
API_REQUESTS: Final = Counter(
    "tocsin_api_requests_total",
    "Operators' requests by route template and status.",
    ["route", "status"],
)
DISPATCHED: Final = Counter(
    "tocsin_dispatcher_messages_total",
    "Messages taken off the stream, by what became of them.",
    ["tenant", "outcome"],
)
DISPATCH_SECONDS: Final = Histogram(
    "tocsin_dispatcher_lag_seconds", "From receipt to workflow start.", ["tenant"], buckets=_LATENCY
)
LAST_FETCH: Final = Gauge(
    "tocsin_dispatcher_last_fetch_timestamp_seconds", "Last successful fetch.", ["tenant"]
)
HELD: Final = Gauge(
    "tocsin_dispatcher_held_messages", "Messages held while a dependency is away.", ["tenant"]
)
VERDICTS: Final = Counter("tocsin_verdicts_total", "Verdicts stored.", ["tenant", "given_by"])
EVENTS_UNTOLD: Final = Counter(
    "tocsin_events_untold_total", "Events for subscribers that could not be published.", ["tenant"]
)
NOTIFICATIONS: Final = Counter(
    "tocsin_notifications_total",
    "Notification attempts: delivered, delayed, failed for good.",
    ["tenant", "channel", "outcome"],
)
BOOKS: Final = Gauge(
    "tocsin_books_alerts", "The books, by column; see `tocsin balance`.", ["column"]
)
BALANCED: Final = Gauge("tocsin_books_balanced", "1 while the books balance, 0 when they do not.")
SWEPT: Final = Counter(
    "tocsin_sweeper_alerts_total", "Workflows found ended otherwise, by how.", ["tenant", "state"]
)


def configure_logging(*, level: str = "info", to_stdout: bool = True) -> None:
    """Write one line per event: for people on a terminal, JSON anywhere else.

    Args:
        level: The least level that is written.
        to_stdout: Where JSON goes; a command whose output is data has its log on standard error.
    """
    human = sys.stderr.isatty()
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(
            file=sys.stdout if to_stdout and not human else sys.stderr
        ),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s %(message)s")
