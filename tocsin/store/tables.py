"""The tables of PostgreSQL; Alembic's migrations under `migrations/` are their history."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()

_NOW = text("now()")


def _time(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


tenants = Table(
    "tenants",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
)

# What came off the stream, byte for byte; rows are only ever added. `epoch` is the second in which
# the stream was created, because a stream that is made anew counts from one again.
events = Table(
    "events",
    metadata,
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("alert_id", Text, nullable=False),
    Column("run", Integer, nullable=False),
    Column("disposition", Text, nullable=False),  # alert, duplicate, quarantine
    _time("received_at", nullable=False),
    Column("raw", LargeBinary, nullable=False),
    PrimaryKeyConstraint("epoch", "sequence"),
    Index("events_alert", "tenant", "alert_id"),
    Index("events_tenant", "tenant", "epoch", "sequence"),
)

alerts = Table(
    "alerts",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("run", Integer, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
    Column("source_event_id", Text, nullable=False),
    Column("level", SmallInteger),
    Column("severity", Text, nullable=False),  # effective: the sender's until there is a verdict
    Column("state", Text, nullable=False),  # received, running, finished, failed, dead, superseded
    Column("route", Text, nullable=False, server_default=""),
    Column("notes", ARRAY(Text), nullable=False, server_default="{}"),
    Column("error", Text, nullable=False, server_default=""),
    Column("workflow_run_id", Text, nullable=False, server_default=""),
    _time("received_at", nullable=False),
    _time("started_at"),
    _time("saved_at"),
    _time("finished_at"),
    Column("alert", JSONB, nullable=False),
    PrimaryKeyConstraint("tenant", "id", "run"),
    UniqueConstraint("epoch", "sequence", name="alerts_sequence"),
    Index("alerts_received", text("received_at DESC"), text("id DESC")),
    Index("alerts_source_event", "source_event_id"),
    Index("alerts_state", "state"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("alert_id", Text, nullable=False),
    Column("run", Integer, nullable=False),
    Column("given_by", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("disposition", Text, nullable=False),
    Column("reasons", ARRAY(Text), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    PrimaryKeyConstraint("tenant", "alert_id", "run"),
)

# The outbox: one row per receiver that shall hear of a run of an alert.
notifications = Table(
    "notifications",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("alert_id", Text, nullable=False),
    Column("run", Integer, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("fallback_for", Text),
    Column("status", Text, nullable=False),  # pending, sending, delivered, failed
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("error", Text, nullable=False, server_default=""),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=_NOW),
    _time("first_attempt_at"),
    _time("lease_until"),
    _time("settled_at"),
    Index("notifications_alert", "tenant", "alert_id", "run"),
    Index("notifications_created", text("created_at DESC"), text("id DESC")),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("kind", Text, nullable=False),  # quarantine, dead
    Column("stage", Text, nullable=False),  # receive, dispatch
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("alert_id", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    _time("received_at", nullable=False),
    _time("redriven_at"),
    Index("dead_letters_received", text("received_at DESC"), text("id DESC")),
)

# Faults of one message, counted here because every negative acknowledgement counts as a delivery.
attempts = Table(
    "attempts",
    metadata,
    Column("epoch", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    PrimaryKeyConstraint("epoch", "sequence"),
)
