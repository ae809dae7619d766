"""The scalar types of registry.yaml: durations, counts, reset times and names, each with its check and its pattern."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema

from router.core.duration import DURATION, parse_duration
from router.core.text import shown

_FACTORS: Mapping[str, int] = MappingProxyType({"": 1, "k": 1_000, "M": 1_000_000})

COUNT = r"[0-9]{1,9}(\.[0-9]{1,3})?[kM]"
RESETS = r"rolling|([01][0-9]|2[0-3]):[0-5][0-9] [A-Za-z][A-Za-z0-9_+/-]*"
NAME = r"^[a-z0-9][a-z0-9_-]{0,62}$"
MODEL_ID = r"^[!-~]{1,200}$"
WORD = r"^[A-Za-z][A-Za-z0-9_]*$"
HEADER = r"^[A-Za-z0-9-]{1,64}$"
URL_PATH = r"^(/[A-Za-z0-9._~-]+)+$"
JSON_POINTER = r"^(/[^/~]*(~[01][^/~]*)*)+$"
HEDGE_AFTER = rf"^(\d+(\.\d+)?x p95|{DURATION})$"
PERCENT = r"^(100|\d{1,2}(\.\d+)?)%$"

PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        NAME: "must be a short name of lower-case letters, digits, '-' and '_'",
        MODEL_ID: "must be printable ASCII without spaces, at most 200 characters",
        WORD: "must be words of letters, digits and '_'",
        HEADER: "must be the name of an HTTP header",
        URL_PATH: "must be a path such as /chat/completions, without '?' and without a slash at its end",
        JSON_POINTER: "must be JSON pointers such as /id or /meta/at",
        HEDGE_AFTER: "must be so many times the p95 of the seat, such as 3x p95, or a duration such as 800ms",
        PERCENT: "must be a percentage such as 2%",
    }
)
"""The end of the sentence for a text that does not match its pattern."""


def parse_count(value: Any) -> int:
    """A whole number above zero, also as `200k` or `1.5M`."""
    if isinstance(value, str) and re.fullmatch(COUNT, value):
        amount = float(value[:-1]) * _FACTORS[value[-1]]
        value = int(amount) if amount.is_integer() else amount
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{shown(value)} is not a count: write a whole number above 0, such as 500, 200k or 1M")
    return value


def check_resets(value: str) -> str:
    """`rolling`, or a local time of day and its IANA zone: `00:00 America/Los_Angeles`."""
    if not re.fullmatch(RESETS, value):
        raise ValueError(f"{shown(value)} is not a reset time: write rolling, or a time and a zone as '00:00 UTC'")
    if value != "rolling":
        zone = value.split(" ", 1)[1]
        try:
            ZoneInfo(zone)
        except (OSError, ValueError, LookupError):
            raise ValueError(f"{shown(zone)} is not a time zone: write an IANA name such as Europe/Berlin") from None
    return value


def ranks_by_tier(value: Any) -> dict[str, int | None]:
    """A model's tiers in one form: one name, a list of names, or a map of name to rank; None where no rank is given."""
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return dict.fromkeys(names)
    if isinstance(names, dict) and names and all(_is_rank(rank) for rank in names.values()):
        return dict(names)
    raise ValueError("must be a tier's name, a list of names, or a map of tier to rank such as {cheap: 2, complex: 5}")


def _is_rank(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{DURATION}$", "examples": ["250ms", "30s", "5m", "14d"]}),
]
Positive = Annotated[Duration, Field(gt=0)]
WholeNumber = Annotated[
    int,
    BeforeValidator(parse_count),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": f"^{COUNT}$"}],
            "examples": ["200k"],
        }
    ),
]
Resets = Annotated[
    str,
    AfterValidator(check_resets),
    WithJsonSchema({"type": "string", "pattern": f"^({RESETS})$", "examples": ["rolling", "00:00 UTC"]}),
]
Ratio = Annotated[float, Field(gt=0, le=1)]
Amount = Annotated[float, Field(ge=0)]
ShortName = Annotated[str, StringConstraints(pattern=NAME)]
JsonPointer = Annotated[str, StringConstraints(pattern=JSON_POINTER, max_length=200)]
ModelId = Annotated[str, StringConstraints(pattern=MODEL_ID)]
HedgeAfter = Annotated[str, StringConstraints(pattern=HEDGE_AFTER)]
Percent = Annotated[str, StringConstraints(pattern=PERCENT)]
Words = Annotated[tuple[Annotated[str, StringConstraints(pattern=WORD)], ...], Field(strict=False)]
Header = Annotated[str, StringConstraints(pattern=HEADER)]
UrlPath = Annotated[str, StringConstraints(pattern=URL_PATH)]
TierRanks = Annotated[
    dict[str, int | None],
    BeforeValidator(ranks_by_tier),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0}, "minProperties": 1},
            ]
        }
    ),
]
