"""The first stage of council and synthesize-best: several seats answer the same request, each by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router.calls.calls import Ask, Calls
from router.core.decision import Mark
from router.core.plan import Plan
from router.core.stages import DraftsGathered
from router.core.vote import Vote
from router.strategies.stragglers import grace
from router.strategies.table import quorum_of, size_of


@dataclass(frozen=True, slots=True)
class StageSummary:
    """How long a stage took and how many of its calls were answered, for `explain`."""

    stage: str
    ms: float
    calls: int
    ok: int

    @classmethod
    def of(cls, stage: str, votes: Sequence[Vote], seconds: float) -> StageSummary:
        """The stage that these votes made up."""
        return cls(stage, round(seconds * 1000, 1), len(votes), sum(vote.ok for vote in votes))


@dataclass(frozen=True, slots=True)
class Drafts:
    """All votes of the stage, and those that can be used: best seat first, whole answers with text or tool calls."""

    planned: int
    votes: tuple[Vote, ...]
    usable: tuple[Vote, ...]
    stage: StageSummary

    @property
    def quorum(self) -> int:
        """How many drafts a fused answer should rest on."""
        return quorum_of(self.planned)

    @property
    def quorum_met(self) -> bool:
        """Whether so many came."""
        return len(self.usable) >= self.quorum

    @property
    def call_tools(self) -> bool:
        """Whether a draft calls tools: such answers can be chosen, but not fused."""
        return any(_calls_tools(vote) for vote in self.usable)

    @property
    def best(self) -> Vote:
        """The best seat's draft of the commoner kind: tool calls or text."""
        kinds = Counter(_calls_tools(vote) for vote in self.usable)
        wanted = kinds[True] >= kinds[False]
        return next(vote for vote in self.usable if _calls_tools(vote) is wanted)


async def gather_drafts(plan: Plan, calls: Calls, share: float) -> Drafts:
    """Asks the plan's first seats at once, within a share of the time left; the other seats replace failures."""
    planned, began_s = size_of(plan), calls.remaining_s()
    members, spares = plan.seats[:planned], plan.seats[planned:]
    votes = await calls.gather(
        [Ask(seat, role="draft", ballot={"seed": calls.seed}) for seat in members],
        timeout_s=began_s * share,
        grace=grace(len(members), len(spares)),
        spares=spares,
    )
    places = {seat.id: place for place, seat in enumerate(plan.seats)}
    answered = sorted((vote for vote in votes if vote.ok), key=lambda vote: places[vote.seat.id])
    # Where all refuse, one refusal is what the caller gets.
    usable = [vote for vote in answered if _usable(vote)] or answered[:1]
    stage = StageSummary.of("drafts", votes, began_s - calls.remaining_s())
    calls.tell(DraftsGathered(planned, len(usable), stage.ms))
    return Drafts(planned, tuple(votes), tuple(usable), stage)


def draft_mark(vote: Vote, drafts: Drafts, ballot: Mapping[str, Any]) -> Mark:
    """The mark of a draft: whether it could be used, and in `ballot` how it was shown and where it came."""
    usable = vote in drafts.usable
    return Mark(valid=usable, counted=usable, ballot={**(vote.ballot or {}), **ballot})


def _usable(vote: Vote) -> bool:
    return vote.answer is not None and bool(vote.answer.text.strip() or vote.answer.tool_calls)


def _calls_tools(vote: Vote) -> bool:
    return vote.answer is not None and bool(vote.answer.tool_calls)
