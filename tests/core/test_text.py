"""Text from outside in our messages: quoted safely, and a suggestion for a mistyped word."""

from __future__ import annotations

import pytest

from router.core.text import did_you_mean, near_miss, one_line, printable, shown, suggestion

TIERS = ("cheap", "complex")


@pytest.mark.parametrize(
    ("word", "hint"),
    [("cheep", ", did you mean 'cheap'?"), ("complx", ", did you mean 'complex'?"), ("gold", ""), ("", "")],
)
def test_a_near_word_is_suggested_and_a_far_one_is_not(word: str, hint: str) -> None:
    assert did_you_mean(word, TIERS) == hint


def test_without_a_near_word_all_allowed_ones_are_listed() -> None:
    assert suggestion("gold", TIERS) == "; allowed: cheap, complex"
    assert suggestion("CHEAP", TIERS) == ", did you mean 'cheap'?"
    assert suggestion("gold", ()) == ""


def test_a_very_long_word_is_not_compared() -> None:
    assert near_miss("cheap" * 100, ["cheap" * 100]) is None
    assert suggestion("cheap" * 100, TIERS) == "; allowed: cheap, complex"


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("groq", "'groq'"),
        (17, "'17'"),
        ("it's", '"it\'s"'),
        ("x" * 30 + " " + "y" * 30, f"'{'x' * 30} {'y' * 29}…'"),
        ("\x1b[2J", r"'\x1b[2J'"),
        ("sk-abc", "'***'"),
        ("my key is gsk_abc", "'***'"),
        ("0123456789abcdef0123456789abcdef", "'***'"),
    ],
)
def test_a_value_is_quoted_cut_and_hidden_if_it_may_be_a_key(value: object, quoted: str) -> None:
    assert shown(value) == quoted


def test_control_characters_never_reach_a_terminal() -> None:
    assert printable("a\x1b[2J\r\nb\tc\x07") == "a[2J\nb\tc"
    assert one_line(" a\x1b[2J\r\nb\tc ") == "a [2J b c"
