"""Times, counts and tables as the command line shows them."""

from __future__ import annotations

import argparse
import io
from typing import Any

import pytest

from router.cli.format import count, many
from router.cli.output import Screen, console
from router.cli.tables import render
from router.cli.verb import age, duration
from tests.cli.terminal import width_of


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604800), ("1.5h", 5400), ("250ms", 0.25)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert duration(text) == seconds
    assert age(text) == text


@pytest.mark.parametrize("text", ["", "30", "m", "-5m", "5 m", "1h30m", "5M", "٣m", "\x1b[2Jm", "9" * 400 + "d"])
def test_what_is_no_duration_is_told_with_examples(text: str) -> None:
    for read in (duration, age):
        with pytest.raises(argparse.ArgumentTypeError, match="write 250ms, 30s, 5m, 2h or 14d") as caught:
            read(text)
        assert "\x1b" not in str(caught.value)


def test_no_time_at_all_is_no_duration() -> None:
    for read in (duration, age):
        with pytest.raises(argparse.ArgumentTypeError, match="it must be more than 0"):
            read("0s")


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


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 calls"), (1, "1 call"), (1.0, "1 call"), (7, "7 calls"), (1234, "1,234 calls"), (True, "? calls"),
     (None, "? calls"), ("1", "? calls"), (-1, "? calls"), (float("nan"), "? calls"), (10**400, "? calls")],
)  # fmt: skip
def test_nouns_agree_with_their_number_and_nonsense_has_none(number: Any, words: str) -> None:
    assert many(number, "call") == words


# --- tables -----------------------------------------------------------------------------------------------------------

ROWS: list[dict[str, Any]] = [{"name": "x" * 30, "why": "y" * 90, "n": 7}, {"name": None, "why": "\x1b[31m", "n": 123}]


def test_a_table_pads_cuts_and_shows_nothing_as_a_dash() -> None:
    assert render(ROWS, ("name", "n", "why")).splitlines() == [
        f"{'name':30}    n  why",
        f"{'-' * 30}  ---  {'-' * 60}",
        f"{'x' * 30}    7  {'y' * 59}…",
        f"{'-':30}  123  [31m",
    ]


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_table_fits_where_it_can_and_keeps_short_columns_whole(width: int) -> None:
    lines = render(ROWS, ("name", "n", "why"), on=Screen(width=width)).splitlines()
    assert max(map(len, lines)) == width
    assert " 123 " in lines[3]
    assert max(map(len, render(ROWS, ("name", "n", "why"), on=Screen(width=5)).splitlines())) == 8 + 2 + 3 + 2 + 8


def test_a_heading_above_numbers_gives_way_and_the_numbers_do_not() -> None:
    lines = render([{"output_tokens": 12345, "model": "m" * 40}], ("model", "output_tokens"), on=Screen(width=16))
    assert lines.splitlines() == ["model     outpu…", "--------  ------", "mmmmmmm…   12345"]


def test_wide_letters_and_emoji_stand_in_their_columns() -> None:
    rows = [{"name": "東京" * 20, "n": 1}, {"name": "🙂", "n": 22}, {"name": "e\u0301", "n": 333}]
    for on in (Screen(), Screen(width=24)):
        lines = render(rows, ("name", "n"), on=on).splitlines()
        assert len({width_of(line) for line in lines[1:]}) == 1
        assert lines[2].endswith("    1")
    assert width_of(lines[1]) == 24
    assert "東…" in lines[2]


HOSTILE = ["[red]x[/red]", "[/]", "[link=http://evil]y[/link]", ":smile:", "\\[bold]", "[@click=quit()]z"]


@pytest.mark.parametrize("text", HOSTILE)
def test_markup_stands_as_it_was_written(text: str) -> None:
    for on in (Screen(), Screen(tty=True, colours=True, width=80)):
        shown = render([{text: text}], (text,), on=on)
        assert shown.splitlines()[0].rstrip() == shown.splitlines()[2].rstrip() == text
        assert "\x1b" not in shown


def test_no_control_character_of_a_cell_or_lone_surrogate_is_printed() -> None:
    shown = render([{"a": "\x1b]8;;http://evil\x07\r\n\u202eb\ud800\x9b2J\u2028c"}], ("a",))
    assert shown.splitlines()[2:] == ["]8;;http://evil b 2J c"]


def test_colours_do_not_move_the_columns() -> None:
    def red(column: str, text: str) -> str:
        return "red" if column == "n" else ""

    columns = ("name", "n", "why")
    plain = render(ROWS, columns, on=Screen(width=80), style=red)
    coloured = render(ROWS, columns, on=Screen(tty=True, colours=True, width=80), style=red)
    assert "\x1b[31m" in coloured
    stripped = coloured.replace("\x1b[31m", "").replace("\x1b[0m", "")
    assert [line.rstrip() for line in stripped.splitlines()] == plain.splitlines()
    assert render(ROWS, columns, on=Screen(tty=True, width=80), style=red) == plain


def test_a_table_in_a_pipe_is_the_same_in_every_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = render(ROWS, ("name", "n", "why"))
    for name, value in {"COLUMNS": "20", "FORCE_COLOR": "1", "TERM": "xterm-256color", "TTY_COMPATIBLE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert render(ROWS, ("name", "n", "why")) == before


def test_an_empty_table_is_its_heading() -> None:
    assert render([], ("name", "n")) == "name  n\n----  -"


def test_a_console_prints_text_literally() -> None:
    out = io.StringIO()
    console(Screen(tty=True, colours=True, width=40), out).print("[red]1.5 :smile: 'x' http://y[/red]")
    assert out.getvalue() == "[red]1.5 :smile: 'x' http://y[/red]\n"
