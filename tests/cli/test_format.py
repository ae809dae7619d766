"""Times, counts, foreign text and tables as the command line shows them."""

from __future__ import annotations

from typing import Any

import pytest

from router.cli.format import count
from router.cli.tables import render
from router.core.duration import format_duration, parse_duration
from router.core.text import printable


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604800), ("1.5h", 5400)]
)
def test_spans_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "m", "-5m", "0s", "5 m", "1h30m", "5M", "٣m", "\x1b[2Jm"])
def test_what_is_no_span_is_told_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match="such as 90s, 30m, 2h or 7d") as caught:
        parse_duration(text)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0.2, "1 s"),
        (45, "45 s"),
        (119, "119 s"),
        (120, "2 min"),
        (121, "3 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (86400 * 2 - 1, "48 h"),
        (86400 * 9.5, "10 d"),
    ],
)
def test_spans_are_said_in_the_unit_that_fits_and_never_too_short(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0"),
        (0.0125, "0.0125"),
        (12, "12"),
        (840, "840"),
        (999.9, "1k"),
        (1000, "1k"),
        (13_980, "14k"),
        (14_400, "14.4k"),
        (999_900, "1M"),
        (1_500_000, "1.5M"),
    ],
)
def test_counts_have_three_digits(number: float, words: str) -> None:
    assert count(number) == words


def test_only_lines_and_tabs_are_left_of_control_characters() -> None:
    assert printable("a\x1b[2J\r\n\tb\u202ec\x07") == "a[2J\n\tbc"


ROWS: list[dict[str, Any]] = [{"name": "x" * 30, "why": "y" * 90, "n": 7}, {"name": None, "why": "\x1b[31m", "n": 123}]


def test_a_table_pads_cuts_and_shows_nothing_as_a_dash() -> None:
    assert render(ROWS, ("name", "n", "why")).splitlines() == [
        f"{'name':30}    n  why",
        f"{'-' * 30}  ---  {'-' * 60}",
        f"{'x' * 30}    7  {'y' * 59}…",
        f"{'-':30}  123   [31m",
    ]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_table_fits_where_it_can_and_keeps_short_columns_whole(width: int) -> None:
    lines = render(ROWS, ("name", "n", "why"), fit=width).splitlines()
    assert max(map(len, lines)) == width
    assert " 123 " in lines[3]
    assert max(map(len, render(ROWS, ("name", "n", "why"), fit=5).splitlines())) == 8 + 2 + 3 + 2 + 8


def test_a_tint_does_not_move_the_columns() -> None:
    def red(column: str, text: str) -> str:
        return f"<{text}>" if column == "n" else text

    columns = ("name", "n", "why")
    plain, tinted = render(ROWS, columns), render(ROWS, columns, tint=red)
    assert tinted.replace("<", "").replace(">", "") == plain
