"""The stream parser against the rules of server-sent events: each case whole, byte by byte, and cut in two."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.codec.sse import MAX_LINE_BYTES, SseEvent, SseParser
from adapters.errors import ErrorKind, ProviderError

CASES = {
    "one": (b"data: a\n\n", [("", "a")]),
    "no space": (b"data:a\n\n", [("", "a")]),
    "only one space is dropped": (b"data:  a\n\n", [("", " a")]),
    "crlf": (b"data: a\r\n\r\ndata: b\r\n\r\n", [("", "a"), ("", "b")]),
    "cr": (b"data: a\r\rdata: b\r\r", [("", "a"), ("", "b")]),
    "mixed line ends": (b"data: a\r\ndata: b\n\rdata: c\r\n\r\n", [("", "a\nb"), ("", "c")]),
    "named": (b"event: error\ndata: x\n\ndata: y\n\n", [("error", "x"), ("", "y")]),
    "name without data": (b"event: ping\n\ndata: y\n\n", [("", "y")]),
    "several lines": (b"data: a\ndata:\ndata: b\n\n", [("", "a\n\nb")]),
    "empty data": (b"data\n\ndata:\n\n", [("", ""), ("", "")]),
    "comments": (b": hello\n\n: PROCESSING\ndata: a\n:\n\n", [("", "a")]),
    "other fields": (b"id: 7\nretry: 10\ndata: a\nfoo: b\n\n", [("", "a")]),
    "colons in the value": (b'data: {"a":"b: c"}\n\n', [("", '{"a":"b: c"}')]),
    "byte order mark": (b"\xef\xbb\xbfdata: a\n\n", [("", "a")]),
    "mark in mid-stream is no mark": (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [("", "a")]),
    "no blank line at the end": (b"data: a\n\ndata: b\n", [("", "a"), ("", "b")]),
    "no line end at the end": (b"data: a\n\nevent: e\ndata: b", [("", "a"), ("e", "b")]),
    "carriage return at the end": (b"data: a\r", [("", "a")]),
    "letters beyond ASCII": ("data: Grüße 👋 ◁\u2028x\x0b\x1cy\n\n".encode(), [("", "Grüße 👋 ◁\u2028x\x0b\x1cy")]),
    "broken letters": (b"data: a\xff\xe2\x82\n\n", [("", "a\ufffd\ufffd")]),
    "nothing": (b"", []),
    "only line ends": (b"\n\r\n\r\r\n", []),
}


def parsed(*pieces: bytes, limit: int = MAX_LINE_BYTES) -> list[SseEvent]:
    parser = SseParser(limit)
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.close()


@pytest.mark.parametrize("name", CASES)
def test_rules(name: str) -> None:
    body, wanted = CASES[name]
    events = [SseEvent(*event) for event in wanted]
    assert parsed(body) == events
    assert parsed(*(body[at : at + 1] for at in range(len(body)))) == events
    assert parsed(*(piece for at in range(len(body)) for piece in (body[at : at + 1], b""))) == events
    for at in range(len(body)):
        assert parsed(body[:at], body[at:]) == events


def test_events_come_as_soon_as_they_are_whole() -> None:
    parser = SseParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\n") == [SseEvent("", "a")]
    assert parser.feed(b"data: b\r\r") == [SseEvent("", "b")]
    assert parser.close() == []
    assert parser.close() == []


LINES = st.sampled_from([b"data: x", b"data:", b"event: e", b": c", b"", b"id: 1", "data: é👋".encode(), b"data"])
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.lists(st.tuples(LINES, ENDS), max_size=12), st.lists(st.integers(0, 120), max_size=8))
def test_where_it_is_cut_does_not_matter(lines: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    body = b"".join(line + end for line, end in lines)
    places = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    pieces = [body[start:end] for start, end in pairwise(places)]
    assert parsed(*pieces) == parsed(body)


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_taken(body: bytes) -> None:
    assert parsed(body) == parsed(*(body[at : at + 1] for at in range(len(body))))


@pytest.mark.parametrize("ending", [b"", b"\n\n"])
@pytest.mark.parametrize("piece", [64, 10_000])
def test_a_line_too_long_is_an_error(ending: bytes, piece: int) -> None:
    body = b"data: " + b"x" * 1000 + ending
    pieces = [body[at : at + piece] for at in range(0, len(body), piece)]
    with pytest.raises(ProviderError, match=re.escape("longer than 999 bytes")) as raised:
        parsed(*pieces, limit=999)
    assert raised.value.kind is ErrorKind.BAD_RESPONSE


def test_an_event_of_too_many_lines_is_an_error() -> None:
    with pytest.raises(ProviderError, match="event"):
        SseParser(max_line_bytes=100).feed(b"data: x\n" * 50)


def test_a_long_line_in_many_pieces_takes_linear_time() -> None:
    """Joined once at its end: a line of a megabyte byte by byte would otherwise move half a terabyte."""
    parser = SseParser()
    line = b"data: " + b"x" * (MAX_LINE_BYTES - 6)
    for at in range(0, len(line), 2):
        assert parser.feed(line[at : at + 2]) == []
    [event] = parser.feed(b"\n\n")
    assert len(event.data) == MAX_LINE_BYTES - 6
