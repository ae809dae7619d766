"""A plan: the seats that may answer a request, and why each other model was left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from router.core.block import Block
from router.core.context import Options
from router.core.registry import Registry, Seat, Tier
from router.core.strategy_options import Strategy, StrategyOptions

ExclusionCode = Literal[
    "capability",  # the model lacks something that the request needs: tools, images, JSON
    "wire",  # its provider's wire format has no place for a part of the request
    "context",  # the request is longer than the seat's context window
    "too_large",  # the request is larger than one of the seat's limits, so that no waiting helps
    "strict",  # the seat would be asked without one of the parameters, and the caller is strict about that
    "blocked",  # something speaks against it now: see the block
    "no_room",  # its limits leave too little for every call of the strategy
]
AnyOptions = TypeVar("AnyOptions", bound=StrategyOptions)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A seat that cannot serve this request now; `block` is set when only its present state speaks against it."""

    seat: Seat
    code: ExclusionCode
    reason: str
    block: Block | None = None

    def as_dict(self) -> dict[str, Any]:
        """For the log and for `explain`."""
        return {
            "provider": self.seat.provider.id,
            "model": self.seat.model.id,
            "code": self.code,
            "state": self.block.state if self.block else "unsuitable",
            "reason": self.reason,
            "until": self.block.until if self.block else None,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """The seats that may answer, best first, and how long all of it may take.

    Where several are asked, one of each family comes before the second of any. `chairs` may write the final answer of
    the strategies that make one out of others' drafts.
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

    @property
    def tier(self) -> Tier:
        """The tier that the request is about."""
        return self.registry.tiers[self.options.tier]

    def settings(self, kind: type[AnyOptions]) -> AnyOptions:
        """What the registry says of this strategy; `kind` is the type that the table of strategies names for it."""
        options = self.registry.strategies[self.strategy]
        assert isinstance(options, kind)
        return options

    @property
    def onward(self) -> Options | None:
        """The options of the strategy that takes over from a weak decision; None where the registry names none."""
        onward = self.registry.strategies[self.strategy].escalate
        if onward is None or self.options.pinned:
            return None
        tier = onward.tier or self.options.tier
        return replace(self.options, strategy=onward.strategy, tier=tier, council_size=None)
