"""Plans a request: the seats that could answer it, in order, and why each other model is left out. Pure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

from adapters import NATIVE_ADAPTERS
from adapters.types import ChatRequest, Image, Opaque, Text
from router.core.block import Block
from router.core.context import Options
from router.core.plan import Exclusion, ExclusionCode, Plan
from router.core.registry import Registry, Seat
from router.core.strategy_options import FusionOptions
from router.core.tokens import prompt_tokens, text_tokens
from router.guards.limits import counters
from router.strategies.table import STRATEGIES, chair_candidates

Dropped = Callable[[Seat, ChatRequest], frozenset[str]]
Unfit = tuple[ExclusionCode, str]
"""Why a seat does not suit a request, whatever its state: as a code, and as a sentence for people."""


class SeatStates(Protocol):
    """What is known of each seat now; `router.guards.guards.Guards` in a daemon."""

    def block(self, seat: Seat) -> Block | None:
        """Why the seat cannot be asked now, or None."""

    def doubt_class(self, seat: Seat) -> int:
        """How doubtful the seat is: 0 where nothing speaks against it, up to 2."""

    def cost_s(self, seat: Seat, *, streamed: bool) -> float:
        """The seconds a caller is likely to wait there, by which equal ranks share the load."""

    def room(self, seat: Seat) -> float:
        """How many requests the seat's limits leave."""


def make_plan(
    registry: Registry,
    options: Options,
    request: ChatRequest,
    states: SeatStates,
    *,
    rng: random.Random,
    streamed: bool = False,
    dropped: Dropped = lambda seat, request: frozenset(),
) -> Plan:
    """Filters and orders the tier's seats (or takes the pinned one), by what `states` knows of each now.

    `rng` draws between equals, `dropped` names the parameters that a seat could not be given.
    """
    tier, facts = registry.tiers[options.tier], STRATEGIES[options.strategy]
    needs = _needs(request)
    most = facts.walked(options)

    def unfit(seat: Seat) -> Unfit | None:
        reason = _unfit(seat, needs)
        if reason is None and options.strict and (lost := sorted(dropped(seat, request))):
            return "strict", f"cannot take {', '.join(lost)}, and strict was asked"
        return reason

    def sift(candidates: Iterable[Seat]) -> tuple[tuple[Seat, ...], tuple[Exclusion, ...]]:
        seats: list[Seat] = []
        excluded: list[Exclusion] = []
        for seat in candidates:
            if reason := unfit(seat):
                excluded.append(Exclusion(seat, *reason))
                continue
            blocked = states.block(seat)
            if blocked is None:
                seats.append(seat)
                continue
            excluded.append(Exclusion(seat, "blocked", blocked.reason, blocked))
            stand_in = None if options.pinned else _stand_in(registry, seat, blocked)
            if stand_in and unfit(stand_in) is None and states.block(stand_in) is None:
                seats.append(stand_in)
        return tuple(islice(_ordered(_without_repeats(seats), states, rng, streamed=streamed), most)), tuple(excluded)

    seats, excluded = sift((registry.seats[options.pinned],) if options.pinned else tier.seats)
    if facts.several:
        seats, short = _with_room(_one_of_each_family_first(seats), facts.calls_of_a_seat, states)
        excluded += short
    return Plan(
        registry=registry,
        options=options,
        seats=seats,
        excluded=excluded,
        timeout_s=options.timeout_s or tier.timeouts.total_s,
        chairs=_named_first(sift(chair_candidates(registry, options))[0], registry, options) if facts.chaired else (),
    )


def _named_first(chairs: Iterable[Seat], registry: Registry, options: Options) -> tuple[Seat, ...]:
    configured = registry.strategies[options.strategy]
    named = configured.chair if isinstance(configured, FusionOptions) else None
    return tuple(sorted(chairs, key=lambda seat: seat.id != named))


def _with_room(seats: Iterable[Seat], calls: int, states: SeatStates) -> tuple[tuple[Seat, ...], tuple[Exclusion, ...]]:
    """Leaves out a seat that could not make all of its calls: no stage should begin when the next one must fail.

    Models of one account are taken to share its limits; with few requests left that may leave one out too early.
    """
    kept: list[Seat] = []
    short: list[Exclusion] = []
    planned: Counter[str] = Counter()
    for seat in seats:
        if states.room(seat) >= planned[seat.provider.id] + calls:
            planned[seat.provider.id] += calls
            kept.append(seat)
        else:
            short.append(Exclusion(seat, "no_room", f"its limits leave too little for {calls} call(s) of every stage"))
    return tuple(kept), tuple(short)


def _one_of_each_family_first(seats: Iterable[Seat]) -> tuple[Seat, ...]:
    """Models of one family err together: the second of a family is asked after the first of every other."""
    asked: Counter[str] = Counter()
    turns: list[tuple[int, Seat]] = []
    for seat in seats:
        turns.append((asked[seat.model.family], seat))
        asked[seat.model.family] += 1
    return tuple(seat for _, seat in sorted(turns, key=lambda turn: turn[0]))


def _ordered(seats: Iterable[Seat], states: SeatStates, rng: random.Random, *, streamed: bool) -> Iterator[Seat]:
    """By doubt, then by rank; equal ranks share the load by the better of two random choices.

    Two choices spread load almost as evenly as knowing every queue would, and never send everybody to the one seat
    that looks best (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001).
    """
    groups: dict[tuple[int, int], list[Seat]] = {}
    for seat in seats:
        groups.setdefault((states.doubt_class(seat), seat.rank), []).append(seat)
    for key in sorted(groups):
        equals = groups[key]
        if len(equals) == 1:
            yield from equals
        else:
            yield from _two_choices([(states.cost_s(seat, streamed=streamed), seat) for seat in equals], rng)


def _two_choices(pool: list[tuple[float, Seat]], rng: random.Random) -> Iterator[Seat]:
    rng.shuffle(pool)
    while len(pool) > 1:
        better = 0 if pool[0][0] <= pool[1][0] else 1
        yield pool.pop(better)[1]
    yield pool[0][1]


def _without_repeats(seats: Iterable[Seat]) -> tuple[Seat, ...]:
    first: dict[str, Seat] = {}
    for seat in seats:
        if seat.id not in first:
            first[seat.id] = seat
    return tuple(first.values())


def _stand_in(registry: Registry, seat: Seat, blocked: Block | None) -> Seat | None:
    """The model that `replaced_by` names takes the place of one that has gone."""
    if blocked is None or blocked.state != "model-gone" or seat.model.replaced_by is None:
        return None
    successor = registry.seats.get(f"{seat.provider.id}/{seat.model.replaced_by}")
    return replace(successor, tier=seat.tier, rank=seat.rank, timeouts=seat.timeouts) if successor else None


@dataclass(slots=True)
class _Needs:
    """What a request needs of any seat.

    `tokens` is the length of its text alone: a request is taken for too long only when its words certainly are.
    """

    request: ChatRequest
    capabilities: tuple[str, ...]
    openai_wire: bool
    tokens: int
    _prompt_tokens: int | None = None

    @property
    def prompt_tokens(self) -> int:
        """All that limits count, estimated once for all seats, and not at all where none has limits."""
        if self._prompt_tokens is None:
            self._prompt_tokens = prompt_tokens(self.request)
        return self._prompt_tokens


def _needs(request: ChatRequest) -> _Needs:
    form = request.response_format
    parts = [part for message in request.messages for part in message.content]
    kinds = set(map(type, parts))
    needed = {"tools": request.tools, "vision": Image in kinds, "json": form is not None and form.kind != "text"}
    return _Needs(
        request=request,
        capabilities=tuple([name for name, is_needed in needed.items() if is_needed]),
        openai_wire=Opaque in kinds,
        tokens=text_tokens(sum([len(part.text) for part in parts if isinstance(part, Text)])),
    )


def _unfit(seat: Seat, needs: _Needs) -> Unfit | None:
    supports = seat.model.supports
    for capability in needs.capabilities:
        if supports is not None and not _has(supports, capability):
            return "capability", f"does not support {capability}"
    if needs.openai_wire and seat.target.adapter in NATIVE_ADAPTERS:
        return "wire", "its wire has no place for audio or files"
    if seat.model.limits or seat.provider.limits:
        need = counters.need_for(seat, needs.prompt_tokens, needs.request.params.get("max_tokens"))
        if too_large := counters.too_large(seat, need):
            return "too_large", too_large
    if seat.model.context is not None and needs.tokens > seat.model.context:
        return "context", f"about {needs.tokens} tokens are more than its context of {seat.model.context}"
    return None


def _has(supports: frozenset[str], capability: str) -> bool:
    return capability in supports or (capability == "json" and "json_schema" in supports)
