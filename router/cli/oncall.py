"""What helps at three in the morning: `explain` who would answer and why, `drain` and `undrain` who should not."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from typing import Any

from router.cli import provider_table
from router.cli.output import FINDINGS, GOOD, caller, screen, show
from router.cli.tables import render
from router.core.clock import SYSTEM_CLOCK
from router.core.settings import Settings
from router.core.text import printable

_SEATS = ("provider", "model", "tier", "rank", "family", "left", "doubt")
_HELD = ("provider", "model", "state", "until", "why")


def explain(arguments: argparse.Namespace, settings: Settings) -> int:
    """the seats a request would get now, who is left out and why, and what it may cost; asks nobody"""
    options = {"strategy": arguments.strategy, "tier": arguments.tier, "council_size": arguments.council_size}
    document = {
        "model": arguments.model,
        "messages": [{"role": "user", "content": "hello"}],
        "quorum": {name: value for name, value in options.items() if value is not None},
    }
    plan = caller(settings).post("/v1/plan", document)
    show(arguments, plan, lambda: _print_plan(plan))
    return GOOD if plan["seats"] else FINDINGS


def drain(arguments: argparse.Namespace, settings: Settings) -> int:
    """takes a provider, or one model of it, out of service: for a time, or until it is undrained"""
    provider, model = _subject(arguments.subject)
    document = {"provider": provider, "model": model, "for_s": arguments.for_s, "reason": arguments.reason}
    given = {name: value for name, value in document.items() if value is not None}
    return _moved(arguments, caller(settings).post("/v1/drain", given))


def undrain(arguments: argparse.Namespace, settings: Settings) -> int:
    """puts a provider or model back: ends its drain, and forgets a refused key, a model gone, an unpaid bill"""
    provider, model = _subject(arguments.subject)
    given = {"provider": provider} if model is None else {"provider": provider, "model": model}
    return _moved(arguments, caller(settings).post("/v1/undrain", given))


def _subject(text: str) -> tuple[str, str | None]:
    provider, _, model = text.partition("/")
    return provider, model or None


def _moved(arguments: argparse.Namespace, answer: Any) -> int:
    return show(arguments, answer, lambda: print(_held(answer["provider"], answer["models"])))


def _held(provider: str, models: Iterable[Mapping[str, Any]]) -> str:
    return _states({"provider": provider, **model} for model in models)


def _states(found: Iterable[Mapping[str, Any]]) -> str:
    on, now = screen(), SYSTEM_CLOCK.wall()
    rows = [
        {**one, "until": provider_table.until(one["state"], one["until"], now), "why": one["reason"] or None}
        for one in found
    ]
    return render(rows, _HELD, fit=on.width, tint=provider_table.tint(on.colours))


def _print_plan(plan: Any) -> None:
    seats = [{**seat, "left": f"{seat['headroom']:.0%}"} for seat in plan["seats"]]
    dropped = ("dropped",) if any(seat["dropped"] for seat in seats) else ()
    rows = [{**seat, "dropped": ", ".join(seat["dropped"]) or None} for seat in seats]
    print(printable(f"{plan['strategy']} in {plan['tier']}, registry {plan['registry']}\n"))
    print(render(rows, (*_SEATS, *dropped), fit=screen().width) if rows else "nobody can be asked now")
    if plan["excluded"]:
        print(f"\nleft out:\n\n{_states(plan['excluded'])}")
    print(f"\n{_at_most(plan['worst_case'])}")


def _at_most(worst: Mapping[str, Any]) -> str:
    cost = ", at unknown prices" if worst["cost_usd"] is None else f", {worst['cost_usd']:.6f} USD"
    tokens = f"{worst['input_tokens']:,} tokens in, {worst['output_tokens']:,} out"
    guess = "" if worst["bounded"] else " (nothing bounds the answers: their length is a guess)"
    return f"at most {worst['calls']} call(s), {tokens}{cost}{guess}"
