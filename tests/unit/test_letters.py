"""Letters: what could not be processed, on the FAILED stream."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest.letters import Kind, Letter, Stage
from tests.edge import TENANT, MemoryBus
from tocsin import bus
from tocsin.errors import BusFull

RECEIVED = datetime(2026, 11, 20, 15, 4, 5, tzinfo=UTC)
QUARANTINED = Letter(
    tenant=TENANT,
    source="wazuh",
    kind=Kind.QUARANTINE,
    stage=Stage.RECEIVE,
    reason="It has no `rule` object",
    received_at=RECEIVED,
    raw=b'{"hello":1}',
)
DEAD = Letter(
    tenant=TENANT,
    source="wazuh",
    kind=Kind.DEAD,
    stage=Stage.DISPATCH,
    reason="it does not fit",
    received_at=RECEIVED,
    raw=b"\xff\x00",
    attempts=5,
    alert_id="0123456789abcdef" * 2,
    epoch=1_795_187_045,
    sequence=42,
)


@pytest.mark.parametrize("letter", [QUARANTINED, DEAD])
async def test_letter_survives_the_journey(letter: Letter) -> None:
    """What was posted is what the ledger reads, byte for byte."""
    to = MemoryBus()
    await letter.post(to)
    ((subject, raw, headers),) = to.kept
    assert subject == "alerts.failed.acme"
    assert Letter.open(subject, raw, headers) == letter


async def test_same_bytes_are_quarantined_once() -> None:
    """A sender that posts the same garbage again and again adds one letter."""
    to = MemoryBus()
    later = replace(QUARANTINED, received_at=datetime.now(UTC), reason="another one")
    assert not (await QUARANTINED.post(to)).duplicate
    assert (await later.post(to)).duplicate


def test_same_bytes_of_two_messages_are_two_letters() -> None:
    """Letters of the dispatcher are told apart by the message that they come from."""
    ids = {
        QUARANTINED.id,
        DEAD.id,
        replace(DEAD, sequence=43).id,
        replace(DEAD, epoch=DEAD.epoch + 1).id,
        replace(QUARANTINED, source="other").id,
    }
    assert len(ids) == 5


async def test_reason_of_any_text_fits_a_header() -> None:
    """Line breaks and other scripts in a reason open no second header."""
    to = MemoryBus()
    await replace(QUARANTINED, reason="a\r\nNats-Msg-Id: x\u2028\u00fc" + "y" * 9000).post(to)
    reason = to.kept[0][2][bus.REASON]
    assert reason.isascii()
    assert reason.isprintable()


async def test_letter_of_a_full_message_fits() -> None:
    """A message filled to the last byte by its publisher is kept as far as the server takes it."""
    to = MemoryBus(largest=100)
    await replace(QUARANTINED, raw=b"x" * 120).post(to)
    assert to.kept[0][1] == b"x" * 100


async def test_full_stream_is_said() -> None:
    """A letter that finds no room is never taken for kept."""
    with pytest.raises(BusFull):
        await QUARANTINED.post(MemoryBus(bound=0))


@given(
    st.dictionaries(
        st.sampled_from([bus.KIND, bus.STAGE, bus.RECEIVED_AT, bus.ATTEMPTS, bus.SEQUENCE]),
        st.text(),
    )
)
def test_no_headers_break_a_letter(given_headers: dict[str, str]) -> None:
    """Arbitrary headers open as a letter."""
    letter = Letter.open("alerts.failed.acme", b"", given_headers)
    assert letter.attempts >= 1
    assert letter.received_at.tzinfo is UTC
