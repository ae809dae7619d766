"""Durations, parsed from and written for people."""

from __future__ import annotations

from typing import Any

import pytest

from router.core.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("1.5m", 90), ("2h", 7200), ("14d", 1_209_600), ("0s", 0), ("0.001s", 0.001)],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (30, "30 needs a unit: write '30s' (or ms, m, h, d)"),
        (1.5, "1.5 needs a unit: write '1.5s' (or ms, m, h, d)"),
        *(
            (wrong, "is not a duration: write 250ms")
            for wrong in ("30", "-1s", "1e3s", "1 s", "٣s", "1w", "", None, True)
        ),
        ("1234567s", "is not a duration"),
    ],
)
def test_anything_else_is_refused_in_one_sentence(value: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_duration(value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (0.2, "1 s"),
        (45, "45 s"),
        (119.5, "120 s"),
        (120, "2 min"),
        (121, "3 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (2 * 86400, "2 d"),
    ],
)
def test_a_duration_is_shown_in_its_largest_unit_rounded_up(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
