"""Dates as ISO 8601, where a text is a date and can be read in one way only."""

from __future__ import annotations

import re
from datetime import date

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("january", "jan"),
            ("february", "feb"),
            ("march", "mar"),
            ("april", "apr"),
            ("may",),
            ("june", "jun"),
            ("july", "jul"),
            ("august", "aug"),
            ("september", "sep", "sept"),
            ("october", "oct"),
            ("november", "nov"),
            ("december", "dec"),
        ),
        start=1,
    )
    for name in names
}
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_MONTH = r"(?P<month>[a-z]{3,9})\.?"
_YEAR = r"(?P<year>[0-9]{4})"
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?,? )?"
_NAMED = (
    re.compile(f"{_WEEKDAY}{_MONTH} {_DAY},? {_YEAR}"),
    re.compile(f"{_WEEKDAY}(?:the )?{_DAY} (?:of )?{_MONTH},? {_YEAR}"),
)
_ISO = re.compile(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})")
_NUMERIC = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4})")


def date_key(text: str) -> str | None:
    """`2026-11-21` for every unambiguous way to write that day; None for all else, as 05/06/2026."""
    text = text.casefold()
    if iso := _ISO.fullmatch(text):
        return _iso(int(iso[1]), int(iso[3]), int(iso[4]))
    for pattern in _NAMED:
        if named := pattern.fullmatch(text):
            return _iso(int(named["year"]), _MONTHS.get(named["month"], 0), int(named["day"]))
    if numeric := _NUMERIC.fullmatch(text):
        first, second, year = int(numeric[1]), int(numeric[3]), int(numeric[4])
        readings = {_iso(year, second, first), _iso(year, first, second)} - {None}
        return readings.pop() if len(readings) == 1 else None
    return None


def _iso(year: int, month: int, day: int) -> str | None:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None
