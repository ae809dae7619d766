"""Rolling windows forget exactly what is too old; calendar windows begin once a local day, or month."""

from __future__ import annotations

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pytest

from router.core.registry import Limit
from router.guards.limits.windows import CalendarWindow, RollingWindow, next_reset, period, rolling, window_of

HOUR, DAY = 3600, 86400
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
    "Pacific/Apia",
    "Pacific/Kiritimati",
]


def unix(text: str, zone: str = "UTC") -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


# --- the calendar ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("at", ["00:00", "02:30", "23:59"])
def test_a_year_has_365_days_that_follow_each_other_without_gap(zone: str, at: str) -> None:
    resets, moment, days = f"{at} {zone}", unix("2026-01-01 12:00", zone), []
    for _ in range(365):
        days.append(period(resets, "day", moment))
        moment = days[-1].end
    assert all(one.end == other.start for one, other in itertools.pairwise(days))
    begun = [dt.datetime.fromtimestamp(day.end, ZoneInfo(zone)).date() for day in days]
    assert begun == [begun[0] + dt.timedelta(number) for number in range(365)]


@pytest.mark.parametrize("zone", ZONES)
def test_every_hour_of_a_year_lies_in_the_day_that_its_zone_says(zone: str) -> None:
    start, end = int(unix("2026-01-01")), int(unix("2027-01-01"))
    for moment in range(start, end, HOUR):
        begin, until = period(f"00:00 {zone}", "day", moment)
        assert begin <= moment < until
        dates = [dt.datetime.fromtimestamp(each, ZoneInfo(zone)).date() for each in (begin, moment, until - 1)]
        assert dates[0] == dates[1] == dates[2]


@pytest.mark.parametrize(
    ("zone", "noon", "hours"),
    [
        ("America/Los_Angeles", "2026-03-08", 23),
        ("America/Los_Angeles", "2026-11-01", 25),
        ("America/Los_Angeles", "2026-06-01", 24),
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("America/Santiago", "2026-09-06", 23),  # its midnight does not exist: the day begins at one
        ("Pacific/Apia", "2011-12-29", 24),  # the next day was skipped
    ],
)
def test_days_are_as_long_as_their_zone_has_them(zone: str, noon: str, hours: float) -> None:
    start, end = period(f"00:00 {zone}", "day", unix(f"{noon} 12:00", zone))
    assert end - start == hours * HOUR


def test_a_skipped_day_has_no_reset_of_its_own() -> None:
    """In Apia Thursday was followed by Saturday."""
    thursday = period("12:00 Pacific/Apia", "day", unix("2011-12-29 13:00", "Pacific/Apia"))
    saturday = period("12:00 Pacific/Apia", "day", thursday.end)
    assert dt.datetime.fromtimestamp(thursday.end, ZoneInfo("Pacific/Apia")).date() == dt.date(2011, 12, 31)
    assert (thursday.end - thursday.start, saturday.end - saturday.start) == (DAY, DAY)


@pytest.mark.parametrize("zone", ZONES)
def test_a_month_begins_on_the_first(zone: str) -> None:
    moment = unix("2026-01-15", zone)
    for month in range(1, 13):
        start, end = period(f"09:00 {zone}", "month", moment)
        begin = dt.datetime.fromtimestamp(start, ZoneInfo(zone))
        assert (begin.month, begin.day, begin.hour) == (month, 1, 9)
        moment = end
    assert period(f"09:00 {zone}", "month", unix("2026-03-01 08:59", zone)).end == unix("2026-03-01 09:00", zone)


def test_the_end_of_a_period_belongs_to_the_next() -> None:
    noon = unix("2026-03-10 12:00")
    limit = Limit(1, "requests", "day", "12:00 UTC")
    assert next_reset(limit, noon - 0.001) == noon
    assert next_reset(limit, noon) == noon + DAY
    assert period("12:00 UTC", "day", noon).start == noon


# --- what rolls ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length_s", [3, 60, DAY, 30 * DAY])
def test_an_amount_counts_until_its_whole_bucket_is_older_than_the_window_and_the_jitter(length_s: float) -> None:
    window = rolling(length_s)
    for sent_ms in range(1_750_000_000_000, 1_750_000_000_000 + 3 * window.width_ms, max(1, window.width_ms // 7)):
        bucket = window.span(sent_ms).bucket
        gone_ms = (bucket + 1) * window.width_ms + window.window_ms
        assert window.span(gone_ms - 1).first <= bucket < window.span(gone_ms).first
        assert (length_s + 2) * 1000 <= gone_ms - sent_ms <= (length_s + 2) * 1000 * (1 + 1 / 240) + 2


def test_a_minute_is_sustained_at_more_than_93_percent() -> None:
    window = rolling(60)
    assert 60_000 / (window.window_ms + window.width_ms) > 0.96


def test_the_registry_decides_which_window_it_is() -> None:
    assert window_of(Limit(1, "requests", "minute")) == RollingWindow(259, 62_000)
    assert window_of(Limit(1, "requests", "month")) == rolling(30 * DAY)
    berlin = window_of(Limit(1, "requests", "day", "00:00 Europe/Berlin"))
    assert berlin == CalendarWindow("00:00 Europe/Berlin", "day")
    now_ms = int(unix("2026-07-01 15:00", "Europe/Berlin") * 1000)
    begins, ends = unix("2026-07-01", "Europe/Berlin") * 1000, unix("2026-07-02", "Europe/Berlin") * 1000
    assert berlin.script_args(now_ms) == ("calendar", begins, ends)
    assert berlin.span(now_ms) == (begins, begins)
