"""When a seat counts as broken, who may try it again, and what must never make it so."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from statistics import mean
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from router.core.block import Block
from router.core.events import StateChange
from router.core.registry import Breaker as Thresholds
from router.core.registry import Registry, Seat
from router.guards.breaker import BreakerPermit, Breakers, Evidence
from tests.support.small_registry import REGISTRY, FakeTime, registry

HOME = registry()
SEAT, NEIGHBOUR = HOME.seats["alpha/small"], HOME.seats["alpha/fresh"]
TOTAL_S = SEAT.timeouts.total_s
DAY = 86400.0
STEADY = random.Random()
STEADY.uniform = lambda a, b: (a + b) / 2  # type: ignore[method-assign]  # open times without jitter


class Bench:
    """Breakers, the time they live in, and what they told."""

    def __init__(self, rng: random.Random = STEADY) -> None:
        self.time = FakeTime()
        self.told: list[StateChange] = []
        self.breakers = Breakers(self.time.clock, self._hear, rng)

    def _hear(self, event: object) -> None:
        assert isinstance(event, StateChange)
        self.told.append(event)

    def admit(self, seat: Seat = SEAT) -> BreakerPermit:
        permit = self.breakers.admit(seat)
        assert isinstance(permit, BreakerPermit), permit
        return permit

    def call(self, outcome: Evidence, seat: Seat = SEAT) -> None:
        self.breakers.settle(self.admit(seat), outcome)

    def calls(self, outcomes: Iterable[Evidence], seat: Seat = SEAT) -> int:
        """Makes calls until the seat is refused; how many there were."""
        made = 0
        for outcome in outcomes:
            if self.breakers.block(seat):
                break
            self.call(outcome, seat)
            made += 1
        return made

    def break_(self, seat: Seat = SEAT) -> None:
        """Fails until the breaker opens."""
        self.calls(["failure"] * 100, seat)
        assert self.breakers.state(seat.id) == "open"

    def rest_s(self, seat: Seat = SEAT) -> float:
        return self.breakers.open_until()[seat.id] - self.time.wall

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(change.subject, change.state) for change in self.told]


@dataclass
class Flaky:
    """A seat of which so large a `share` of calls fails, at random, once it has given so many answers."""

    seed: int
    share: float
    seat: Seat = SEAT
    answers_first: int = 0
    every_s: float = 0.05

    def until_it_rests(self, most: int = 20_000) -> tuple[int, int]:
        """How many calls were made since, and how many of them failed."""
        bench, rng = Bench(), random.Random(self.seed)
        calls = failures = 0
        for _ in range(self.answers_first):
            self._call(bench, "ok")
        while calls < most and not bench.breakers.block(self.seat):
            failed = rng.random() < self.share
            self._call(bench, "failure" if failed else "ok")
            calls, failures = calls + 1, failures + failed
        return calls, failures

    def _call(self, bench: Bench, outcome: Evidence) -> None:
        bench.call(outcome, self.seat)
        bench.time.pass_(self.every_s)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def with_thresholds(thresholds: Thresholds, seat: Seat = SEAT) -> Seat:
    return replace(seat, provider=replace(seat.provider, breaker=thresholds))


# --- what opens it ---------------------------------------------------------------------------------------------------


def test_five_failures_in_a_row_open_it_and_say_so(bench: Bench) -> None:
    assert bench.calls(["failure"] * 9) == 5
    until = bench.time.wall + 10
    assert bench.breakers.block(SEAT) == Block("failing", "5 consecutive failures", until)
    assert bench.breakers.admit(SEAT) == bench.breakers.block(SEAT)
    assert bench.told == [StateChange(SEAT.id, "failing", "5 consecutive failures", until, by="breaker")]
    assert bench.breakers.open_until() == {SEAT.id: until}
    assert bench.breakers.opened_at(SEAT.id) == bench.time.monotonic
    assert bench.breakers.block(NEIGHBOUR) is None


def test_an_answer_makes_the_row_begin_again(bench: Bench) -> None:
    four: list[Evidence] = ["failure"] * 4
    assert bench.calls([*four, "ok", *four]) == 9
    assert bench.breakers.state(SEAT.id) == "closed"


@pytest.mark.parametrize(
    "pattern",
    [("ok", "failure"), ("failure", "ok"), ("failure", "failure", "ok"), ("ok", "failure", "failure")],
    ids="-".join,
)
def test_half_of_the_calls_failing_opens_it_without_any_row(bench: Bench, pattern: tuple[Evidence, ...]) -> None:
    assert bench.calls(pattern * 100) in (20, 21)
    assert re.fullmatch(r"1\d of the last 2[01] calls failed", bench.told[0].reason)


@pytest.mark.parametrize(
    "pattern", [("ok", "failure"), ("failure", "ok", "failure", "ok", "ok", "failure")], ids="-".join
)
def test_a_good_past_does_not_save_a_seat_that_begins_to_fail(bench: Bench, pattern: tuple[Evidence, ...]) -> None:
    bench.calls(["ok"] * 5000)
    assert bench.calls(pattern * 100) <= 80
    assert bench.told[0].reason == "36 of the last 100 calls failed"


@pytest.mark.parametrize(("every_s", "answers_first"), [(0.05, 0), (0.05, 100), (1.0, 0)])
def test_half_of_the_calls_failing_at_random_opens_it_within_forty_of_them(every_s: float, answers_first: int) -> None:
    flaky = (Flaky(seed, 0.5, answers_first=answers_first, every_s=every_s) for seed in range(2000))
    failures = [one.until_it_rests()[1] for one in flaky]
    assert sum(number > 40 for number in failures) < 0.001 * len(failures)


def test_a_quarter_of_the_calls_failing_at_random_seldom_opens_it() -> None:
    by_rate_alone = with_thresholds(Thresholds(failures=1000))
    assert mean(Flaky(seed, 0.25).until_it_rests()[0] for seed in range(60)) > 600
    assert mean(Flaky(seed, 0.25, by_rate_alone).until_it_rests()[0] for seed in range(40)) > 1200
    assert mean(Flaky(seed, 0.1, by_rate_alone).until_it_rests()[0] for seed in range(4)) == 20_000


def test_a_rate_of_one_leaves_nothing_to_chance() -> None:
    every_call = with_thresholds(Thresholds(failures=1000, failure_rate=1.0))
    assert Flaky(1, 1.0, every_call).until_it_rests() == (20, 20)
    assert Flaky(1, 0.95, every_call, answers_first=1).until_it_rests(1000)[0] == 1000


def test_less_than_the_rate_never_opens_it(bench: Bench) -> None:
    assert bench.calls(["failure", "ok", "ok"] * 400) == 1200


def test_failures_are_forgotten_after_a_minute(bench: Bench) -> None:
    for _ in range(40):
        bench.calls(["failure", "ok"])
        bench.time.pass_(7)  # 18 calls a minute are fewer than the rate is measured on
    assert bench.breakers.state(SEAT.id) == "closed"


@pytest.mark.parametrize("before", [0, 4])
def test_what_says_nothing_of_the_seat_neither_opens_it_nor_clears_the_row(bench: Bench, before: int) -> None:
    bench.calls(["failure"] * before)
    waiting = [bench.admit() for _ in range(1000)]  # all at once, as cancelled requests come
    for permit in waiting:
        bench.breakers.settle(permit, "nothing")
    assert bench.calls(["nothing"] * 1000) == 1000
    assert bench.calls(["failure"] * 9) == 5 - before


def test_the_thresholds_are_the_provider_s_own(bench: Bench) -> None:
    seat = with_thresholds(Thresholds(failures=2, open_s=3.0))
    assert bench.calls(["failure"] * 9, seat) == 2
    assert bench.rest_s() == pytest.approx(3)


# --- the way back ----------------------------------------------------------------------------------------------------


def test_of_500_callers_exactly_one_tries_it_after_the_rest(bench: Bench) -> None:
    bench.break_()
    bench.time.pass_(9.9)
    assert isinstance(bench.breakers.admit(SEAT), Block)
    bench.time.pass_(0.2)
    assert (bench.breakers.block(SEAT), bench.breakers.state(SEAT.id)) == (None, "half-open")
    answers = [bench.breakers.admit(SEAT) for _ in range(500)]
    assert sum(isinstance(answer, BreakerPermit) for answer in answers) == 1
    block = bench.breakers.block(SEAT)
    assert block is not None
    assert block.reason == "half-open: a trial request is under way"
    assert block.until == pytest.approx(bench.time.wall + 1)


def test_an_answer_closes_it_and_all_is_forgotten(bench: Bench) -> None:
    bench.break_()
    bench.time.pass_(10)
    bench.call("ok")
    assert (bench.breakers.state(SEAT.id), bench.breakers.open_until()) == ("closed", {})
    assert bench.states == [(SEAT.id, "failing"), (SEAT.id, "clear")]
    assert bench.calls(["failure"] * 9) == 5
    assert bench.rest_s() == pytest.approx(10)


def test_after_it_has_closed_the_failures_before_are_not_held_against_it(bench: Bench) -> None:
    bench.calls(["ok", "failure"] * 20)
    bench.time.pass_(10)
    bench.call("ok")
    assert bench.calls(["failure"] * 9) == 5


def test_every_failed_try_doubles_the_rest_up_to_the_cap(bench: Bench) -> None:
    bench.break_()
    rests_s = []
    for _ in range(7):
        assert bench.breakers.opened_at(SEAT.id) == bench.time.monotonic
        rests_s.append(bench.rest_s())
        bench.time.pass_(bench.rest_s())
        bench.call("failure")
    assert rests_s == pytest.approx([10, 20, 40, 80, 120, 120, 120])
    assert {change.state for change in bench.told} == {"failing"}
    assert bench.told[-1].reason == "the trial request failed"


def test_rests_are_jittered_by_a_tenth_and_never_longer_than_the_cap() -> None:
    firsts_s, longest_s = [], []
    for seed in range(50):
        bench = Bench(random.Random(seed))
        bench.break_()
        firsts_s.append(bench.rest_s())
        for _ in range(6):
            bench.time.pass_(bench.rest_s() + 0.001)
            bench.call("failure")
        longest_s.append(bench.rest_s())
    assert 9 <= min(firsts_s) < 9.5 < 10.5 < max(firsts_s) <= 11
    assert 108 <= min(longest_s) < max(longest_s) <= 120.000001


def test_a_try_that_says_nothing_leaves_the_next_one_to_the_next_caller(bench: Bench) -> None:
    bench.break_()
    bench.time.pass_(10)
    for _ in range(3):
        bench.call("nothing")
        assert bench.breakers.state(SEAT.id) == "half-open"
    bench.call("ok")
    assert bench.breakers.state(SEAT.id) == "closed"


def test_a_try_that_hangs_gives_its_place_away_and_is_not_listened_to_any_more(bench: Bench) -> None:
    bench.break_()
    bench.time.pass_(10)
    hung = bench.admit()
    bench.time.pass_(TOTAL_S)
    assert isinstance(bench.breakers.admit(SEAT), Block)
    bench.time.pass_(10)
    second = bench.admit()
    outcomes: tuple[Evidence, ...] = ("nothing", "ok", "failure")
    for outcome in outcomes:
        bench.breakers.settle(hung, outcome)
        assert bench.breakers.state(SEAT.id) == "half-open"
        assert isinstance(bench.breakers.admit(SEAT), Block)
    bench.breakers.settle(second, "ok")
    assert bench.breakers.state(SEAT.id) == "closed"


def test_outcomes_from_before_neither_lengthen_a_rest_nor_end_it_nor_count_after_it(bench: Bench) -> None:
    late = [bench.admit() for _ in range(30)]
    bench.break_()
    bench.time.pass_(4)
    for permit in late[:10]:
        bench.breakers.settle(permit, "failure")
        bench.breakers.settle(permit, "ok")
    assert bench.rest_s() == pytest.approx(6)
    bench.time.pass_(6)
    trial = bench.admit()
    for permit in late[10:20]:
        bench.breakers.settle(permit, "ok")
    assert bench.breakers.state(SEAT.id) == "half-open"
    bench.breakers.settle(trial, "ok")
    for permit in late[20:]:
        bench.breakers.settle(permit, "failure")
    assert bench.breakers.state(SEAT.id) == "closed"


def test_a_passing_probe_brings_the_next_try_forward_and_closes_nothing(bench: Bench) -> None:
    bench.break_()
    bench.time.pass_(1)
    for _ in range(3):
        bench.breakers.bring_forward(SEAT.id, "a probe was answered")
    assert bench.breakers.state(SEAT.id) == "half-open"
    assert bench.told[1:] == [StateChange(SEAT.id, "failing", "a probe was answered", bench.time.wall, by="breaker")]
    bench.call("failure")
    assert bench.rest_s() == pytest.approx(20)


def test_a_probe_changes_nothing_where_nothing_is_broken(bench: Bench) -> None:
    bench.breakers.bring_forward("nobody/knows", "a probe was answered")
    bench.call("failure")
    bench.breakers.bring_forward(SEAT.id, "a probe was answered")
    assert bench.calls(["failure"] * 9) == 4
    assert len(bench.told) == 1


@pytest.mark.parametrize("jump_s", [-DAY, 3600, DAY])
def test_a_wall_clock_that_jumps_neither_shortens_nor_lengthens_a_rest(bench: Bench, jump_s: float) -> None:
    bench.break_()
    bench.time.wall += jump_s
    assert bench.rest_s() == pytest.approx(10)
    bench.time.monotonic += 9.9
    assert isinstance(bench.breakers.admit(SEAT), Block)
    bench.time.monotonic += 0.2
    bench.call("ok")
    assert bench.breakers.state(SEAT.id) == "closed"


# --- a new registry --------------------------------------------------------------------------------------------------


def edited(old: str, new: str) -> Registry:
    assert REGISTRY.count(old) == 1
    return registry(REGISTRY.replace(old, new))


def moved() -> Registry:
    return edited("  alpha:\n", "  alpha:\n    base_url: https://elsewhere.example/v1\n")


def rekeyed() -> Registry:
    provider = replace(HOME.providers["alpha"], api_key=None)
    seats = {id: replace(seat, provider=provider) for id, seat in HOME.seats.items() if seat.provider.id == "alpha"}
    return replace(HOME, providers={**HOME.providers, "alpha": provider}, seats={**HOME.seats, **seats})


def test_an_edit_survives_and_its_thresholds_apply(bench: Bench) -> None:
    bench.calls(["failure"] * 3)
    bench.break_(NEIGHBOUR)
    new = edited("  alpha:\n", "  alpha:\n    breaker: {failures: 4, open: 1s, max_open: 2s}\n")
    bench.breakers.reconcile(HOME, new)
    assert bench.rest_s(NEIGHBOUR) == pytest.approx(2)
    assert bench.calls(["failure"] * 9, new.seats[SEAT.id]) == 1
    assert bench.rest_s() == pytest.approx(1)


def test_an_edit_of_the_number_of_calls_applies_to_those_that_were_counted(bench: Bench) -> None:
    bench.calls(["ok"] * 80)
    bench.calls(["failure", "ok"] * 9)
    new = edited("  alpha:\n", "  alpha:\n    breaker: {min_calls: 4}\n")
    bench.breakers.reconcile(HOME, new)
    assert bench.calls(["failure"] * 4, new.seats[SEAT.id]) == 1
    assert bench.told[0].reason == "10 of the last 20 calls failed"


@pytest.mark.parametrize("change", [moved, rekeyed])
def test_a_seat_that_is_another_one_now_begins_anew(bench: Bench, change: Callable[[], Registry]) -> None:
    new = change()
    before = bench.admit()
    bench.break_()
    bench.break_(HOME.seats["beta/small"])
    bench.breakers.reconcile(HOME, new)
    assert set(bench.breakers.open_until()) == {"beta/small"}
    assert bench.told[-1] == StateChange(SEAT.id, "clear", "the registry changed", by="breaker")
    seat = new.seats[SEAT.id]
    bench.calls(["failure"] * 4, seat)
    bench.breakers.settle(before, "failure")
    for _ in range(9):
        bench.call("failure", SEAT)  # requests that began before the reload still ask the old place
    assert bench.breakers.block(seat) is None
    assert bench.calls(["failure"] * 9, seat) == 1
    assert bench.breakers.block(SEAT) is None


def test_nothing_is_kept_of_what_has_gone(bench: Bench) -> None:
    bench.break_()
    without = replace(HOME, seats={id: seat for id, seat in HOME.seats.items() if id != SEAT.id})
    bench.breakers.reconcile(HOME, without)
    bench.call("failure")
    assert bench.states == [(SEAT.id, "failing"), (SEAT.id, "clear")]
    bench.breakers.reconcile(without, HOME)
    assert bench.calls(["failure"] * 9) == 5


# --- whatever happens ------------------------------------------------------------------------------------------------

OUTCOMES: list[Evidence] = ["ok", "failure", "failure", "nothing"]
Step = Literal["admit", "probe"] | tuple[Evidence, int] | float
STEPS: some.SearchStrategy[Step] = some.one_of(
    some.sampled_from(["admit", "admit", "probe"]),
    some.tuples(some.sampled_from(OUTCOMES), some.integers(0, 50)),
    some.floats(0, 90),
)


class Story(Bench):
    """A bench on which any step is followed by the questions that must have the same answer always."""

    def __init__(self, seed: int) -> None:
        super().__init__(random.Random(seed))
        self.seat = with_thresholds(Thresholds(failures=2, min_calls=4))
        self.out: list[BreakerPermit] = []
        self.trial: tuple[BreakerPermit, float] | None = None  # the half-open try that is out, and since when

    def take(self, step: Step) -> None:
        match step:
            case "admit":
                self.ask()
            case "probe":
                self.breakers.bring_forward(self.seat.id, "a probe was answered")
            case (outcome, place):
                if self.out:
                    self.settle(self.out.pop(place % len(self.out)), outcome)
            case seconds:
                self.time.pass_(seconds)

    def ask(self) -> None:
        state, rests_until = self.breakers.state(self.seat.id), self.breakers.open_until().get(self.seat.id, 0.0)
        peeked, answer = self.breakers.block(self.seat), self.breakers.admit(self.seat)
        assert peeked == (answer if isinstance(answer, Block) else None)
        if isinstance(answer, Block):
            assert answer.until is not None
            assert self.time.wall < answer.until <= self.time.wall + 120.001
            return
        self.out.append(answer)
        assert state != "open"
        assert self.time.wall >= rests_until - 0.001
        if state == "half-open":
            assert self.trial is None or self.time.monotonic - self.trial[1] > TOTAL_S
            self.trial = answer, self.time.monotonic

    def settle(self, permit: BreakerPermit, outcome: Evidence) -> None:
        state, open_until = self.breakers.state(self.seat.id), self.breakers.open_until()
        self.breakers.settle(permit, outcome)
        if state == "open":
            assert (self.breakers.state(self.seat.id), self.breakers.open_until()) == (state, open_until)
        if self.trial and permit is self.trial[0]:
            self.trial = None


@settings(max_examples=200, deadline=None)
@given(some.lists(STEPS, max_size=120), some.integers())
def test_one_try_at_a_time_and_none_before_its_time(steps: list[Step], seed: int) -> None:
    story = Story(seed)
    for step in steps:
        story.take(step)
