"""From the bytes of a request to the JSON values in it."""

import gzip
import json
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.body import MAX_DEPTH, decode, split
from ingest.encoding import gunzip
from tocsin.errors import NotAnAlert, NotJson, TooLarge

BAD = "<bad>"
FRAMINGS = {
    "alone": b"%s",
    "white space": b" %s\r\n",
    "array of one": b"[%s]",
    "array": b'[{"x":1}, %s]',
    "NDJSON": b'{"x":1}\n%s\n{"y":2}',
    "concatenated": b'{"x":1}%s{"y":2}',
    "concatenated in front": b'%s{"y":2}',
    "trailing comma": b'[%s,{"y":2},]',
}
MIB = 1024 * 1024


def found(body: bytes) -> list[object]:
    """The documents of a body, with a mark where a bad stretch stood."""
    return [BAD if piece.fault else piece.document for piece in split(body, max_events=100)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'{"a":1}', [{"a": 1}], id="one object"),
        pytest.param(b' \r\n {"a":1}\r\n\r\n', [{"a": 1}], id="white space around it"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', [{"a": 1}], id="byte order mark"),
        pytest.param(b'[{"a":1}, {"b":2}]', [{"a": 1}, {"b": 2}], id="array"),
        pytest.param(b"[]", [], id="empty array"),
        pytest.param(b'[{"a":1}, 7, "x"]', [{"a": 1}, 7, "x"], id="array with strange elements"),
        pytest.param(b"17", [17], id="a bare number"),
        pytest.param(b'{"a":1}\n{"b":2}\n', [{"a": 1}, {"b": 2}], id="NDJSON"),
        pytest.param(b'{"a":1}\r\n{"b":2}', [{"a": 1}, {"b": 2}], id="NDJSON with CRLF"),
        pytest.param(b'{"a":1}{"b":2}', [{"a": 1}, {"b": 2}], id="concatenated"),
        pytest.param(b'{\n "a": 1\n}\n{\n "b": {}\n}', [{"a": 1}, {"b": {}}], id="pretty printed"),
        pytest.param(b'\x1e{"a":1}\n\x1e{"b":2}\n', [{"a": 1}, {"b": 2}], id="RFC 7464"),
        pytest.param(b'{"a":1},\n{"b":2},\n', [{"a": 1}, {"b": 2}], id="trailing commas"),
        pytest.param(b'[{"a":1},{"b":2},]', [{"a": 1}, {"b": 2}], id="array, trailing comma"),
        pytest.param(b'[{"a":1}]\n[{"b":2}]', [{"a": 1}, {"b": 2}], id="array after array"),
        pytest.param(b'{"a":1}\noops\n{"b":2}', [{"a": 1}, BAD, {"b": 2}], id="a bad line"),
        pytest.param(b'{"a":1}\nx\ny\n{"b":2}', [{"a": 1}, BAD, {"b": 2}], id="two bad lines"),
        pytest.param(b'{"a":\n{"b":2}\n{"c":3}', [BAD, {"b": 2}, {"c": 3}], id="a cut first line"),
        pytest.param(b'{"a":1}\n{"b":"x', [{"a": 1}, BAD], id="a cut last line"),
        pytest.param(b'[{"a":1},{"b":2},{"c":', [{"a": 1}, {"b": 2}, BAD], id="a cut array"),
        pytest.param(
            b'[\n  {\n    "a": {}\n  },\n  {\n    "b":', [{"a": {}}, BAD], id="cut, pretty"
        ),
        pytest.param(b'{"a":1,}{"b":2}', [BAD, {"b": 2}], id="bad and good on one line"),
        pytest.param(b'{"a": {"b":1}, "c":', [BAD], id="the inside of a cut object is no event"),
        pytest.param(b'{\n"a":\n {"b":1},\n"c":', [BAD], id="nor when it is pretty printed"),
        pytest.param(b'<30>host app: {"a":1}', [BAD, {"a": 1}], id="a syslog header before it"),
        pytest.param(b"hello", [BAD], id="no JSON at all"),
        pytest.param(b"", [BAD], id="nothing"),
        pytest.param(b"\xff\xfe\x00{", [BAD], id="binary"),
        pytest.param(b"[[[[", [BAD], id="only brackets"),
        pytest.param(b"1\n2", [1, 2], id="NDJSON of numbers"),
        pytest.param(b'"a"\r\nnull\r\n[1]\r\n', ["a", None, [1]], id="NDJSON of anything"),
        pytest.param(b'1\n{"a":1}\n"x"\ntrue\n', [1, {"a": 1}, "x", True], id="mixed NDJSON"),
        pytest.param(b'\x1e1\n\x1e"\xff"\n', [1, "\ufffd"], id="RFC 7464 of scalars"),
        pytest.param(b"1\noops\n2", [BAD], id="scalars around a bad line"),
        pytest.param(b'{"a":[\n"x",\n"y"\n', [BAD], id="the inside of a cut array"),
        pytest.param(b",]", [BAD], id="only separators"),
    ],
)
def test_bodies_come_apart(body: bytes, expected: list[object]) -> None:
    """Every form of body gives its values in order, and one fault per bad stretch."""
    assert found(body) == expected


def test_a_body_without_json_is_one_fault_with_all_of_it() -> None:
    """Bytes that are no JSON are quarantined once, whole."""
    (piece,) = split(b"[oops,\n{x}, {", max_events=1)
    assert piece.fault
    assert piece.raw == b"[oops,\n{x}, {"


@pytest.mark.parametrize(
    "body",
    [b'[ {"a": 1.50} ,{ "b":"\\u00e9"}]', b'{"a": 1.50}\n{ "b":"\\u00e9"}'],
)
def test_pieces_keep_their_exact_bytes(body: bytes) -> None:
    """What is stored is what was sent, not what we would have written."""
    assert [piece.raw for piece in split(body, max_events=2)] == [
        b'{"a": 1.50}',
        b'{ "b":"\\u00e9"}',
    ]


@pytest.mark.parametrize("body", [b"[1,2,3]", b'{"a":1}\n{"a":2}\n{"a":3}', b'{"a":1}x{"b":2}'])
def test_more_pieces_than_allowed_are_refused(body: bytes) -> None:
    """A body cannot carry more events than the receiver takes."""
    assert len(split(body, max_events=3)) == 3
    with pytest.raises(TooLarge):
        split(body, max_events=2)


@pytest.mark.parametrize(
    ("raw", "document"),
    [
        pytest.param(b'{"a":"\xff\xc3"}', {"a": "\ufffd\ufffd"}, id="no UTF-8"),
        pytest.param(b'"\\ud83d\\ude00"', "\U0001f600", id="a surrogate pair"),
        pytest.param(b'["\\ud800","\\udc00x"]', ["\ufffd", "\ufffdx"], id="lone surrogates"),
        pytest.param(b'{"\\ud800":1}', {"\ufffd": 1}, id="a lone surrogate in a key"),
        pytest.param(b'"a\nb\x01"', "a\nb\x01", id="bare control characters"),
        pytest.param(b'"\\u0000"', "\0", id="an escaped NUL"),
        pytest.param(b'{"a":1,"a":2}', {"a": 2}, id="the last of repeated keys wins"),
        pytest.param(b"[3.0,3,-0.0,1e2]", [3, 3, 0, 100], id="a whole number has one form"),
        pytest.param(b"[0.5,1e300]", [0.5, 1e300], id="floats"),
        pytest.param(b"[1e999,-1e999]", ["1e999", "-1e999"], id="too big for a double"),
        pytest.param(b"9" * 10_000, "9" * 10_000, id="too many digits"),
        pytest.param(b"18446744073709551616", 2**64, id="more than 64 bits"),
        pytest.param(b"[NaN,-Infinity]", ["NaN", "-Infinity"], id="constants that JSON lacks"),
        pytest.param(b'"\xff"' + b" " * 3, "\ufffd", id="tolerant with white space"),
    ],
)
def test_decoding_forgives(raw: bytes, document: object) -> None:
    """What senders get wrong in a value is repaired the same way every time."""
    assert decode(raw) == document
    assert json.dumps(decode(raw)) == json.dumps(document)


@pytest.mark.parametrize("raw", [b"", b"{", b"{} {}", b"[1,]", b"nul", b"'a'", b"{1:2}"])
def test_what_is_no_json_value_is_said_to_be_none(raw: bytes) -> None:
    """Decoding fails with the one error that says so."""
    with pytest.raises(NotJson):
        decode(raw)


@pytest.mark.parametrize("unit", [(b"[", b"]"), (b'{"a":', b"}"), (b'["\xff",', b"]")])
@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 5_000, 100_000])
def test_deep_nesting_is_a_fault(unit: tuple[bytes, bytes], depth: int) -> None:
    """A depth bomb of any size is refused, and never ends in a RecursionError."""
    opening, closing = unit
    bomb = opening * depth + b"1" + closing * depth
    with pytest.raises(NotAnAlert, match="nests deeper than 100 levels"):
        decode(bomb)
    assert found(b'{"a":1}\n{"x":' + bomb + b'}\n{"b":2}') == [{"a": 1}, BAD, {"b": 2}]


@pytest.mark.parametrize("depth", [MAX_DEPTH + 2, 900, 5_000, 100_000])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_deep_nesting_is_json_in_every_framing(framing: str, depth: int) -> None:
    """One object that nests too deep is one piece, however it is framed, with the true reason."""
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    good = [piece.document for piece in split(FRAMINGS[framing] % b"{}", max_events=3)]
    pieces = split(FRAMINGS[framing] % deep, max_events=3)
    (bad,) = (piece for piece in pieces if piece.fault)
    assert (bad.raw, bad.fault) == (deep, "It nests deeper than 100 levels")
    assert all(piece.is_json for piece in pieces)
    assert [piece.document for piece in pieces if not piece.fault] == [d for d in good if d]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":' * 5_000 + b"}" * 4_999, id="an object, cut"),
        pytest.param(b"[" * 5_000 + b"]" * 4_999, id="an array, cut"),
        pytest.param(b'{"a":' + b"[" * 150 + b"oops" + b"]" * 150 + b"}", id="a word in it"),
    ],
)
def test_deep_nesting_that_is_no_json_is_said_to_be_none(body: bytes) -> None:
    """What nests deep and never closes, or holds something else, is no JSON."""
    assert [piece.is_json for piece in split(body, max_events=3)] == [False]


def test_as_deep_as_allowed_is_fine() -> None:
    """The limit itself is taken."""
    assert decode(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    assert decode(b"[" + b"[]," * 500 + b"[]]") == [[]] * 501


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{\n" * (MIB // 2), id="opening lines"),
        pytest.param(b"[" * MIB, id="opening brackets"),
        pytest.param(b"{x}\n" * (MIB // 4), id="bad lines"),
        pytest.param(b"{x}" * (MIB // 3), id="bad objects on one line"),
        pytest.param(b'{"a":' * (MIB // 5), id="opening objects"),
        pytest.param(b'{"' + b'\\"' * (MIB // 2), id="escaped quotes"),
        pytest.param(b'{"a\n' * (MIB // 4), id="strings without an end"),
        pytest.param(b"{x\n" * (MIB // 6) + b"}\n" * (MIB // 6), id="nested bad objects"),
        pytest.param(b'{"a" \n' * (MIB // 6), id="keys without values"),
        pytest.param(b"{\n" + (b" " * 99 + b"{\n") * 10_000, id="indented lines"),
        pytest.param(b"{\n" + b" " * MIB + b"x", id="one long indentation"),
        pytest.param(b"{" + b"\n , , , " * (MIB // 8), id="separators and nothing else"),
        pytest.param(b"9" * MIB, id="one long number"),
        pytest.param(b"}" * MIB, id="closing brackets"),
    ],
)
def test_hostile_bodies_take_linear_time(body: bytes) -> None:
    """A body of the largest size that is made to be slow is told to be bad in no time."""
    started = time.process_time()
    pieces = split(body, max_events=5_000)
    assert time.process_time() - started < 2
    assert len(pieces) == 1


def test_a_good_line_among_many_bad_ones_is_found() -> None:
    """One event that parses is enough for a body to be accepted."""
    body = b'{"cut": "' + b"x" * 200 + b"\n"
    assert found(body * 3_000 + b'{"ok":1}') == [BAD, {"ok": 1}]


@given(st.binary(max_size=200) | st.text('{}[]",:\\\n 1ax\x1e', max_size=60).map(str.encode))
def test_no_bytes_break_splitting(body: bytes) -> None:
    """Arbitrary bytes give pieces that stand in the body, and never an error."""
    pieces = split(body, max_events=1_000)
    at = 0
    for piece in pieces:
        at = body.index(piece.raw, at) + len(piece.raw)
        assert (piece.document is None) or not piece.fault


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(st.text(), _json, max_size=4), max_size=5))
def test_every_framing_gives_the_same_documents(documents: list[dict[str, object]]) -> None:
    """Array, NDJSON and concatenation are told apart without loss."""
    lines = [json.dumps(document).encode() for document in documents]
    decoded = [decode(line) for line in lines]
    assert found(b"[" + b",".join(lines) + b"]") == decoded
    if documents:
        assert found(b"\n".join(lines)) == decoded
        assert found(b"".join(lines)) == decoded
        pretty = (json.dumps(document, indent=2).encode() for document in documents)
        assert found(b"\n".join(pretty)) == decoded


def test_gunzip_unpacks_members_in_a_row() -> None:
    """Several gzip members, and padding behind them, are one body."""
    packed = gzip.compress(b"one ") + gzip.compress(b"two") + bytes(16)
    assert gunzip(packed, 7) == b"one two"


@pytest.mark.parametrize("size", [8, MIB, 8 * MIB])
def test_gunzip_stops_at_the_limit(size: int) -> None:
    """A bomb is refused after the limit, whatever it would unpack to."""
    with pytest.raises(TooLarge):
        gunzip(gzip.compress(bytes(size)), 7)


def test_gunzip_counts_all_members_together() -> None:
    """Many small members cannot add up to more than the limit."""
    with pytest.raises(TooLarge):
        gunzip(gzip.compress(b"1234") * 1_000, 7)


@pytest.mark.parametrize("end", [b"", b"x", bytes(1000) + b"x"], ids=["all", "rest", "padding"])
def test_many_members_take_linear_time(end: bytes) -> None:
    """A body of the largest size that is nothing but empty members is done in no time."""
    member = gzip.compress(b"", mtime=0)
    started = time.process_time()
    with suppress(NotJson):
        assert gunzip(member * (8 * MIB // len(member)) + end, MIB) == b""
    assert time.process_time() - started < 5


# No time in it: a parameter must be the same in every process of the suite.
PACKED = gzip.compress(b"{}", mtime=0)


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"{}",
        b"\x1f\x8b",
        gzip.compress(b"{}", mtime=0)[:-1],
        gzip.compress(b"{}", mtime=0) + b"rest",
    ],
)
def test_a_bad_gzip_body_is_no_json(packed: bytes) -> None:
    """What cannot be unpacked is said to be no JSON."""
    with pytest.raises(NotJson):
        gunzip(packed, 100)


@given(st.binary(max_size=100))
def test_no_bytes_break_gunzip(body: bytes) -> None:
    """Arbitrary bytes are unpacked or refused."""
    try:
        gunzip(body, 1_000)
    except NotJson:
        return
    raise AssertionError(body)
