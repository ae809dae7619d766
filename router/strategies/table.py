"""The table of strategies: what planning, pricing, progress events, the registry and the documentation know of each.

Only this table and `decide` know a strategy by its name. The table imports values alone, so that every room above the
core may read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import cycle, islice
from types import MappingProxyType

from router.core.context import Options
from router.core.plan import Plan
from router.core.registry import Registry, Seat
from router.core.strategy_options import (
    CouncilOptions,
    CouncilStyle,
    FusionOptions,
    Strategy,
    StrategyOptions,
    VoteOptions,
    WalkOptions,
)
from router.core.tokens import text_tokens

MAX_CHAIRS = 3  # one, and up to two others if it fails before its first byte
WORDING_TOKENS = 512  # more than our own wordings, the form of a reply and the fences come to in one prompt
_REPLY_TOKENS = 4_096  # of a reply that is not bounded by the caller and is read again: a review, or one to be repaired
DEFAULT_STRATEGY: Strategy = "single-query"
"""For requests that name none, and for those that pin a model where the default cannot be pinned."""
DEFAULT_ESCALATION: Strategy = "synthesize-best"
"""What takes over from a weak vote where the registry names only a tier for that."""


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One kind of calls that a strategy makes: at most `calls`, to seats of the `pool`, some of them more than once.

    Each reads the caller's prompt, up to `reads` answers to it, and `extra_tokens` of our own wording and of replies to
    it. `capped` tells whether the caller's `max_tokens` bounds what is answered.
    """

    name: str
    calls: int
    pool: tuple[Seat, ...]
    reads: int = 0
    extra_tokens: int = 0
    capped: bool = True


@dataclass(frozen=True, slots=True)
class ReviewForm:
    """How much reviewing a style of council asks for.

    Ballots are asked for from `least` drafts on, in at most so many `rounds` (the second repairs ballots that could not
    be read); `reads_own` tells whether a reviewer reads its own draft too, `reply_tokens` how much of each review the
    chair reads.
    """

    least: int
    rounds: int
    reads_own: bool
    reply_tokens: int


REVIEW_FORMS: Mapping[CouncilStyle, ReviewForm] = MappingProxyType(
    {
        # Of two drafts, each author would read the other's alone, and a ranking of one says nothing.
        "quorum": ReviewForm(least=3, rounds=2, reads_own=False, reply_tokens=16),
        "karpathy": ReviewForm(least=2, rounds=1, reads_own=True, reply_tokens=_REPLY_TOKENS),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyFacts:
    """One strategy, described for the code that plans, prices, checks and documents it.

    A strategy that asks `several` seats takes one of each family before the second of any. The others ask one seat
    after another, by doubt and rank.
    """

    name: Strategy
    meaning: str  # one line for the documentation
    options: type[StrategyOptions]  # of its options in the registry
    seats: Callable[[int | None, int], int]  # asked first, by the size the request names (None: none) and the tier's
    own_stages: Callable[[Plan, bool], Iterator[StagePlan]]  # the flag: a stream that is cut goes on at another seat
    several: bool = False
    samples: bool = False  # seats are asked more than once where they are too few
    walk: int | None = None  # how many seats are asked one after another where the request names no size; None: all
    calls_of_a_seat: int = 1  # a seat is planned only if its limits leave room for so many
    pinnable: bool = False  # it can be held to one model
    deferred: bool = False  # votes are written with the decision, which says what they counted for
    chaired: bool = False  # a chair writes the answer
    wordings: tuple[str, ...] = ()  # the keys of the prompts that the registry may replace

    def size(self, plan: Plan) -> int:
        """How many seats the plan's request asks first, if there are so many."""
        return self.seats(plan.options.council_size, plan.tier.council_size)

    def walked(self, options: Options) -> int | None:
        """How many seats may be in a plan; None where there is no bound."""
        return None if self.several else options.council_size or self.walk

    def first_asked(self, plan: Plan) -> tuple[Seat, ...]:
        """The seats of the calls that are made at once as it begins, best first; a sampled seat appears repeatedly."""
        seats = cycle(plan.seats) if self.samples else plan.seats
        return tuple(islice(seats, self.size(plan)))

    def stages(self, plan: Plan) -> tuple[StagePlan, ...]:
        """The most calls that may be sent, by stage, those of an escalation included."""
        if not plan.seats:
            return ()
        goes_on = plan.registry.strategies[plan.strategy].on_cut == "continue"
        further = _further(plan)
        more = STRATEGIES[further.strategy].own_stages(further, goes_on) if further and further.seats else ()
        return (*self.own_stages(plan, goes_on), *more)

    def most_calls(self, plan: Plan) -> int:
        """The most calls that may be sent: everything fails that can, and neither retry budget nor time runs out."""
        return sum(stage.calls for stage in self.stages(plan))


def size_of(plan: Plan) -> int:
    """How many seats a plan's strategy asks first, if there are so many."""
    return STRATEGIES[plan.strategy].size(plan)


def quorum_of(planned: int) -> int:
    """How many valid answers a decision should rest on: most of those planned, and two unless one was planned."""
    return min(planned, max(2, planned // 2 + 1))


def chair_candidates(registry: Registry, options: Options) -> tuple[Seat, ...]:
    """The seats that may write the final answer: the model or tier that the registry names, else the complex tier.

    Where it names a model, the complex tier stands in for it; without such a tier it is the request's own.
    """
    configured = registry.strategies[options.strategy]
    named = configured.chair if isinstance(configured, FusionOptions) else None
    if named is not None and named in registry.tiers:
        return registry.tiers[named].seats
    first = (registry.seats[named],) if named is not None and named in registry.seats else ()
    rest = registry.tiers["complex" if "complex" in registry.tiers else options.tier].seats
    return (*first, *(seat for seat in rest if seat.id != named))


def _further(plan: Plan) -> Plan | None:
    """The plan of the strategy that may take over, with every seat that could be in it, since it is made only then.

    For the same reason its order is not known: a seat that may be asked twice stands first, as that is the most calls.
    """
    options = plan.onward
    if options is None:
        return None
    registry, tier = plan.registry, plan.registry.tiers[options.tier]
    seats = sorted((seat for seat in tier.seats if seat.routable), key=lambda seat: not seat.provider.retries)
    chairs = chair_candidates(registry, options) if STRATEGIES[options.strategy].chaired else ()
    return Plan(
        registry=registry,
        options=options,
        seats=tuple(seats),
        excluded=(),
        timeout_s=plan.timeout_s,
        chairs=tuple(seat for seat in chairs if seat.routable),
    )


# --- the most calls of each ------------------------------------------------------------------------------------------


def _walk_stages(plan: Plan, goes_on: bool) -> Iterator[StagePlan]:
    """Each seat once, and one of them twice.

    That is the first seat after a short `Retry-After` or the last one after a fault, if its provider has `retries`; or
    the last one in any case, when its stream was cut and somebody has to go on.
    """
    seats = plan.seats[: STRATEGIES[plan.strategy].walked(plan.options)]
    again = goes_on or any(seat.provider.retries for seat in (seats[0], seats[-1]))
    yield StagePlan("answer", len(seats) + again, plan.seats, reads=int(goes_on))


def _vote_stages(plan: Plan, goes_on: bool) -> Iterator[StagePlan]:
    seats, size = plan.seats, size_of(plan)
    free_text = plan.options.free_text or plan.settings(VoteOptions).free_text
    if free_text == "cluster" and size > 1 and not plan.options.labels:
        # Nobody fails, but no two agree; then every seat fails to group the answers but the last, which is misread.
        yield StagePlan("votes", size, seats)
        grouping = StagePlan("grouping", len(seats), seats, reads=size, extra_tokens=WORDING_TOKENS, capped=False)
        yield grouping
        yield _repairing(grouping, "grouping repair", 1)
    elif size > len(seats):
        yield StagePlan("votes", size, seats)
        yield StagePlan("tie-breaker", 1, seats)
    else:
        yield StagePlan("votes", len(seats), seats)  # a voter that fails is replaced, and a tie broken, by the others


def _synthesis_stages(plan: Plan, goes_on: bool) -> Iterator[StagePlan]:
    drafts = min(size_of(plan), len(plan.seats))
    yield from _fused(plan, goes_on, drafts) if drafts > 1 else (_lone_drafts(plan),)


def _council_stages(plan: Plan, goes_on: bool) -> Iterator[StagePlan]:
    options, size = plan.settings(CouncilOptions), size_of(plan)
    members = min(size, len(plan.seats))
    refused = (plan.options.on_no_quorum or options.on_no_quorum) == "fail" and members < quorum_of(size)
    if members < 2 or refused:
        yield _lone_drafts(plan)
        return
    form = REVIEW_FORMS[options.style]
    ballots = members if members >= form.least else 0
    drafts, *chair = _fused(plan, goes_on, members, extra_tokens=ballots * form.reply_tokens)
    yield drafts
    if ballots:
        read = members if form.reads_own else members - 1
        extra = WORDING_TOKENS + _replaced_tokens(options)
        reviewing = StagePlan("ballots", ballots, plan.seats, reads=read, extra_tokens=extra, capped=False)
        yield reviewing
        if form.rounds > 1:
            yield _repairing(reviewing, "repairs", ballots)
    yield from chair


def _repairing(stage: StagePlan, name: str, calls: int) -> StagePlan:
    """Calls that ask once more, with the reply that could not be read."""
    return replace(stage, name=name, calls=calls, extra_tokens=stage.extra_tokens + _REPLY_TOKENS)


def _replaced_tokens(options: FusionOptions) -> int:
    """The length of the registry's own wordings."""
    return sum(text_tokens(len(wording)) for wording in options.prompts.values())


def _lone_drafts(plan: Plan) -> StagePlan:
    """Drafts of which at most one can be used, or too few: a failed one is replaced while there are seats."""
    return StagePlan("drafts", len(plan.seats), plan.seats)


def _fused(plan: Plan, goes_on: bool, drafts: int, *, extra_tokens: int = 0) -> Iterator[StagePlan]:
    """Drafts, of which failed ones are replaced while there are seats, and the chairs that read them.

    A chair whose own draft has failed is not asked. Where each further draft would cost a chair, chairs are counted,
    since they read more.
    """
    chairs = min(MAX_CHAIRS, len(plan.chairs))
    forgone = chairs - min(MAX_CHAIRS, _chairs_left(plan, drafts))
    yield StagePlan("drafts", len(plan.seats) - forgone, plan.seats)
    if chairs:
        again = goes_on or any(seat.provider.retries for seat in plan.chairs)
        extra = WORDING_TOKENS + _replaced_tokens(plan.settings(FusionOptions)) + extra_tokens
        yield StagePlan("chair", chairs + again, plan.chairs, reads=drafts + goes_on, extra_tokens=extra)


def _chairs_left(plan: Plan, drafts: int) -> int:
    """The most chairs that are left when every seat had to be asked to get so many drafts.

    The seat that was asked last has answered, and so have `drafts` - 1 of the others: at best those that are chairs.
    """
    if drafts == len(plan.seats):
        return len(plan.chairs)
    in_danger = {seat.id for seat in plan.seats[:-1]}
    safe = sum(seat.id not in in_danger for seat in plan.chairs)
    return safe + min(drafts - 1, len(plan.chairs) - safe)


# --- the table -------------------------------------------------------------------------------------------------------


def _voters(wanted: int | None, of_tier: int) -> int:
    """As many as the caller said; else the tier's size, one less where it is even: an even panel ties more often."""
    return wanted or (of_tier - 1 if of_tier % 2 == 0 and of_tier > 2 else of_tier)


_FACTS = (
    StrategyFacts(
        name="single-query",
        meaning="the best-placed seat answers; if it fails before its first byte, up to two others are asked",
        options=WalkOptions,
        seats=lambda wanted, of_tier: 1,
        walk=3,
        own_stages=_walk_stages,
        pinnable=True,
    ),
    StrategyFacts(
        name="majority-vote",
        meaning="several seats answer, and what most of their weight says is the answer",
        options=VoteOptions,
        seats=_voters,
        own_stages=_vote_stages,
        several=True,
        samples=True,
        deferred=True,
    ),
    StrategyFacts(
        name="synthesize-best",
        meaning="several seats write a draft each, and one that wrote none makes the answer of them",
        options=FusionOptions,
        seats=lambda wanted, of_tier: wanted or 3,
        own_stages=_synthesis_stages,
        several=True,
        deferred=True,
        chaired=True,
        wordings=("synthesize",),
    ),
    StrategyFacts(
        name="ranked-fallback",
        meaning="the seats of the tier are asked in the order of their ranks until one answers",
        options=WalkOptions,
        seats=lambda wanted, of_tier: 1,
        own_stages=_walk_stages,
        pinnable=True,
    ),
    StrategyFacts(
        name="council",
        meaning="several seats write a draft each and rank the others' without names; a chairman writes the answer",
        options=CouncilOptions,
        seats=lambda wanted, of_tier: wanted or of_tier,
        own_stages=_council_stages,
        several=True,
        calls_of_a_seat=2,  # a draft and a ballot
        deferred=True,
        chaired=True,
        wordings=("review", "repair", "chair"),
    ),
)
STRATEGIES: Mapping[Strategy, StrategyFacts] = MappingProxyType({facts.name: facts for facts in _FACTS})
