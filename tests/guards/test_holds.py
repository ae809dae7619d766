"""Which hold each kind of failure places on a seat, for how long, and which events tell about it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from adapters.errors import POLICY, ErrorKind, ProviderError, Scope
from router.core.block import Block
from router.core.events import HoldChanged, StateChange
from router.core.registry import Limit, Registry, Seat
from router.guards.holds import Holds
from router.guards.limits.windows import next_reset
from tests.support.small_registry import REGISTRY, FakeTime, registry

HOME = registry()
SEAT, NEIGHBOUR, STRANGER = (HOME.seats[id] for id in ("alpha/small", "alpha/fresh", "beta/small"))
NOON = dt.datetime(2026, 3, 10, 12, 0, tzinfo=dt.UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0
WAITS = {ErrorKind.RATE_LIMITED: 15.0, ErrorKind.QUOTA_EXHAUSTED: 12 * HOUR, ErrorKind.BILLING: HOUR}


class Sky:
    """Holds, the time they live in, and what they published."""

    def __init__(self) -> None:
        self.time = FakeTime(wall=NOON)
        self.told: list[StateChange] = []
        self.shared: list[HoldChanged] = []
        self.holds = Holds(self.time.clock, self._hear)

    def _hear(self, event: object) -> None:
        if isinstance(event, StateChange):
            self.told.append(event)
        else:
            assert isinstance(event, HoldChanged)
            self.shared.append(event)

    def fail(
        self, kind: ErrorKind, after_s: float | None = None, *, seat: Seat = SEAT, scope: Scope | None = None
    ) -> None:
        self.holds.learn(seat, ProviderError(kind, f"{kind} it was", retry_after_s=after_s, scope=scope))

    def blocked_s(self, seat: Seat = SEAT) -> float | None:
        """For how long the seat is blocked; None if it is free."""
        block = self.holds.block(seat)
        return None if block is None else float("inf") if block.until is None else block.until - self.time.wall

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(change.subject, change.state) for change in self.told]


@pytest.fixture
def sky() -> Sky:
    return Sky()


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_kind_does_what_the_policy_says(sky: Sky, kind: ErrorKind) -> None:
    sky.fail(kind)
    state = POLICY[kind].state
    assert (
        sky.blocked_s()
        == {
            None: None,
            "cooldown": WAITS.get(kind),
            "deselected": WAITS.get(kind),
            "model_disabled": float("inf"),
            "provider_disabled": float("inf"),
        }[state]
    )
    assert (sky.blocked_s(NEIGHBOUR) is not None) == (state == "provider_disabled")
    assert sky.blocked_s(STRANGER) is None
    assert [change.loud for change in sky.told] == ([POLICY[kind].loud] if sky.blocked_s() else [])
    block = sky.holds.block(SEAT)
    assert block is None or (block.kind, block.reason) == (kind, f"{kind} it was")


@pytest.mark.parametrize(
    ("kind", "told_s", "expected_s"),
    [
        (ErrorKind.RATE_LIMITED, 7.0, 7.0),
        (ErrorKind.RATE_LIMITED, 0.0, None),
        (ErrorKind.RATE_LIMITED, 2 * DAY, HOUR),
        (ErrorKind.SERVER_ERROR, 20.0, 20.0),
        (ErrorKind.OVERLOADED, 20.0, 20.0),
        (ErrorKind.OVERLOADED, None, None),
        (ErrorKind.BILLING, 2 * HOUR, 2 * HOUR),
        (ErrorKind.QUOTA_EXHAUSTED, 2.0, 12 * HOUR),  # midnight UTC, which the registry knows
        (ErrorKind.QUOTA_EXHAUSTED, 20 * HOUR, 20 * HOUR),
        (ErrorKind.QUOTA_EXHAUSTED, 90 * DAY, 31 * DAY),
        (ErrorKind.CONNECTION, 60.0, None),
        (ErrorKind.INVALID_REQUEST, 60.0, None),
    ],
)
def test_what_a_provider_asks_for_is_heard_within_bounds(
    sky: Sky, kind: ErrorKind, told_s: float | None, expected_s: float | None
) -> None:
    sky.fail(kind, told_s)
    assert sky.blocked_s() == expected_s


def test_a_wait_ends_by_itself_and_is_told_at_its_beginning_and_its_end_only(sky: Sky) -> None:
    sky.fail(ErrorKind.RATE_LIMITED, 10)
    for _ in range(9):
        sky.time.pass_(1)
        assert sky.blocked_s() is not None
    sky.time.pass_(1)
    assert [sky.blocked_s(), sky.blocked_s()] == [None, None]
    assert sky.states == [("alpha/small", "limited"), ("alpha/small", "clear")]
    assert sky.told[0].until == NOON + 10


def test_a_shorter_word_never_shortens_a_longer_one(sky: Sky) -> None:
    for told_s, blocked_s in ((30.0, 30.0), (5.0, 30.0), (60.0, 60.0), (60.0, 60.0)):
        sky.fail(ErrorKind.RATE_LIMITED, told_s)
        assert sky.blocked_s() == blocked_s
    sky.fail(ErrorKind.QUOTA_EXHAUSTED)
    sky.fail(ErrorKind.RATE_LIMITED, 60)
    assert sky.blocked_s() == 12 * HOUR
    assert sky.states == [("alpha/small", "limited"), ("alpha/small", "quota-spent")]


def test_a_wall_clock_that_jumps_neither_frees_nor_holds_a_seat(sky: Sky) -> None:
    sky.fail(ErrorKind.RATE_LIMITED, 10)
    sky.time.wall += 30 * DAY
    assert sky.holds.block(SEAT) is not None
    sky.time.wall -= 60 * DAY
    sky.time.monotonic += 10
    assert sky.holds.block(SEAT) is None


def test_a_stop_outlasts_every_wait_and_is_told_once(sky: Sky) -> None:
    for _ in range(3):
        sky.fail(ErrorKind.AUTH)
        sky.fail(ErrorKind.RATE_LIMITED, 10)
    sky.time.pass_(365 * DAY)
    block = sky.holds.block(SEAT)
    assert block == Block("bad-key", "auth it was")
    assert sky.states == [("alpha", "bad-key"), ("alpha/small", "limited")]


def test_a_month_ends_with_the_month(sky: Sky) -> None:
    sky.fail(ErrorKind.QUOTA_EXHAUSTED, scope="month")
    assert sky.blocked_s() == dt.datetime(2026, 4, 1, tzinfo=dt.UTC).timestamp() - NOON
    sky.time.wall = dt.datetime(2026, 12, 31, 23, 59, tzinfo=dt.UTC).timestamp()
    sky.fail(ErrorKind.QUOTA_EXHAUSTED, seat=STRANGER, scope="month")
    assert sky.blocked_s(STRANGER) == HOUR  # the usual wait is longer than what is left of the year


def test_a_day_without_a_calendar_is_an_hour(sky: Sky) -> None:
    sky.fail(ErrorKind.QUOTA_EXHAUSTED, seat=STRANGER)
    assert sky.blocked_s(STRANGER) == HOUR


def test_of_several_resets_the_last_one_counts(sky: Sky) -> None:
    evening = Limit(5, "requests", "day", "18:00 UTC", "model")
    seat = replace(SEAT, model=replace(SEAT.model, limits=(evening,)))
    sky.fail(ErrorKind.QUOTA_EXHAUSTED, seat=seat)
    assert sky.blocked_s(seat) == 12 * HOUR


# --- a new registry --------------------------------------------------------------------------------------------------


def edited(old: str, new: str) -> Registry:
    assert REGISTRY.count(old) == 1
    return registry(REGISTRY.replace(old, new))


def test_an_edit_of_a_provider_ends_its_stops_and_nobody_else_s(sky: Sky) -> None:
    sky.fail(ErrorKind.AUTH)
    sky.fail(ErrorKind.MODEL_GONE, seat=NEIGHBOUR)
    sky.fail(ErrorKind.AUTH, seat=STRANGER)
    sky.holds.reconcile(HOME, edited("fresh: {tier: complex, rank: 9", "fresh: {tier: complex, rank: 8"))
    assert (sky.blocked_s(), sky.blocked_s(NEIGHBOUR), sky.blocked_s(STRANGER)) == (None, None, float("inf"))
    assert sky.states[3:] == [("alpha", "clear"), ("alpha/fresh", "clear")]


def test_an_edit_elsewhere_ends_nothing(sky: Sky) -> None:
    sky.fail(ErrorKind.AUTH)
    sky.fail(ErrorKind.RATE_LIMITED, 30, seat=STRANGER)
    sky.holds.reconcile(HOME, edited("unsaid: {tier: cheap, rank: 2", "unsaid: {tier: cheap, rank: 5"))
    assert (sky.blocked_s(), sky.blocked_s(STRANGER)) == (float("inf"), 30.0)


def test_an_edit_does_not_end_a_wait(sky: Sky) -> None:
    sky.fail(ErrorKind.RATE_LIMITED, 30)
    sky.holds.reconcile(HOME, edited("rank: 1, context: 8k", "rank: 1, context: 9k"))
    assert sky.blocked_s() == 30.0


def test_a_new_key_is_a_new_account(sky: Sky) -> None:
    sky.fail(ErrorKind.BILLING)
    sky.fail(ErrorKind.RATE_LIMITED, 30, seat=STRANGER)
    providers = {**HOME.providers, "alpha": replace(HOME.providers["alpha"], api_key=None)}
    sky.holds.reconcile(HOME, replace(HOME, providers=providers))
    assert (sky.blocked_s(), sky.blocked_s(STRANGER)) == (None, 30.0)


def test_nothing_is_kept_of_what_has_gone(sky: Sky) -> None:
    sky.fail(ErrorKind.RATE_LIMITED, 30)
    without = replace(HOME, seats={id: seat for id, seat in HOME.seats.items() if id != SEAT.id})
    sky.holds.reconcile(HOME, without)
    sky.holds.reconcile(without, HOME)
    block = sky.holds.block(SEAT)
    assert block is not None
    assert (block.state, block.until) == ("new", NOON + 60)  # its wait is forgotten, and it has to prove itself
    sky.holds.proven(SEAT.id)
    assert sky.blocked_s() is None


# --- the calendar ----------------------------------------------------------------------------------------------------

ZONES = [
    "UTC",
    "America/Los_Angeles",
    "America/New_York",
    "America/Santiago",
    "America/St_Johns",
    "Europe/Berlin",
    "Africa/Cairo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Niue",
]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("at", ["00:00", "02:30", "23:59"])
def test_every_local_day_of_a_year_has_one_reset(zone: str, at: str) -> None:
    limit = Limit(1, "requests", "day", f"{at} {zone}")
    wall = dt.datetime(2026, 1, 1, 12, tzinfo=ZoneInfo(zone)).timestamp()
    resets = []
    for _ in range(365):
        wall = next_reset(limit, wall)
        resets.append(dt.datetime.fromtimestamp(wall, ZoneInfo(zone)))
    first = resets[0].date()
    assert [moment.date() for moment in resets] == [first + dt.timedelta(days) for days in range(365)]
    # Only where that time of day does not exist is it another one.
    assert sum(moment.strftime("%H:%M") != at for moment in resets) <= 1


@pytest.mark.parametrize(
    ("zone", "from_", "hours"),
    [
        ("America/Los_Angeles", "2026-03-08", 23),
        ("America/Los_Angeles", "2026-11-01", 25),
        ("America/Los_Angeles", "2026-06-01", 24),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("America/Santiago", "2026-09-06", 23),  # its midnight does not exist: the day begins at one
    ],
)
def test_days_are_as_long_as_their_zone_has_them(zone: str, from_: str, hours: float) -> None:
    limit = Limit(1, "requests", "day", f"00:00 {zone}")
    noon_before = dt.datetime.fromisoformat(from_).replace(tzinfo=ZoneInfo(zone)) - dt.timedelta(hours=12)
    begin = next_reset(limit, noon_before.timestamp())
    assert next_reset(limit, begin) - begin == hours * HOUR


def test_a_reset_lies_strictly_ahead() -> None:
    limit = Limit(1, "requests", "day", "12:00 UTC")
    assert next_reset(limit, NOON - 0.001) == NOON
    assert next_reset(limit, NOON) == NOON + DAY
