"""How an event travels on the bus."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.envelope import Envelope, headers, open_envelope
from tocsin import bus
from tocsin.bus import header_safe, moment
from tocsin.domain.alert import AlertId, AlertRef, TenantName

ACME = TenantName("acme")
AN_ID = AlertId("0123456789abcdef" * 2)
RECEIVED = datetime(2026, 11, 20, 15, 4, 5, 123456, tzinfo=UTC)
STORED = datetime(2026, 11, 20, 15, 4, 6, tzinfo=UTC)


def opened(given_headers: dict[str, str], *, subject: str = "alerts.ingest.acme") -> Envelope:
    """A message as the stream hands it out."""
    return open_envelope(
        subject=subject, sequence=7, stored_at=STORED, raw=b"{}", given=given_headers
    )


@pytest.mark.parametrize("run", [0, 1, 12])
def test_headers_survive_the_journey(run: int) -> None:
    """What the receiver wrote is what the dispatcher reads."""
    ref = AlertRef(tenant=ACME, alert_id=AN_ID, run=run)
    envelope = opened(headers("wazuh", RECEIVED, ref))
    assert (envelope.source, envelope.received_at, envelope.ref) == ("wazuh", RECEIVED, ref)


def test_message_without_headers_was_published_by_a_service() -> None:
    """Without headers there is no identity yet, and the stream's time counts."""
    envelope = opened({})
    assert (envelope.source, envelope.ref) == ("", None)
    assert envelope.received_at == STORED


def test_tenant_is_the_subjects_and_never_a_headers() -> None:
    """Whatever the headers say, the alert belongs to the tenant of its subject."""
    envelope = opened({"Tocsin-Tenant": "other"}, subject="alerts.ingest.acme")
    assert envelope.tenant == ACME


@pytest.mark.parametrize(
    "message_id",
    ["", "x", AN_ID[:-1], AN_ID.upper(), f"{AN_ID}/", f"{AN_ID}/x", f"{AN_ID}/" + "9" * 10],
)
def test_foreign_message_id_is_no_identity(message_id: str) -> None:
    """A message id that is not ours gives the alert no identity."""
    assert opened({bus.MESSAGE_ID: message_id}).ref is None


def test_nothing_was_received_after_it_was_stored() -> None:
    """A publisher whose clock is ahead does not put its alerts in the future."""
    assert opened({bus.RECEIVED_AT: "2199-01-01T00:00:00+00:00"}).received_at == STORED


def test_source_of_any_bytes_fits_a_row() -> None:
    """A name that no file can hold becomes one that a row can, and is bounded."""
    source = opened({bus.SOURCE: "wa\0zuh\udcff" + "x" * 30_000}).source
    assert source.startswith("wa?zuh?")
    assert len(source) <= 500


@given(st.dictionaries(st.sampled_from([bus.MESSAGE_ID, bus.SOURCE, bus.RECEIVED_AT]), st.text()))
def test_no_headers_break_an_envelope(given_headers: dict[str, str]) -> None:
    """Arbitrary headers open, with an aware time."""
    assert opened(given_headers).received_at.tzinfo is UTC


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-11-20T15:04:05", "0001-01-01T00:00:00+23:00"]
)
def test_time_without_a_zone_or_beyond_the_calendar_is_none(text: str) -> None:
    """A time that cannot be placed is none."""
    assert moment(text) is None


@given(st.text())
def test_header_text_is_one_printable_line(text: str) -> None:
    """Free text becomes printable ASCII of bounded length, so that no header follows from it."""
    safe = header_safe(text)
    assert len(safe) <= 500
    assert all(" " <= character <= "~" for character in safe)
