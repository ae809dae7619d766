"""A plan: the seats that may answer a request, and why each other model was left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from router.core.block import Block
from router.core.context import Options
from router.core.registry import Registry, Seat, Strategy


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A seat that cannot serve this request now. `block` is set when only the present weather speaks against it."""

    seat: Seat
    reason: str
    block: Block | None = None

    def as_dict(self) -> dict[str, Any]:
        """For the log and for `explain`."""
        return {
            "provider": self.seat.provider.id,
            "model": self.seat.model.id,
            "state": self.block.state if self.block else "unsuitable",
            "reason": self.reason,
            "until": self.block.until if self.block else None,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """The seats that may answer, best first, with how long all of it may take.

    Where several are asked, one of each family comes before the second of any. `chairs` may write the final answer of
    strategies that make one out of others' drafts.
    """

    registry: Registry
    options: Options
    seats: tuple[Seat, ...]
    excluded: tuple[Exclusion, ...]
    timeout_s: float
    chairs: tuple[Seat, ...] = ()

    @property
    def strategy(self) -> Strategy:
        """The strategy that turns seats into an answer."""
        return self.options.strategy
