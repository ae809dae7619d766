"""Who could answer a request, in which order, and why each other model was left out; pure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from adapters.types import NATIVE_ADAPTERS, NOTHING, ChatRequest, Image, Opaque, Text
from router.core.block import Block
from router.core.context import Options
from router.core.plan import Exclusion, Plan
from router.core.registry import Registry, Seat, Strategy
from router.core.tokens import prompt_tokens
from router.guards.limits import counters

SINGLE_QUERY_SEATS = 3  # the best-placed one, and up to two others if it fails before its first byte
SEVERAL: frozenset[Strategy] = frozenset({"majority-vote", "synthesize-best", "council"})
"""The strategies that ask several seats for one answer."""
_CALLS_OF_A_MEMBER: Mapping[Strategy, int] = {"council": 2}  # a draft and a ballot
Dropped = Callable[[Seat, ChatRequest], frozenset[str]]
_BYTES_PER_TOKEN = 4  # of English text; a request is only held to be too long when it is so by this measure


def make_plan(
    registry: Registry,
    options: Options,
    request: ChatRequest,
    *,
    block: Callable[[Seat], Block | None],
    rng: random.Random,
    doubt: Callable[[Seat], int] = lambda seat: 0,
    cost: Callable[[Seat], float] = lambda seat: 0.0,
    room: Callable[[Seat], float] = lambda seat: float("inf"),
    dropped: Dropped = lambda seat, request: frozenset(),
) -> Plan:
    """Filters and orders the tier's seats (or takes the pinned one).

    `block` tells the weather, `doubt` how doubtful a seat is (0: nothing speaks against it), `cost` what asking one of
    several of equal rank costs, `room` how many requests a seat's limits leave; `rng` shares load, `dropped` names the
    parameters that a seat could not be given.
    """
    tier = registry.tiers[options.tier]
    needs = _needs(request)
    several = options.strategy in SEVERAL
    most = None if several else _walked(options)

    def unsuitable(seat: Seat) -> str | None:
        lost = sorted(dropped(seat, request)) if options.strict else ()
        return _unsuitable(seat, needs) or (f"cannot take {', '.join(lost)}, and strict was asked" if lost else None)

    def sift(candidates: Iterable[Seat]) -> tuple[tuple[Seat, ...], tuple[Exclusion, ...]]:
        seats: list[Seat] = []
        excluded: list[Exclusion] = []
        for seat in candidates:
            reason, blocked = unsuitable(seat), None
            if reason is None:
                blocked = block(seat)
                reason = blocked.reason if blocked else None
            if reason is None:
                seats.append(seat)
                continue
            excluded.append(Exclusion(seat, reason, blocked))
            stand_in = None if options.pinned else _stand_in(registry, seat, blocked)
            if stand_in and unsuitable(stand_in) is None and block(stand_in) is None:
                seats.append(stand_in)
        return tuple(islice(_ordered(_without_repeats(seats), doubt, cost, rng), most)), tuple(excluded)

    seats, excluded = sift((registry.seats[options.pinned],) if options.pinned else tier.seats)
    if several:
        seats, short = _with_room(_one_of_each_family_first(seats), _CALLS_OF_A_MEMBER.get(options.strategy, 1), room)
        excluded += short
    return Plan(
        registry=registry,
        options=options,
        seats=seats,
        excluded=excluded,
        timeout_s=options.timeout_s or tier.timeouts.total_s,
        chairs=_named_first(sift(_chairs(registry, options))[0], registry, options.strategy) if several else (),
    )


def _chairs(registry: Registry, options: Options) -> Iterable[Seat]:
    """Who may write the final answer: the model or tier that the registry names, else the complex tier.

    Where it names a model, the complex tier stands in for it.
    """
    tier = "complex" if "complex" in registry.tiers else options.tier
    named: str = registry.strategies.get(options.strategy, NOTHING).get("chair", "")
    if named in registry.tiers:
        return registry.tiers[named].seats
    first = (registry.seats[named],) if named in registry.seats else ()
    return (*first, *registry.tiers[tier].seats)


def _named_first(chairs: Iterable[Seat], registry: Registry, strategy: Strategy) -> tuple[Seat, ...]:
    named = registry.strategies.get(strategy, NOTHING).get("chair")
    return tuple(sorted(chairs, key=lambda seat: seat.id != named))


def _with_room(
    seats: Iterable[Seat], calls: int, room: Callable[[Seat], float]
) -> tuple[tuple[Seat, ...], tuple[Exclusion, ...]]:
    """Leaves out who could not make all of its calls: a stage that starts should not fail for want of a later one.

    Models of one account are taken to share its limits; with few requests left that may leave one out too early.
    """
    kept: list[Seat] = []
    short: list[Exclusion] = []
    planned: Counter[str] = Counter()
    for seat in seats:
        if room(seat) >= planned[seat.provider.id] + calls:
            planned[seat.provider.id] += calls
            kept.append(seat)
        else:
            short.append(Exclusion(seat, f"its limits leave too little for {calls} call(s) of every stage"))
    return tuple(kept), tuple(short)


def _one_of_each_family_first(seats: Iterable[Seat]) -> tuple[Seat, ...]:
    """Models of one family err together: the second of a family is asked after the first of every other."""
    asked: Counter[str] = Counter()
    turns: list[tuple[int, Seat]] = []
    for seat in seats:
        turns.append((asked[seat.model.family], seat))
        asked[seat.model.family] += 1
    return tuple(seat for _, seat in sorted(turns, key=lambda turn: turn[0]))


def _walked(options: Options) -> int | None:
    """How many seats may be asked: as many as the caller said, else as the strategy walks by itself."""
    if options.council_size is not None:
        return options.council_size
    return SINGLE_QUERY_SEATS if options.strategy == "single-query" else None


def _ordered(
    seats: Iterable[Seat], doubt: Callable[[Seat], int], cost: Callable[[Seat], float], rng: random.Random
) -> Iterator[Seat]:
    """By doubt, then by rank; equal ranks share the load by the better of two random choices.

    Two choices spread load almost as evenly as knowing every queue would, and never send everybody to the one seat
    that looks best (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001).
    """
    groups: dict[tuple[int, int], list[Seat]] = {}
    for seat in seats:
        groups.setdefault((doubt(seat), seat.rank), []).append(seat)
    for key in sorted(groups):
        equals = groups[key]
        yield from equals if len(equals) == 1 else _two_choices([(cost(seat), seat) for seat in equals], rng)


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
    """What a request needs of any seat; `tokens` is its text alone."""

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
        tokens=sum([len(part.text) for part in parts if isinstance(part, Text)]) // _BYTES_PER_TOKEN,
    )


def _unsuitable(seat: Seat, needs: _Needs) -> str | None:
    supports = seat.model.supports
    for capability in needs.capabilities:
        if supports is not None and not _has(supports, capability):
            return f"does not support {capability}"
    if needs.openai_wire and seat.target.adapter in NATIVE_ADAPTERS:
        return "its wire has no place for audio or files"
    if seat.model.limits or seat.provider.limits:
        need = counters.need_for(seat, needs.prompt_tokens, needs.request.params.get("max_tokens"))
        if too_large := counters.too_large(seat, need):
            return too_large
    if seat.model.context is not None and needs.tokens > seat.model.context:
        return f"about {needs.tokens} tokens are more than its context of {seat.model.context}"
    return None


def _has(supports: frozenset[str], capability: str) -> bool:
    return capability in supports or (capability == "json" and "json_schema" in supports)
