"""The state of one seat as JSON, as `/v1/weather`, plans and drains show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from router.core.block import LEAKING, Block
from router.core.clock import utc_text
from router.core.registry import Registry, Seat
from router.guards.guards import Guards
from router.guards.limits.counters import LimitLeft

CLEAR = Block("clear", "")


def told(block: Block | None) -> dict[str, Any]:
    """A state, why it is so, and until when; None is clear sky."""
    block = block or CLEAR
    return {"state": block.state, "reason": block.reason, "until": utc_text(block.until)}


def state_of(seat: Seat, guards: Guards) -> Block:
    """The state that is shown of a seat: what blocks it, or what else is to be known of it."""
    return guards.block(seat) or (LEAKING if guards.leaks(seat) else CLEAR)


def states(registry: Registry, guards: Guards) -> Mapping[tuple[str, str], str]:
    """The state of every (provider, model), for health and metrics."""
    return {(seat.provider.id, seat.model.id): state_of(seat, guards).state for seat in registry.seats.values()}


def conditions(seat: Seat, guards: Guards) -> dict[str, Any]:
    """What decides beside its state how soon a seat is asked: breaker, limits, last probe, what speaks against it."""
    verdict = guards.verdicts.of(seat.id)
    return {
        "breaker": guards.breakers.state(seat.id),
        "limits": [_limit(limit) for limit in guards.ledger.left(seat)],
        "probe": {
            "verdict": verdict.verdict,
            "at": utc_text(verdict.at),
            "reason": verdict.reason,
            "latency_ms": verdict.latency_ms,
        },
        "doubt": guards.doubt(seat),
    }


def _limit(limit: LimitLeft) -> dict[str, Any]:
    return {
        "limit": limit.name,
        "amount": limit.amount,
        "used": limit.used,
        "left": max(0.0, limit.amount - limit.used),
        "resets_at": utc_text(limit.resets_at),
    }
