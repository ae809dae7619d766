"""Rate limits: never more requests than allowed in any minute or day, and bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from router.simulator.limits import KEYS, Limits, Quota


class Time:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 86_400 * 20_000 + self.now


@given(some.lists(some.floats(0, 20), min_size=1, max_size=200), some.integers(1, 6))
def test_no_minute_holds_more_than_allowed(gaps: list[float], allowed: int) -> None:
    time = Time()
    limits = Limits(time.monotonic, time.wall)
    admitted = []
    for gap in gaps:
        time.now += gap
        if limits.admit("groq", Quota(allowed)).refused is None:
            admitted.append(time.now)
    assert admitted
    assert all(later - earlier >= 60 for earlier, later in zip(admitted, admitted[allowed:], strict=False))


def test_says_what_is_left_and_when_it_comes_back() -> None:
    time = Time()
    limits = Limits(time.monotonic, time.wall)
    first = limits.admit("groq", Quota(2, 100))
    assert (first.left_minute, first.left_day, first.minute_resets_s) == (1, 99, 60)
    time.now += 45
    limits.admit("groq", Quota(2, 100))
    full = limits.admit("groq", Quota(2, 100))
    assert (full.refused, full.left_minute, full.minute_resets_s) == ("minute", 0, 15)
    assert limits.admit("cohere", Quota(2, 100)).refused is None


def test_a_day_ends_at_midnight_utc() -> None:
    time = Time()
    limits = Limits(time.monotonic, time.wall)
    assert limits.admit("groq", Quota(None, 1)).refused is None
    full = limits.admit("groq", Quota(None, 1))
    assert full.refused == "day"
    time.now += full.day_resets_s - 1
    assert limits.admit("groq", Quota(None, 1)).refused == "day"
    time.now += 1
    assert limits.admit("groq", Quota(None, 1)).refused is None


def test_forgets_the_longest_unused_key() -> None:
    time = Time()
    limits = Limits(time.monotonic, time.wall)
    for number in range(KEYS):
        limits.admit(str(number), Quota(1))
    assert limits.admit("0", Quota(1)).refused == "minute"
    limits.admit("one more", Quota(1))
    assert limits.admit("0", Quota(1)).refused == "minute"
    assert limits.admit("1", Quota(1)).refused is None
