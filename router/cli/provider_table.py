"""The weather report as rows of a table: trouble first, times in words, what is left of each limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from router.cli.format import count
from router.cli.tables import Tint
from router.core.duration import format_duration

COLUMNS = ("provider", "model", "state", "until", "limits_left", "last_probe", "why")
_RED, _YELLOW, _GREEN, _DIM = "31", "33", "32", "2"


class _Look(NamedTuple):
    """Where models in a state stand in the table, in which colour, and what ends the state if no time does."""

    place: int
    colour: str
    ends: str = "needs a person"


_LOOKS: Mapping[str, _Look] = {
    "bad-key": _Look(0, _RED),
    "billing": _Look(1, _RED),
    "model-gone": _Look(2, _RED),
    "down": _Look(3, _RED),
    "failing": _Look(4, _RED),
    "quota-spent": _Look(5, _YELLOW),
    "limited": _Look(6, _YELLOW),
    "drained": _Look(7, _YELLOW, "undrained"),
    "leaking": _Look(8, _YELLOW, "-"),
    "new": _Look(9, _YELLOW),
    "clear": _Look(11, _GREEN, "-"),
    "no-key": _Look(12, _DIM),
    "disabled": _Look(13, _DIM),
    "unsuitable": _Look(14, _DIM, "-"),  # in a plan: another request might be taken
}
_UNKNOWN_LOOK = _Look(10, _YELLOW)
_DOUBTED = 10  # nothing holds it back, but it is asked last: between those that cannot serve and those that can
_VERDICTS = {"healthy": "ok"}
_RATES = {"requests/minute": "rpm", "tokens/minute": "tpm", "requests/day": "day", "requests/month": "month"}


def rows(report: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
    """One row per model of `GET /v1/weather`, the most troubled first; `now` is Unix time."""
    pairs = [(provider["provider"], model) for provider in report["providers"] for model in provider["models"]]
    return [_row(provider, model, now) for provider, model in sorted(pairs, key=_place)]


def until(state: str, at: str | None, now: float) -> str:
    """When a state ends: `in 3 min`, or who or what ends it."""
    return f"in {format_duration(unix(at) - now)}" if at else _LOOKS.get(state, _UNKNOWN_LOOK).ends


def unix(text: str) -> float:
    """The Unix time of a timestamp as the daemon writes it."""
    return datetime.fromisoformat(text).timestamp()


def tint(colours: bool) -> Tint:
    """Colours the states, if colours are wanted."""

    def coloured(column: str, text: str) -> str:
        look = _LOOKS.get(text.strip(), _UNKNOWN_LOOK)
        return f"\x1b[{look.colour}m{text}\x1b[0m" if colours and column == "state" else text

    return coloured


def _place(pair: tuple[str, Mapping[str, Any]]) -> tuple[int, str, str]:
    provider, model = pair
    doubted = model["state"] == "clear" and model.get("doubt")
    return _DOUBTED if doubted else _LOOKS.get(model["state"], _UNKNOWN_LOOK).place, provider, model["model"]


def _row(provider: str, model: Mapping[str, Any], now: float) -> dict[str, Any]:
    return {
        "provider": provider,
        "model": model["model"],
        "state": model["state"],
        "until": until(model["state"], model["until"], now),
        "limits_left": _limits(model.get("limits", ())),
        "last_probe": _probe(model.get("probe"), now),
        "why": model["reason"] or model.get("doubt") or None,
    }


def _limits(limits: Iterable[Mapping[str, Any]]) -> str | None:
    told = (
        f"{count(limit['left'])}/{count(limit['amount'])} {_RATES.get(limit['limit'], limit['limit'])}"
        for limit in limits
    )
    return ", ".join(told) or None


def _probe(probe: Mapping[str, Any] | None, now: float) -> str | None:
    if not probe or probe["verdict"] == "unknown" or probe["at"] is None:
        return None
    return f"{_VERDICTS.get(probe['verdict'], probe['verdict'])} {format_duration(now - unix(probe['at']))} ago"
