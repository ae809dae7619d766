"""What is known of a model: the latest word, real traffic before probes, and nothing that is too old."""

from __future__ import annotations

import pytest

from healthcheck.store import Verdicts
from healthcheck.verdicts import Condition, Verdict
from tests.support.small_registry import FakeTime

SEAT = "groq/openai/gpt-oss-20b"


class Known:
    """A store, the time it lives in, and words about one seat."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.verdicts = Verdicts(self.time.clock.monotonic, self.time.clock.wall)
        self.verdicts.expect({SEAT: 300.0})

    def tell(self, condition: Condition, *, ago_s: float = 0.0, reason: str = "") -> None:
        self.verdicts.take(Verdict(SEAT, condition, self.time.wall - ago_s, reason))

    def succeed(self, *, ago_s: float = 0.0) -> None:
        self.verdicts.succeeded(SEAT, self.time.wall - ago_s)

    @property
    def now(self) -> str:
        return self.verdicts.of(SEAT).verdict


@pytest.fixture
def known() -> Known:
    return Known()


def test_a_seat_that_nobody_looked_at_is_unknown(known: Known) -> None:
    verdict = known.verdicts.of(SEAT)
    assert (verdict.verdict, verdict.reason, verdict.at) == ("unknown", "not probed yet", known.time.wall)


def test_a_verdict_holds_for_two_intervals(known: Known) -> None:
    known.tell("degraded", reason="answered something else")
    known.time.pass_(600)
    assert known.verdicts.of(SEAT).reason == "answered something else"
    known.time.pass_(1)
    assert known.verdicts.of(SEAT).verdict == "unknown"
    assert known.verdicts.of(SEAT).reason == "the last verdict, degraded, is 10 minutes old"


def test_a_stretched_interval_makes_a_verdict_hold_longer(known: Known) -> None:
    known.tell("healthy")
    known.verdicts.expect({SEAT: 86_400.0})
    known.time.pass_(170_000)
    assert known.now == "healthy"
    known.time.pass_(3_000)
    assert known.now == "unknown"


def test_why_nothing_is_known_does_not_age(known: Known) -> None:
    known.tell("unknown", reason="rate_limited: slow down")
    known.time.pass_(5000)
    assert known.verdicts.of(SEAT).reason == "rate_limited: slow down"


def test_the_latest_word_wins_in_whatever_order_it_comes(known: Known) -> None:
    known.tell("healthy", ago_s=10)
    known.tell("down", ago_s=20)
    assert known.now == "healthy"
    known.tell("degraded", ago_s=5)
    assert known.now == "degraded"


def test_a_real_success_counts_as_healthy_at_its_time(known: Known) -> None:
    known.tell("down", ago_s=200)
    known.succeed(ago_s=100)
    verdict = known.verdicts.of(SEAT)
    assert (verdict.verdict, verdict.reason, verdict.at) == (
        "healthy",
        "answered a real request",
        known.time.wall - 100,
    )
    known.time.pass_(501)
    assert known.now == "unknown"


@pytest.mark.parametrize("condition", ["down", "degraded"])
def test_a_probe_does_not_override_a_fresh_success(known: Known, condition: Condition) -> None:
    known.succeed(ago_s=60)
    known.tell(condition)
    assert known.now == "healthy"


@pytest.mark.parametrize("condition", ["down", "degraded"])
def test_a_probe_overrides_a_success_that_is_not_fresh(known: Known, condition: Condition) -> None:
    known.succeed(ago_s=61)
    known.tell(condition)
    assert known.now == condition


def test_an_older_success_that_is_heard_of_late_changes_nothing(known: Known) -> None:
    known.succeed(ago_s=61)
    known.succeed(ago_s=500)
    known.tell("down")
    assert known.now == "down"
    known.succeed(ago_s=90)
    assert known.now == "down"


@pytest.mark.parametrize("step_s", [-86_400.0, 86_400.0])
def test_a_wall_clock_that_is_set_makes_nothing_old_and_blocks_nothing_new(known: Known, step_s: float) -> None:
    known.tell("down")
    known.time.wall += step_s
    assert known.now == "down"
    known.time.pass_(1)
    known.tell("healthy")
    assert known.now == "healthy"


def test_a_word_from_the_future_can_be_replaced(known: Known) -> None:
    known.tell("down", ago_s=-3600)
    known.time.pass_(1)
    known.tell("healthy")
    assert known.now == "healthy"


def test_foreign_words_cannot_fill_the_memory(known: Known) -> None:
    for number in range(20_000):
        known.verdicts.take(Verdict(f"x/{number}", "down", known.time.wall, ""))
        known.verdicts.succeeded(f"y/{number}", known.time.wall)
    kept = [known.verdicts.of(f"{name}/{number}").verdict for name in "xy" for number in range(20_000)]
    assert len(kept) - kept.count("unknown") == 20_000, "ten thousand of each"
    assert kept[19_999] == "down", "the oldest leave first"
