"""Seats that fall silent or slow are avoided after few victims, ordinary jitter raises no doubt, and every seat that
recovers gets its share back."""

from __future__ import annotations

import heapq
import itertools
import math
import random
import re
from collections.abc import Callable, Collection, Mapping
from typing import Literal

import pytest

from router.guards.breaker import Evidence
from router.guards.latency import LatencyTracker
from router.guards.retry_budget import RetryBudget
from tests.support.small_registry import FakeTime

TIMEOUT_S = 10.0
HALF_LIFE_S = 30.0
SILENT = math.inf
Takes = Callable[[float], float]  # when an attempt begins → seconds to its first sign of life


class Fleet:
    """Seats that answer as told, the requests that come to them, and the choice that is made for each."""

    def __init__(self, takes: Mapping[str, Takes], choice: Literal["cost", "rank"] = "cost", seed: int = 0) -> None:
        self.time = FakeTime(monotonic=0.0)
        self.latency = LatencyTracker(self.time.clock)
        self.sent: list[tuple[float, str]] = []
        self.waited: dict[int, float] = {}  # the place in `sent` → seconds to the first sign of life or the end
        self.doubts = 0
        self._takes = takes
        self._choice = choice
        self._rng = random.Random(seed)
        self._retries = RetryBudget(self.time.clock)
        self._under_way: dict[int, int] = {}  # ticket → the place in `sent`
        self._events: list[tuple[float, int, Evidence | Literal["look"]]] = []

    def run(self, for_s: float, rps: float = 20.0) -> None:
        """Sends requests evenly for so long."""
        begin = self.time.monotonic
        for place in range(round(for_s * rps)):
            self._pass_to(begin + place / rps)
            self._retries.request()
            self._send(self._chosen(self._takes))
        self._pass_to(begin + for_s)

    def share(self, seat: str, since: float, until: float = math.inf) -> int:
        """How many requests a seat got in a time."""
        return sum(since <= at < until and to == seat for at, to in self.sent)

    def victims(self, seat: str, since: float, waited_s: float) -> int:
        """How many of those that were sent there since then have waited so long."""
        return sum(
            at >= since and to == seat and self.waited[place] >= waited_s for place, (at, to) in enumerate(self.sent)
        )

    def _chosen(self, among: Collection[str]) -> str:
        sound = [seat for seat in among if self.latency.doubt(seat) is None]
        self.doubts += len(sound) < len(among)
        seats = sound or list(among)
        if self._choice == "rank" or len(seats) == 1:
            return seats[0]
        return min(self._rng.sample(seats, 2), key=self.latency.cost_s)

    def _send(self, seat: str) -> None:
        now = self.time.monotonic
        takes_s = self._takes[seat](now)
        ticket = self.latency.began(seat)
        self._under_way[ticket] = len(self.sent)
        self.sent.append((now, seat))
        ended: Evidence = "ok" if takes_s < TIMEOUT_S else "failure"
        heapq.heappush(self._events, (now + min(takes_s, TIMEOUT_S), ticket, ended))
        heapq.heappush(self._events, (now + self.latency.late_s(ticket), ticket, "look"))

    def _pass_to(self, moment: float) -> None:
        while self._events and self._events[0][0] <= moment:
            at, ticket, event = heapq.heappop(self._events)
            self.time.pass_(at - self.time.monotonic)
            if ticket not in self._under_way:
                continue
            if event != "look":
                self._end(ticket, event)
            elif self.latency.in_vain(ticket) and len(self._takes) > 1 and self._retries.try_again():
                left = self._end(ticket, "nothing")
                self._send(self._chosen(self._takes.keys() - {left}))
            else:
                heapq.heappush(self._events, (at + 0.1, ticket, "look"))
        self.time.pass_(moment - self.time.monotonic)

    def _end(self, ticket: int, outcome: Evidence) -> str:
        place = self._under_way.pop(ticket)
        self.latency.ended(ticket, outcome)
        began, seat = self.sent[place]
        self.waited[place] = self.time.monotonic - began
        return seat


def jittered(median_s: float, sigma: float, seed: int = 0) -> Takes:
    rng = random.Random(seed)
    return lambda _: median_s * math.exp(rng.gauss(0, sigma))


def then(first: Takes, until: float, second: Takes) -> Takes:
    return lambda now: first(now) if now < until else second(now)


def always(takes_s: float) -> Takes:
    return lambda _: takes_s


def fleet_of(seats: int, bad: Takes, good: Takes, choice: Literal["cost", "rank"] = "cost", seed: int = 0) -> Fleet:
    """A fleet in which seat `a` answers as the others for 30 seconds, and badly from then on."""
    takes = {"a": then(good, 30.0, bad), **dict.fromkeys("bcd"[: seats - 1], good)}
    return Fleet(takes, choice, seed)


# --- victims ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seats", [2, 3])
@pytest.mark.parametrize(("median_s", "sigma"), [(0.005, 0.6), (0.03, 0.6), (0.06, 0.6), (0.1, 0.0)])
def test_a_seat_that_falls_silent_costs_at_most_three_requests(seats: int, median_s: float, sigma: float) -> None:
    victims = []
    for seed in range(10):
        fleet = fleet_of(seats, always(SILENT), jittered(median_s, sigma, seed), seed=seed)
        fleet.run(40)
        victims.append(fleet.share("a", 30))
    assert 1 <= max(victims) <= 3


@pytest.mark.parametrize("seats", [2, 3])
@pytest.mark.parametrize(("median_s", "sigma"), [(0.005, 0.6), (0.03, 0.6), (0.06, 0.6), (0.1, 0.0)])
def test_a_seat_that_gets_25_times_slower_costs_at_most_five(seats: int, median_s: float, sigma: float) -> None:
    victims = []
    for seed in range(10):
        good, bad = jittered(median_s, sigma, seed), jittered(25 * median_s, sigma, seed + 100)
        fleet = fleet_of(seats, bad, good, seed=seed)
        fleet.run(40)
        victims.append(fleet.share("a", 30))
    assert 1 <= max(victims) <= 5


@pytest.mark.parametrize(("bad_s", "most"), [(SILENT, 3), (0.75, 5)])
def test_a_rank_does_not_protect_a_quick_seat_that_fails(bad_s: float, most: int) -> None:
    fleet = fleet_of(2, always(bad_s), always(0.03), "rank")
    fleet.run(40)
    assert fleet.share("a", 0, 30) == 600
    assert 1 <= fleet.share("a", 30) <= most


@pytest.mark.parametrize("choice", ["cost", "rank"])
@pytest.mark.parametrize("sigma", [0.0, 0.3, 0.6])
@pytest.mark.parametrize(("slower", "most"), [(SILENT, 3), (25.0, 5)])
def test_few_wait_to_the_end_where_many_were_sent_before_it_could_be_known(
    choice: Literal["cost", "rank"], sigma: float, slower: float, most: int
) -> None:
    victims, sent = [], []
    for seed in range(5):
        good, bad = jittered(0.4, sigma, seed), jittered(slower * 0.4, sigma, seed + 100)
        fleet = fleet_of(2, always(SILENT) if slower == SILENT else bad, good, choice, seed)
        fleet.run(60)
        victims.append(fleet.victims("a", 30, 6.0))
        sent.append(fleet.share("a", 30))
    assert max(sent) > 3
    assert 1 <= max(victims) <= most


@pytest.mark.parametrize("median_s", [0.7, 1.0])
def test_the_longer_a_seat_takes_as_a_rule_the_more_its_equals_take_over(median_s: float) -> None:
    fleet = fleet_of(2, always(SILENT), jittered(median_s, 0.6))
    fleet.run(60)
    assert 1 <= fleet.victims("a", 30, TIMEOUT_S) <= 3


def test_a_seat_that_takes_long_as_a_rule_costs_little_more_than_nobody_can_know() -> None:
    """Four of its usual 0.4 seconds' share of the load cannot be told from those that are still to be answered."""
    fleet = fleet_of(2, always(SILENT), always(0.4))
    fleet.run(40)
    assert fleet.share("a", 30) <= 4 + 2


@pytest.mark.parametrize("choice", ["cost", "rank"])
@pytest.mark.parametrize("bad_s", [SILENT, 1.0])
def test_a_doubted_seat_has_at_most_one_victim_in_a_half_life(choice: Literal["cost", "rank"], bad_s: float) -> None:
    fleet = fleet_of(2, always(bad_s), always(0.04), choice)
    fleet.run(40 + 300)
    tries = [at for at, seat in fleet.sent if seat == "a" and at >= 40]
    assert 1 <= len(tries) <= 300 / HALF_LIFE_S
    assert all(later - earlier >= HALF_LIFE_S for earlier, later in itertools.pairwise(tries))


@pytest.mark.parametrize("choice", ["cost", "rank"])
@pytest.mark.parametrize("bad_s", [SILENT, 1.0])
def test_a_seat_that_is_well_again_gets_its_place_back(choice: Literal["cost", "rank"], bad_s: float) -> None:
    good = jittered(0.04, 0.3)
    fleet = fleet_of(2, then(always(bad_s), 60.0, good), good, choice)
    fleet.run(60 + 8 * HALF_LIFE_S)
    since = fleet.time.monotonic - 10
    assert fleet.share("a", since) >= (200 if choice == "rank" else 60)


def test_a_rank_is_back_with_the_first_try_that_is_answered_in_time() -> None:
    fleet = fleet_of(2, then(always(SILENT), 60.0, always(0.04)), always(0.04), "rank")
    fleet.run(110)
    tried = min(at for at, seat in fleet.sent if seat == "a" and at >= 60)
    assert tried <= 60 + HALF_LIFE_S + TIMEOUT_S
    assert fleet.share("b", tried + 0.05) == 0


# --- nerves ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rps", [0.5, 2.0, 20.0])
@pytest.mark.parametrize("median_s", [0.04, 0.4, 4.0])
def test_ordinary_jitter_makes_nobody_doubtful(median_s: float, rps: float) -> None:
    fleet = Fleet({"a": jittered(median_s, 0.6, seed=7)})
    fleet.run(2000 / rps, rps)
    assert fleet.doubts < 0.01 * len(fleet.sent)


def test_long_answers_among_many_short_ones_are_no_silence() -> None:
    numbers = itertools.count()
    fleet = Fleet({"a": lambda _: 9.0 if next(numbers) % 50 == 49 else 0.4})
    fleet.run(100)
    assert fleet.doubts < 0.01 * len(fleet.sent)


@pytest.mark.parametrize("attempts", [1, 4])
def test_without_history_nobody_is_doubtful(attempts: int) -> None:
    time = FakeTime()
    latency = LatencyTracker(time.clock)
    assert (latency.doubt("a"), latency.cost_s("a")) == (None, 0.0)
    for _ in range(attempts):
        ticket = latency.began("a")
        time.pass_(60)
        assert latency.doubt("a") is None
        latency.ended(ticket, "ok")


# --- one seat, watched -----------------------------------------------------------------------------------------------


class Watched:
    """A latency, the time it lives in, and a seat whose history is made step by step."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.latency = LatencyTracker(self.time.clock)

    def attempt(self, takes_s: float, outcome: Evidence = "ok", *, streamed: bool = False) -> None:
        ticket = self.latency.began("a", streamed=streamed)
        self.time.pass_(takes_s)
        if streamed:
            self.latency.first_token(ticket)
            self.time.pass_(5)
        self.latency.ended(ticket, outcome)

    def attempts(self, times: int, takes_s: float, outcome: Evidence = "ok", *, streamed: bool = False) -> None:
        for _ in range(times):
            self.attempt(takes_s, outcome, streamed=streamed)

    def doubt(self) -> str | None:
        return self.latency.doubt("a")

    def cost(self, *, streamed: bool = False) -> float:
        return self.latency.cost_s("a", streamed=streamed)


@pytest.fixture
def seat() -> Watched:
    return Watched()


def test_the_cost_is_the_usual_time_and_grows_with_those_who_wait(seat: Watched) -> None:
    seat.attempts(10, 0.4)
    assert seat.cost() == pytest.approx(0.4)
    tickets = [seat.latency.began("a") for _ in range(3)]
    assert seat.cost() == pytest.approx(0.4 * 4)
    seat.time.pass_(1)
    assert seat.cost() == pytest.approx(1.0 * 4)
    seat.latency.first_token(tickets[0])
    assert seat.cost() == pytest.approx(1.0 * 3)
    for ticket in tickets[1:]:
        seat.latency.ended(ticket, "nothing")
    seat.latency.ended(tickets[0], "ok")
    assert 0.4 < seat.cost() < 1.0


def test_a_new_seat_is_tried_at_once_and_by_one_request_first(seat: Watched) -> None:
    assert seat.cost() == 0
    seat.latency.began("a")
    assert seat.cost() == 2.0


def test_errors_make_a_seat_dearer_and_never_quicker(seat: Watched) -> None:
    seat.attempts(10, 0.4)
    seat.attempts(20, 0.001, "failure")
    assert seat.cost() == pytest.approx(0.4 * 2, rel=0.01)
    seat.attempts(20, 0.4)
    assert seat.cost() == pytest.approx(0.4, rel=0.01)


def test_a_seat_that_has_only_failed_is_no_bargain(seat: Watched) -> None:
    seat.attempt(0.001, "failure")
    assert seat.cost() > 1.0


def test_what_says_nothing_changes_no_estimate(seat: Watched) -> None:
    seat.attempts(10, 0.4)
    seat.attempts(50, 0.001, "nothing")
    seat.attempts(50, 0.5, "nothing")
    assert seat.doubt() is None
    seat.attempt(0.4)
    assert seat.cost() == pytest.approx(0.4)


def test_estimates_fade_without_traffic(seat: Watched) -> None:
    seat.attempts(10, 0.4)
    seat.time.pass_(HALF_LIFE_S)
    assert seat.cost() == pytest.approx(0.2)
    ticket = seat.latency.began("a")
    assert seat.cost() == pytest.approx(0.8)  # tried again, it counts in full until it has answered
    seat.time.pass_(0.1)
    seat.latency.ended(ticket, "ok")
    assert 0.1 < seat.cost() < 0.25  # and what was long ago weighs little


def test_streams_and_whole_answers_do_not_make_each_other_look_late(seat: Watched) -> None:
    for _ in range(50):
        seat.attempt(0.3, streamed=True)
        ticket = seat.latency.began("a")
        for _ in range(6):
            seat.time.pass_(1)
            assert seat.doubt() is None
        seat.latency.ended(ticket, "ok")
    assert 0.2 < seat.cost(streamed=True) < 0.4 < 5 < seat.cost() < 7


def test_whoever_is_late_leaves_a_silent_seat_but_the_two_oldest(seat: Watched) -> None:
    seat.attempts(10, 0.4)
    tickets = []
    for _ in range(5):
        tickets.append(seat.latency.began("a"))
        seat.time.pass_(0.1)
    assert seat.latency.late_s(tickets[0]) == pytest.approx(1.2)
    seat.time.pass_(0.85)
    assert [seat.latency.in_vain(ticket) for ticket in tickets] == [False, False, False, False, False]
    seat.time.pass_(0.1)
    assert [seat.latency.in_vain(ticket) for ticket in tickets] == [False, False, True, False, False]
    seat.time.pass_(0.2)
    assert [seat.latency.in_vain(ticket) for ticket in tickets] == [False, False, True, True, True]
    seat.latency.ended(tickets[0], "failure")
    assert [seat.latency.in_vain(ticket) for ticket in tickets[1:]] == [False, False, True, True]


def test_nobody_leaves_a_seat_that_answers_others(seat: Watched) -> None:
    seat.attempts(10, 0.4)
    stuck = [seat.latency.began("a") for _ in range(5)]
    for _ in range(20):
        seat.attempt(0.4)
        assert not any(seat.latency.in_vain(ticket) for ticket in stuck)
    seat.time.pass_(1.5)  # by now it is silent, but what these wait for are long answers
    assert not any(seat.latency.in_vain(ticket) for ticket in stuck)


def test_a_seat_that_answers_all_too_late_is_left_though_it_is_heard(seat: Watched) -> None:
    seat.attempts(100, 0.4)
    tickets = [seat.latency.began("a") for _ in range(6)]
    for ticket, after_s in zip(tickets, (1.3, 1.0), strict=False):
        seat.time.pass_(after_s)
        seat.latency.ended(ticket, "ok")
    assert seat.doubt() == "no request is answered in time"
    assert [seat.latency.in_vain(ticket) for ticket in tickets[2:]] == [False, False, True, True]


def test_nobody_leaves_before_anything_is_usual_or_after_a_first_token(seat: Watched) -> None:
    seat.attempts(4, 0.4, streamed=True)
    early = [seat.latency.began("a", streamed=True) for _ in range(5)]
    seat.time.pass_(60)
    assert {seat.latency.late_s(ticket) for ticket in early} == {math.inf}
    assert not any(seat.latency.in_vain(ticket) for ticket in early)
    for ticket in early:
        seat.latency.first_token(ticket)
    seat.time.pass_(60)
    assert not any(seat.latency.in_vain(ticket) for ticket in early)


@pytest.mark.parametrize(("then_s", "doubt"), [(0.1, None), (3.0, "was silent for 4.2 s")])
def test_who_leaves_says_nothing_that_those_who_stay_do_not_know_better(
    seat: Watched, then_s: float, doubt: str | None
) -> None:
    seat.attempts(10, 0.4)
    stay = [seat.latency.began("a"), seat.latency.began("a")]
    leave = [seat.latency.began("a"), seat.latency.began("a")]
    seat.time.pass_(1.2)
    for ticket in leave:
        assert seat.latency.in_vain(ticket)
        seat.latency.ended(ticket, "nothing")
    assert seat.doubt() == "silent for 1.2 s"
    seat.time.pass_(then_s)
    for ticket in stay:
        seat.latency.ended(ticket, "failure" if doubt else "ok")
    assert seat.doubt() == doubt


def test_a_silence_is_told_with_its_length_and_forgiven_when_it_ends_soon(seat: Watched) -> None:
    seat.attempts(10, 0.4)
    ticket = seat.latency.began("a")
    seat.time.pass_(1.0)
    assert seat.doubt() is None
    seat.time.pass_(0.5)
    assert seat.doubt() == "silent for 1.5 s"
    seat.latency.ended(ticket, "ok")
    assert seat.doubt() is None


def test_nobody_is_silent_whom_others_hear(seat: Watched) -> None:
    seat.attempts(10, 0.4)
    seat.latency.began("a")
    for _ in range(20):
        seat.attempt(0.4)
        assert seat.doubt() is None
    seat.time.pass_(1.5)
    assert seat.doubt() == "silent for 1.5 s"


@pytest.mark.parametrize("outcome", ["failure", "nothing"])
def test_a_silence_that_nobody_outlasted_stays_a_doubt(seat: Watched, outcome: Evidence) -> None:
    seat.attempts(10, 0.4)
    seat.attempt(3.2, outcome)
    assert seat.doubt() == "was silent for 3.2 s"
    seat.time.pass_(HALF_LIFE_S)
    assert seat.doubt() is None
    ticket = seat.latency.began("a")
    assert seat.doubt() == "a trial request is under way"
    seat.time.pass_(0.4)
    seat.latency.ended(ticket, "ok")
    assert seat.doubt() is None


def test_slower_answers_are_told_and_become_usual_only_after_long(seat: Watched) -> None:
    seat.attempts(300, 0.4)
    seat.attempts(12, 10.0)
    assert re.fullmatch(r"2\d times slower than usual", seat.doubt() or "")
    seat.attempts(3600, 10.0)
    assert seat.doubt() is None


def test_a_seat_that_leaves_every_second_attempt_hanging_is_slower_though_never_silent(seat: Watched) -> None:
    seat.attempts(10, 0.4)
    for _ in range(4):
        hung = seat.latency.began("a")
        seat.time.pass_(9.6)
        seat.attempt(0.4)
        seat.latency.ended(hung, "failure")
    assert re.fullmatch(r"\d+ times slower than usual", seat.doubt() or "")


def test_a_try_that_is_answered_late_does_not_lift_a_doubt(seat: Watched) -> None:
    seat.attempts(10, 0.4)
    seat.attempt(3.2, "nothing")
    seat.time.pass_(HALF_LIFE_S)
    seat.attempt(2.0)
    assert seat.doubt() == "was silent for 3.2 s"


def test_a_try_that_is_refused_at_once_does_not_lift_a_doubt(seat: Watched) -> None:
    seat.attempts(10, 0.4)
    seat.attempt(10, "failure")
    seat.time.pass_(HALF_LIFE_S)
    seat.attempt(0.001, "failure")
    assert seat.doubt() == "was silent for 10.0 s"


def test_nothing_is_kept_of_seats_that_have_gone(seat: Watched) -> None:
    seat.attempts(10, 0.4)
    streaming, waiting = seat.latency.began("a", streamed=True), seat.latency.began("a")
    seat.latency.keep_only({"b"})
    assert seat.cost() == 0
    seat.time.pass_(10)
    seat.latency.first_token(streaming)
    seat.latency.ended(streaming, "ok")
    seat.latency.ended(waiting, "failure")
    assert (seat.cost(), seat.doubt()) == (0, None)
    seat.attempt(0.4)
    seat.latency.keep_only({"a"})
    assert seat.cost() == pytest.approx(0.4)
