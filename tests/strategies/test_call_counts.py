"""How many calls a strategy may send at most: what its table says, and what adversaries bring it to send.

Every strategy is held at every size against seats that fail, disagree or cannot be read in the ways below. None may
bring it to more calls than the table says, and one must bring it to as many.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from adapters.errors import ErrorKind, ProviderError
from router.attempts.attempt import Attempt
from router.core.plan import Plan
from router.core.registry import MAX_COUNCIL_SIZE, Registry
from router.core.strategy_options import Strategy
from router.routing.escalation import is_due
from router.routing.planner import make_plan
from router.strategies.decide import decide
from router.strategies.table import STRATEGIES
from tests.strategies.sitting import Reply, Says, Sitting
from tests.support.small_registry import CLEAR, FakeTime, asking, ids, registry

SIZES = (None, *range(1, MAX_COUNCIL_SIZE + 1))
PROSE = "That depends on more than can be said in a word or two, and so it takes a sentence like this one, number {}."
LABELS = tuple(f"label {number}" for number in range(12))


def home(
    members: int,
    chairs: int,
    *,
    both: int = 0,
    retries: int = 0,
    patient: str = "",
    strategies: str = "{}",
    council_size: int = 4,
) -> Registry:
    """So many members in tier `members`, `both` of which are in tier `complex` too, beside so many more `chairs`.

    Without any of these there is no tier `complex`, and the members are their own chairs. The seat of one `patient`
    provider may be asked twice whatever `retries` say.
    """
    tiers = [f"members: {{council_size: {council_size}}}", *(["complex: {council_size: 3}"] if chairs + both else [])]
    entries = [(f"m{at}", "{members: 1, complex: 1}" if at < both else "members", at) for at in range(members)]
    entries += [(f"c{at}", "complex", at) for at in range(chairs)]
    lines = ["version: 1", f"defaults: {{strategy: council, tier: members, retries: {retries}}}"]
    lines += [f"tiers: {{{', '.join(tiers)}}}", f"strategies: {strategies}", "providers:"]
    for name, tier, rank in entries:
        price = f"price: {{input: 1, output: {rank + 1}}}"
        model = f"{{tier: {tier}, family: {name}, {price}}}"
        lines += [f"  {name}:", "    adapter: openai", "    api_key: ${KEY}", f"    models: {{model: {model}}}"]
        lines += ["    retries: 1"] if name == patient else []
    return registry("\n".join(lines) + "\n")


ON_CUT = ", ".join(f"{name}: {{on_cut: continue}}" for name in STRATEGIES)
ESCALATES = "{{majority-vote: {{escalate: complex/{}}}}}".format
HOMES: Mapping[str, Registry] = {
    "spare seats, chairs of their own": home(10, 4, retries=1),
    "few seats, few chairs": home(3, 2),
    "a single seat": home(1, 1, retries=1),
    "no complex tier": home(5, 0, retries=1),
    "no complex tier, no spare seat": home(2, 0, council_size=2),
    "members among the chairs": home(6, 1, both=2),
    "most members among the chairs": home(5, 0, both=4, retries=1),
    "one seat may be asked twice": home(5, 2, patient="m1"),
    "cut streams go on": home(3, 3, strategies=f"{{{ON_CUT}}}"),
}
HOMES_OF: Mapping[Strategy, Mapping[str, Registry]] = {
    "majority-vote": {
        "free text is grouped": home(4, 2, strategies="{majority-vote: {free_text: cluster}}"),
        "it escalates to a council": home(4, 5, retries=1, strategies=ESCALATES("council")),
        "it escalates to a synthesis": home(2, 4, strategies=ESCALATES("synthesize-best")),
        "it escalates to a walk": home(2, 5, retries=1, strategies=ESCALATES("single-query")),
        "it groups and escalates": home(
            3, 3, strategies="{majority-vote: {free_text: cluster, escalate: complex/council}}"
        ),
    },
    "synthesize-best": {
        "a member is the chair by name": home(4, 3, strategies="{synthesize-best: {chair: m0/model}}"),
    },
    "council": {
        "names are shown": home(6, 3, strategies="{council: {style: karpathy}}"),
        "no answer without quorum": home(3, 3, strategies="{council: {on_no_quorum: fail}}"),
        "a chair by name": home(4, 3, strategies="{council: {chair: c2/model}}"),
    },
}
"""Homes that differ in the options of one strategy alone."""


# --- adversaries ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Adversary:
    """What seats do to a request: `says` makes a script for a plan; with `labels` the request is a vote on them."""

    says: Callable[[Plan], Says]
    labels: tuple[str, ...] = ()


def everything_fails(plan: Plan) -> Says:
    return lambda attempt: ErrorKind.SERVER_ERROR


def all_is_well(plan: Plan) -> Says:
    return lambda attempt: "yes" if attempt.role == "answer" else None


def the_first_asks_for_a_moment(plan: Plan) -> Says:
    """The best-placed seat asks to come back at once, and all others are broken."""
    moment = ProviderError(ErrorKind.RATE_LIMITED, "a moment", retry_after_s=0.0)
    return lambda attempt: moment if attempt.seat == plan.seats[0] else ErrorKind.SERVER_ERROR


def nobody_ranks_and_nobody_chairs(plan: Plan) -> Says:
    return lambda attempt: {"ballot": "I would rather not.", "chair": ErrorKind.SERVER_ERROR}.get(attempt.role)


def drafts_fail_too(plan: Plan) -> Says:
    """As many drafts fail as can be replaced, chairs last of all; then nobody ranks and nobody chairs."""
    drafts = min(STRATEGIES[plan.strategy].size(plan), len(plan.seats))
    chairs = set(ids(plan.chairs))
    *others, last = ids(plan.seats)
    safe = {last, *sorted(others, key=lambda seat: seat not in chairs)[: drafts - 1]}
    later = nobody_ranks_and_nobody_chairs(plan)
    broken = ErrorKind.SERVER_ERROR

    def says(attempt: Attempt) -> Reply | None:
        return broken if attempt.role == "draft" and attempt.seat.id not in safe else later(attempt)

    return says


def streams_are_cut_too(plan: Plan) -> Says:
    """The same, but what is streamed breaks off in the midst of the answer."""
    later = drafts_fail_too(plan)
    return lambda attempt: "cut" if attempt.deliver else later(attempt)


def every_vote_is_another(plan: Plan) -> Says:
    return lambda attempt: str(attempt.seq)


def every_vote_is_another_label(plan: Plan) -> Says:
    return lambda attempt: LABELS[attempt.seq % len(LABELS)]


def one_vote_is_spoiled_and_the_rest_fail(plan: Plan) -> Says:
    """All voters fail but the last, and that says nothing that counts: too little for a decision, but no failure."""
    return lambda attempt: "neither" if attempt.seq >= len(plan.seats) else ErrorKind.SERVER_ERROR


def prose_that_nobody_groups(plan: Plan) -> Says:
    """No two answers agree, every seat fails to group them but the last, and that one cannot be read, twice."""
    judges: list[str] = []

    def says(attempt: Attempt) -> Reply:
        if attempt.role != "judge":
            return PROSE.format(attempt.seq)
        judges.append(attempt.seat.id)
        return ErrorKind.SERVER_ERROR if len(judges) < len(plan.seats) else "They all agree."

    return says


ADVERSARIES: Mapping[str, Adversary] = {
    "everything fails": Adversary(everything_fails),
    "all is well": Adversary(all_is_well),
    "the first asks for a moment": Adversary(the_first_asks_for_a_moment),
    "streams are cut too": Adversary(streams_are_cut_too),
    "nobody ranks, nobody chairs": Adversary(nobody_ranks_and_nobody_chairs),
    "drafts fail too": Adversary(drafts_fail_too),
    "every vote is another": Adversary(every_vote_is_another),
    "every vote is another label": Adversary(every_vote_is_another_label, LABELS),
    "one vote is spoiled, the rest fail": Adversary(one_vote_is_spoiled_and_the_rest_fail, LABELS),
    "prose that nobody groups": Adversary(prose_that_nobody_groups),
}


# --- the play ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Played:
    """What was asked of whom, and what the table says of the plan."""

    plan: Plan
    asked: list[str]

    @property
    def most(self) -> int:
        return STRATEGIES[self.plan.strategy].most_calls(self.plan)

    @property
    def first(self) -> list[str]:
        return ids(STRATEGIES[self.plan.strategy].first_asked(self.plan))


async def played(adversary: Adversary, strategy: Strategy, known: Registry, size: int | None) -> Played:
    """Runs one request as the daemon does. Time stands still: no failure comes too late to be made good."""
    script: list[Says] = []
    play = Sitting(
        lambda attempt: script[-1](attempt),
        strategy=strategy,
        home=known,
        clock=FakeTime().clock,
        council_size=size,
        labels=adversary.labels,
        streamed=known.strategies[strategy].on_cut == "continue",
    )
    script.append(adversary.says(play.plan))
    choice = await decide(play.plan, play.calls)
    if play.plan.onward is not None and is_due(play.plan, choice):
        further = make_plan(known, play.plan.onward, asking(), CLEAR, rng=random.Random(3))
        fails = drafts_fail_too(further)
        script.append(lambda attempt: ErrorKind.SERVER_ERROR if attempt.role == "answer" else fails(attempt))
        await decide(further, play.calls)
    return Played(play.plan, [attempt.seat.id for attempt in play.asked])


@pytest.mark.parametrize(
    ("strategy", "name"), [(name, place) for name in STRATEGIES for place in (*HOMES, *HOMES_OF.get(name, ()))]
)
async def test_no_adversary_brings_a_strategy_to_more_calls_than_it_says_and_one_to_as_many(
    strategy: Strategy, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {**HOMES, **HOMES_OF.get(strategy, {})}[name]
    monkeypatch.setattr("router.calls.failover._PAUSE_S", 0.0)
    for size in SIZES:
        plays = await asyncio.gather(*(played(adversary, strategy, known, size) for adversary in ADVERSARIES.values()))
        sent = {kind: len(play.asked) for kind, play in zip(ADVERSARIES, plays, strict=True)}
        most = max(play.most for play in plays if not play.plan.options.labels)
        assert max(sent.values()) == most, f"size {size}: {sent}"
        for kind, play in zip(ADVERSARIES, plays, strict=True):
            assert len(play.asked) <= play.most, f"size {size}: {kind}"
            assert play.asked[: len(play.first)] == play.first, f"size {size}: {kind}"
