"""Numbers as people and models write them: `1,000`, `1 000 €`, `75 %`, `3/4`, `1.5e3` as one text per value and unit.

A number without a unit is not the same as one with it, and 75 % is not 0.75: nothing is converted. `1,234` is read as
English does, `1,5` and `0,125` as a decimal comma; what reads differently in two countries otherwise is no number.
"""

from __future__ import annotations

import re
from fractions import Fraction

_UNITS = {
    **dict.fromkeys(("€", "eur", "euro", "euros"), "EUR"),
    **dict.fromkeys(("$", "usd", "us$", "dollar", "dollars", "us dollars"), "USD"),
    **dict.fromkeys(("£", "gbp", "pound sterling", "pounds sterling"), "GBP"),
    **dict.fromkeys(("%", "percent", "per cent", "pct"), "%"),
    **dict.fromkeys(("°", "degree", "degrees"), "°"),
    **dict.fromkeys(("kilometer", "kilometers", "kilometre", "kilometres"), "km"),
    **dict.fromkeys(("meter", "meters", "metre", "metres"), "m"),
    **dict.fromkeys(("kilogram", "kilograms", "kgs"), "kg"),
    **dict.fromkeys(("second", "seconds", "sec"), "s"),
    **dict.fromkeys(("minute", "minutes"), "min"),
    **dict.fromkeys(("hour", "hours"), "h"),
    **dict.fromkeys(("day", "days"), "days"),
    **dict.fromkeys(("year", "years"), "years"),
}
_SYMBOLS = frozenset(
    {"km", "m", "cm", "mm", "kg", "g", "mg", "t", "s", "ms", "h", "min", "W", "kW", "MW", "mW", "V", "kV", "A", "mA"}
    | {"Hz", "kHz", "MHz", "GHz", "kB", "MB", "GB", "TB", "°C", "°F", "K"}
)
_BODY = r"(?:[0-9][0-9., ']*[0-9]|[0-9]|\.[0-9]+)"
_NUMBER = re.compile(
    rf"(?P<before>[€$£]|US\$)? ?(?P<sign>[+-]?) ?(?P<money>[€$£])? ?"
    rf"(?P<body>{_BODY})(?: ?/ ?(?P<under>[0-9]{{1,12}})| ?(?:[eE]| ?[x×*] ?10 ?\^ ?)(?P<exponent>[+-]?[0-9]{{1,3}}))?"
    r"(?: ?(?P<unit>%|°|[€$£]|[^\W\d_][\w°$/ ]{0,20}|°[CF]))?"
)
_GROUPS = re.compile(r"[1-9][0-9]{0,2}(?:([ ',.])[0-9]{3})(?:\1[0-9]{3})*")
_MAX_CHARS = 60


def number_key(text: str) -> str | None:
    """The value with its unit, where the text is one number and nothing else; else None."""
    found = _NUMBER.fullmatch(text) if len(text) <= _MAX_CHARS else None
    if found is None or (found["before"] and found["money"]):
        return None
    unit = _unit([part for part in (found["before"], found["money"], found["unit"]) if part])
    digits = _plain(found["body"])
    if unit is None or digits is None:
        return None
    value = Fraction(digits) * Fraction(10) ** int(found["exponent"] or 0)
    if found["under"] is not None:
        if not int(found["under"]) or "." in digits:
            return None
        value /= int(found["under"])
    return f"{_shown(-value if found['sign'] == '-' else value)} {unit}".rstrip()


def _unit(parts: list[str]) -> str | None:
    """The unit's one name, empty where there is none; None for one that is not known, or two that differ."""
    names = {part if part in _SYMBOLS else _UNITS.get(part.casefold()) for part in parts}
    return next(iter(names)) if len(names) == 1 else None if names else ""


def _plain(body: str) -> str | None:
    """The digits with a decimal point and no separators of thousands; None where they do not fit."""
    if body.isdigit():
        return body
    last = max(body.rfind("."), body.rfind(","))
    kinds = {c for c in body if not c.isdigit()}
    if _GROUPS.fullmatch(body) and (kinds != {"."} or body.count(".") > 1):
        return re.sub(r"\D", "", body)
    if last < 0 or body.count(body[last]) > 1 or not body[last + 1 :].isdigit():
        return None
    whole = body[:last]
    if whole and not whole.isdigit() and not _GROUPS.fullmatch(whole):
        return None
    return f"{re.sub(r'[^0-9]', '', whole) or '0'}.{body[last + 1 :]}"


def _shown(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    places = _decimal_places(value.denominator)
    if places is None:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _decimal_places(denominator: int) -> int | None:
    """How many decimals write a fraction exactly; None where none do."""
    twos = fives = 0
    while denominator % 2 == 0:
        denominator, twos = denominator // 2, twos + 1
    while denominator % 5 == 0:
        denominator, fives = denominator // 5, fives + 1
    return max(twos, fives) if denominator == 1 else None
