"""The first stage of every strategy that fuses: some seats answer the same request, each by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.errors import ErrorKind, ProviderError
from router.calls.calls import Ask, Calls
from router.core.decision import Mark
from router.core.plan import Plan
from router.core.vote import Vote

_LEAST_GRACE_S = 0.25
_LONGEST_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage took and brought, for `explain`."""

    stage: str
    ms: float
    calls: int
    ok: int

    @classmethod
    def of(cls, stage: str, votes: Sequence[Vote], seconds: float) -> Stage:
        """The stage that these votes made up."""
        return cls(stage, round(seconds * 1000, 1), len(votes), sum(vote.ok for vote in votes))


@dataclass(frozen=True, slots=True)
class Drafts:
    """All votes of the stage, and those that can be used: best seat first, whole answers with text or tool calls."""

    planned: int
    votes: tuple[Vote, ...]
    usable: tuple[Vote, ...]
    stage: Stage

    @property
    def quorum(self) -> int:
        """How many of the planned drafts a fused answer should rest on: most of them, and at least two."""
        return 1 if self.planned == 1 else max(2, self.planned // 2 + 1)

    @property
    def quorum_met(self) -> bool:
        """Whether so many came."""
        return len(self.usable) >= self.quorum

    @property
    def call_tools(self) -> bool:
        """True when a draft wants tools called: such answers can be chosen, but not fused."""
        return any(_calls_tools(vote) for vote in self.usable)

    @property
    def best(self) -> Vote:
        """The best seat's draft of the commoner kind: tool calls or text."""
        kinds = Counter(_calls_tools(vote) for vote in self.usable)
        wanted = kinds[True] >= kinds[False]
        return next(vote for vote in self.usable if _calls_tools(vote) is wanted)


async def gather_drafts(plan: Plan, calls: Calls, count: int, share: float) -> Drafts:
    """Asks the first `count` seats at once, within a share of the time left; the other seats replace failures."""
    members, spares = plan.seats[:count], plan.seats[count:]
    began_s = calls.remaining_s()
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
    stage = Stage.of("drafts", votes, began_s - calls.remaining_s())
    calls.tell("drafts", planned=count, usable=len(usable), ms=stage.ms)
    return Drafts(count, tuple(votes), tuple(usable), stage)


def grace(asked: int, spares: int = 0) -> Callable[[Sequence[Vote], float], float | None]:
    """How long stragglers are waited for: for `straggler_s` once most of those that can answer have."""

    def more_s(votes: Sequence[Vote], elapsed_s: float) -> float | None:
        answered = sum(vote.ok for vote in votes)
        lost = max(0, len(votes) - answered - spares)
        if answered < max(2, (asked - lost) // 2 + 1):
            return None
        return straggler_s(elapsed_s)

    return more_s


def straggler_s(elapsed_s: float) -> float:
    """How long the slow are waited for when others have taken so long: half as long again.

    5 s at most, and a quarter of a second at least: among quick seats half as long again is no time at all.
    """
    return min(max(0.5 * elapsed_s, _LEAST_GRACE_S), _LONGEST_GRACE_S)


def failure(votes: Iterable[Vote]) -> ProviderError:
    """The error that is the caller's when no draft came: the last that a seat gave."""
    errors = [vote.error for vote in votes if vote.error and vote.error.kind is not ErrorKind.CANCELLED]
    return errors[-1] if errors else ProviderError(ErrorKind.TIMEOUT, "no seat answered within the deadline")


def draft_mark(vote: Vote, drafts: Drafts, ballot: Mapping[str, Any]) -> Mark:
    """What is noted of a draft: whether it could be used, and in `ballot` how it was shown and how it did."""
    usable = vote in drafts.usable
    return Mark(valid=usable, counted=usable, ballot={**(vote.ballot or {}), **ballot})


def _usable(vote: Vote) -> bool:
    return vote.answer is not None and bool(vote.answer.text.strip() or vote.answer.tool_calls)


def _calls_tools(vote: Vote) -> bool:
    return vote.answer is not None and bool(vote.answer.tool_calls)
