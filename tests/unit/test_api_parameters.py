"""Query parameters: what they may be, and what is said of those that are wrong."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import QueryParams

from console.api import parameters
from console.api.paging import decode_cursor, encode_cursor, page
from console.api.parameters import Parameter, read
from tocsin.errors import InvalidParameter
from tocsin.store.paging import Key

EVERY = (
    parameters.SINCE,
    parameters.SEVERITY,
    parameters.STATUS,
    parameters.KIND,
    parameters.SOURCE,
    parameters.SOURCE_EVENT_ID,
    parameters.ALERT,
    parameters.RUN,
    parameters.FORMAT,
    parameters.LIMIT,
    parameters.CURSOR,
)
AN_ID = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    ("text", "ago"),
    [("30m", timedelta(minutes=30)), ("2h", timedelta(hours=2)), ("7d", timedelta(days=7))],
)
def test_since_is_a_length_of_time(text: str, ago: timedelta) -> None:
    """`since` counts a length of time back from now."""
    since = read(QueryParams({"since": text}), [parameters.SINCE])["since"]
    assert abs(datetime.now(UTC) - ago - since) < timedelta(seconds=5)


@pytest.mark.parametrize(
    "text",
    ["2026-11-20T15:00:00Z", "2026-11-20T16:00:00+01:00", "2026-11-20T15:00:00", "20261120T15"],
)
def test_since_is_a_time(text: str) -> None:
    """`since` may be an ISO 8601 time, which is UTC unless it says otherwise."""
    since = read(QueryParams({"since": text}), [parameters.SINCE])["since"]
    assert since == datetime(2026, 11, 20, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("parameter", "wrong"),
    [
        (parameters.SINCE, "yesterday"),
        (parameters.SINCE, "9999999999d"),
        (parameters.SINCE, "0001-01-01T00:00:00+14:00"),
        (parameters.SEVERITY, "high,severe"),
        (parameters.SEVERITY, ","),
        (parameters.STATUS, "superseded"),
        (parameters.KIND, "quarantine,dead"),
        (parameters.SOURCE, "wazuh\0"),
        (parameters.SOURCE_EVENT_ID, ""),
        (parameters.SOURCE_EVENT_ID, "1795187045.1\0"),
        (parameters.SOURCE_EVENT_ID, "x" * 257),
        (parameters.ALERT, AN_ID[1:]),
        (parameters.RUN, str(2**31)),
        (parameters.RUN, "0" * 20 + "9" * 22),
        (parameters.FORMAT, "xml"),
        (parameters.LIMIT, "0"),
        (parameters.LIMIT, "1001"),
        (parameters.LIMIT, "0" * 19 + "19999"),
        (parameters.LIMIT, "0" * 5000 + "1"),
        (parameters.LIMIT, "٣"),
        (parameters.CURSOR, "abc"),
        (parameters.CURSOR, "ü"),
    ],
    ids=lambda value: value.name if isinstance(value, Parameter) else repr(value),
)
def test_wrong_value_is_named(parameter: Parameter, wrong: str) -> None:
    """A value that cannot be is refused with the parameter's name and what it may be."""
    with pytest.raises(InvalidParameter) as refused:
        read(QueryParams({parameter.name: wrong}), EVERY)
    assert refused.value.members == {"parameter": parameter.name, "allowed": parameter.allowed}


def test_unknown_parameter_is_refused() -> None:
    """A misspelt filter is refused, because it would silently filter nothing."""
    with pytest.raises(InvalidParameter, match=r"sevrity is no parameter here.*severity"):
        read(QueryParams({"sevrity": "high"}), EVERY)


def test_words_come_with_commas() -> None:
    """Severity and status take several words."""
    given_ = read(QueryParams("severity=high,%20critical&status=failed"), EVERY)
    assert given_["severity"] == ("high", "critical")
    assert given_["status"] == ("failed",)


def test_left_out_is_the_default() -> None:
    """What is not given filters nothing, and pages hold 100."""
    given_ = read(QueryParams(), EVERY)
    assert given_["limit"] == 100
    assert not any(value for name, value in given_.items() if name != "limit")


@given(st.sampled_from(EVERY), st.text())
def test_no_text_is_an_accident(parameter: Parameter, text: str) -> None:
    """Whatever stands in a parameter, it is read or refused."""
    with suppress(InvalidParameter):
        read(QueryParams([(parameter.name, text)]), EVERY)


@given(st.text("0123456789", min_size=1, max_size=30))
def test_numbers_are_within_their_bounds(text: str) -> None:
    """A number that is read is within its bounds, however it is written."""
    with suppress(InvalidParameter):
        assert 1 <= read(QueryParams({"limit": text}), EVERY)["limit"] <= 1000


@given(st.datetimes(timezones=st.just(UTC)), st.sampled_from(["", "-0-page", "-2-page/fallback"]))
def test_cursor_comes_back(time: datetime, rest: str) -> None:
    """A cursor reads as the key that it was written from."""
    key = Key(time, AN_ID + rest)
    assert decode_cursor(encode_cursor(key)) == key


def test_page_knows_whether_more_follows() -> None:
    """A page has a `next` only where more follows, and it names the page's last item."""
    times = [datetime(2026, 11, 20, 15, minute, tzinfo=UTC) for minute in range(3)]
    full = page(times, 2, lambda time: Key(time, AN_ID))
    assert full.items == times[:2]
    assert full.next
    assert decode_cursor(full.next) == Key(times[1], AN_ID)
    assert page(times, 3, lambda time: Key(time, AN_ID)).next is None
