"""The log: one line per event whatever its text, and no secret in any encoding."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import structlog

from router.observe import log
from router.observe.masking import MASK, SecretMask

SECRET = 'sk-"quoted"/and+plus=='
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What was written; the standard library's logging is as it was afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    log.configure("info", "json", out)
    yield out
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def lines(stream: io.StringIO) -> Lines:
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


FORMS = {
    "plain": SECRET,
    "inside": f"Bearer {SECRET}, sorry",
    "twice": SECRET + SECRET,
    "URL-encoded": quote(SECRET, safe=""),
    "JSON-escaped": json.dumps(SECRET),
    "base64": base64.b64encode(SECRET.encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_known_secret_is_masked_in_every_form(form: str) -> None:
    mask = SecretMask()
    mask.know([SECRET])
    cleaned = mask.clean(FORMS[form])
    assert "***" in cleaned
    assert not any(piece in cleaned for piece in ("quoted", "and+plus", FORMS["base64"][:20]))


def test_other_text_stays() -> None:
    mask = SecretMask()
    assert mask.clean("as it is") == "as it is"
    mask.know(["short", "", "abcdef"])
    assert mask.clean("a short word") == "a short word"
    assert mask.clean("an abcdef") == "an ***"


def test_a_rotated_key_stays_masked() -> None:
    mask = SecretMask()
    mask.know(["first-key"])
    mask.know(["second-key"])
    assert mask.clean("first-key second-key") == "*** ***"


def test_a_secret_that_contains_another_is_masked_as_a_whole() -> None:
    mask = SecretMask()
    mask.know(["sk-abc", "sk-abcdef"])
    assert mask.clean("sk-abcdef") == "***"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("it was first-key", "it was ***"),
        ("it was first-ke", "it was ***"),
        ("it was first-", "it was ***"),
        ("it was first", "it was first"),
        ("first-key and first-ke", "*** and ***"),
        ("", ""),
    ],
)
def test_the_beginning_of_a_secret_at_the_end_of_a_cut_text_is_masked(text: str, cleaned: str) -> None:
    mask = SecretMask()
    mask.know(["first-key"])
    assert mask.clean_cut(text) == cleaned


NASTY = {
    "newline": 'x\n{"level": "error", "event": "forged"}',
    "carriage return": "x\r\nforged",
    "ANSI": "\x1b[2J\x1b[31mred",
    "C1": "\x9b31mred",
    "line separator": "x\u2028forged\u2029forged",
    "next line": "x\x85forged",
    "form feed": "x\x0cforged\x1e",
    "NUL": "x\0y",
    "bell": "\a",
    "right to left": "\u202egnp.exe",
    "surrogate": "\udcff",
}


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("name", NASTY)
def test_no_text_forges_a_line_or_moves_a_cursor(name: str, form: str, stream: io.StringIO) -> None:
    log.configure("info", form, stream)
    text = NASTY[name]
    structlog.get_logger().info(text, field=text, listed=[text, (text,)], error=ValueError(text))
    written = stream.getvalue()
    assert len(written.splitlines()) == 1
    assert written.rstrip("\n").isprintable()
    if form == "json":
        assert json.loads(written)["level"] == "info"


@pytest.mark.parametrize("wrap", [str, lambda text: [text], ValueError])
def test_long_fields_are_cut(wrap: Callable[[str], Any], stream: io.StringIO) -> None:
    structlog.get_logger().info("long", field=wrap("x" * 1_000_000))
    assert len(stream.getvalue()) < 2_500


def test_a_secret_across_the_cut_is_masked_before_the_cut(lines: Lines, stream: io.StringIO) -> None:
    MASK.know(["canary-of-the-log-test"])
    for before in range(1_975, 2_001):
        structlog.get_logger().info("cut", field="x" * before + "canary-of-the-log-test" + "y" * 99)
    assert len(lines()) == 26
    assert "canary" not in stream.getvalue()


def test_plain_values_keep_their_types_and_nothing_is_left_out(lines: Lines) -> None:
    structlog.get_logger().warning("event", number=5, share=0.5, yes=True, nothing=None, listed=["a", 1])
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "event",
        "level": "warning",
        "number": 5,
        "share": 0.5,
        "yes": True,
        "listed": ["a", 1],
    }


def test_the_standard_library_s_records_come_without_stacks(lines: Lines) -> None:
    try:
        raise ConnectionResetError("gone\nforged")
    except ConnectionResetError:
        logging.getLogger("aiohttp.server").exception("Error handling %s", "request")
    logging.getLogger("asyncio").info("below the level")
    logging.getLogger("odd").log(35, "a level of its own")
    line, odd = lines()
    assert (odd["event"], odd["level"]) == ("a level of its own", "warning")
    assert line["event"] == "Error handling request"
    assert line["logger"] == "aiohttp.server"
    assert line["error"] == r"ConnectionResetError: gone\nforged"
    assert "Traceback" not in json.dumps(line)


def test_a_bug_is_logged_with_its_place_in_one_line(lines: Lines) -> None:
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        structlog.get_logger().exception("bug")
    (line,) = lines()
    assert "test_log.py" in line["exception"]
    assert "ZeroDivisionError: by zero" in line["exception"]


def test_the_level_is_a_threshold(lines: Lines, stream: io.StringIO) -> None:
    log.configure("warning", "json", stream)
    structlog.get_logger().info("quiet")
    structlog.get_logger().error("loud")
    assert [line["event"] for line in lines()] == ["loud"]


def test_auto_means_json_without_a_terminal(stream: io.StringIO, lines: Lines) -> None:
    log.configure("info", "auto", stream)
    structlog.get_logger().info("event")
    assert lines()[0]["event"] == "event"
