"""The states of models as rows of a table: trouble first, times in words, what is left of each limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from router.cli.format import count
from router.cli.output import screen
from router.cli.tables import render
from router.core.clock import SYSTEM_CLOCK
from router.core.duration import format_duration

COLUMNS = ("provider", "model", "state", "until", "limits_left", "last_probe", "why")
_STATE_COLUMNS = ("provider", "model", "state", "until", "why")


class _Look(NamedTuple):
    """A state's place in the table, its colour, and what ends it where no time does."""

    place: int
    colour: str
    ends: str = "needs a person"


_LOOKS: Mapping[str, _Look] = {
    "bad-key": _Look(0, "red"),
    "billing": _Look(1, "red"),
    "model-gone": _Look(2, "red"),
    "down": _Look(3, "red"),
    "failing": _Look(4, "red"),
    "quota-spent": _Look(5, "yellow"),
    "limited": _Look(6, "yellow"),
    "drained": _Look(7, "yellow", "undrained"),
    "leaking": _Look(8, "yellow", "-"),
    "new": _Look(9, "yellow"),
    "clear": _Look(11, "green", "-"),
    "no-key": _Look(12, "dim"),
    "disabled": _Look(13, "dim"),
    "unsuitable": _Look(14, "dim", "-"),  # in a plan: another request may suit the model
}
_UNKNOWN_LOOK = _Look(10, "yellow")
_DOUBTED = 10  # asked after all others although nothing holds it back: between the held and the clear
_VERDICTS = {"healthy": "ok"}
_RATES = {"requests/minute": "rpm", "tokens/minute": "tpm", "requests/day": "day", "requests/month": "month"}


def rows(report: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
    """One row per model of `GET /v1/weather`, the most troubled first; `now` is Unix time in seconds."""
    pairs = [(provider["provider"], model) for provider in report["providers"] for model in provider["models"]]
    return [_row(provider, model, now) for provider, model in sorted(pairs, key=_place)]


def render_states(models: Iterable[Mapping[str, Any]]) -> str:
    """A table of models that each carry `provider`, `model`, `state`, `until` and `reason`, for standard output."""
    now = SYSTEM_CLOCK.wall()
    states = [{**one, "until": until(one["state"], one["until"], now), "why": one["reason"] or None} for one in models]
    return render(states, _STATE_COLUMNS, on=screen(), style=style)


def until(state: str, at: str | None, now: float) -> str:
    """When a state ends: `in 3 min`, or what ends it."""
    return f"in {format_duration(unix(at) - now)}" if at else _LOOKS.get(state, _UNKNOWN_LOOK).ends


def unix(text: str) -> float:
    """The Unix time, in seconds, of a timestamp as the daemon writes it."""
    return datetime.fromisoformat(text).timestamp()


def style(column: str, text: str) -> str:
    """The colour of a cell: states have one, other columns none."""
    return _LOOKS.get(text, _UNKNOWN_LOOK).colour if column == "state" else ""


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
