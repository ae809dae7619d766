"""The state of one seat as JSON, shared by `/v1/weather`, plans and drains."""

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
    """A block's state, reason and end (ISO 8601, UTC); no block is the state `clear`."""
    block = block or CLEAR
    return {"state": block.state, "reason": block.reason, "until": utc_text(block.until)}


def state_of(seat: Seat, guards: Guards) -> Block:
    """The state shown for a seat: the block that excludes it, else `leaking`, which excludes it from streams only."""
    return guards.block(seat) or (LEAKING if guards.leaks(seat) else CLEAR)


def states(registry: Registry, guards: Guards) -> Mapping[tuple[str, str], str]:
    """The state of every (provider, model), for health and metrics."""
    return {(seat.provider.id, seat.model.id): state_of(seat, guards).state for seat in registry.seats.values()}


def conditions(seat: Seat, guards: Guards) -> dict[str, Any]:
    """What else decides how soon a seat is asked: circuit breaker, limits left, last probe, doubt."""
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
