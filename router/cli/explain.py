"""`quorum explain`: a dry run of the planner."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from router.cli.client import daemon_at
from router.cli.output import FINDINGS, GOOD, screen, show_answer
from router.cli.provider_table import render_states
from router.cli.tables import render
from router.cli.verb import JSON, ROUTING, URL, Verb, chat_request
from router.core.settings import Settings
from router.core.text import one_line

_SEAT_COLUMNS = ("provider", "model", "tier", "rank", "family", "left", "doubt")


async def explain(arguments: argparse.Namespace, settings: Settings) -> int:
    """Shows the seats that a request would get now, why every other model is left out, and the cost at most.

    No provider is asked. Exit code 1 means that no seat could answer such a request now.
    """
    async with daemon_at(settings) as daemon:
        plan = await daemon.post("/v1/plan", chat_request(arguments, "hello"))
    show_answer(arguments, plan, lambda: _text(plan))
    return GOOD if plan.get("seats") else FINDINGS


def _text(plan: Any) -> str:
    parts = [one_line(f"{plan['strategy']} in {plan['tier']}, registry {plan['registry']}"), _seats(plan["seats"])]
    if plan["excluded"]:
        parts += ["left out:", render_states(plan["excluded"])]
    return "\n\n".join([*parts, _at_most(plan["worst_case"])])


def _seats(seats: Any) -> str:
    if not seats:
        return "no seat can be asked now"
    rows = [
        {**seat, "left": f"{seat['headroom']:.0%}", "dropped": ", ".join(seat["dropped"]) or None} for seat in seats
    ]
    dropped = ("dropped",) if any(seat["dropped"] for seat in seats) else ()
    return render(rows, (*_SEAT_COLUMNS, *dropped), on=screen())


def _at_most(worst: Mapping[str, Any]) -> str:
    cost = ", at unknown prices" if worst["cost_usd"] is None else f", {worst['cost_usd']:.6f} USD"
    tokens = f"{worst['input_tokens']:,} tokens in, {worst['output_tokens']:,} out"
    guess = "" if worst["bounded"] else " (nothing bounds the answers: their length is a guess)"
    return one_line(f"at most {worst['calls']} call(s), {tokens}{cost}{guess}")


VERB = Verb("explain", explain, "quorum explain --strategy ranked-fallback --tier cheap", (*ROUTING, URL, JSON))
