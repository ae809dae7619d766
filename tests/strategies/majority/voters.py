"""Voters that say what they are told to, in a set order of arrival: the real calls, with attempts that are played."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from adapters.errors import ErrorKind, ProviderError
from adapters.types import Answer, ChatRequest, Delta
from router.attempts.attempt import Attempt
from router.calls.calls import Calls
from router.core.clock import Clock
from router.core.context import Options
from router.core.decision import Choice, Refusal
from router.core.plan import Plan
from router.core.registry import Registry
from router.core.sink import Speaker
from router.core.stages import to_document
from router.core.tasks import CancelReason, cancel_reason
from router.core.vote import Vote
from router.routing.planner import make_plan
from router.strategies.majority.majority_vote import majority_vote
from router.strategies.majority.ruling import recount
from tests.core.test_vote import vote
from tests.strategies.sitting import calls_of
from tests.support.small_registry import CLEAR, FakeTime, asking, context, registry

HANGS = "hangs"
Says = str | Answer | ErrorKind
_TURNS = 12  # of the loop between two arrivals: the one who waits sees each of them alone


def panel_of(
    count: int, *, council_size: int = 3, weights: Sequence[float] = (), options: str = "", **model: str
) -> Registry:
    """A registry of so many seats `p0/m0`, `p1/m1`, … in the order of their ranks, each of a family of its own."""
    lines = ["version: 1", f"tiers: {{cheap: {{council_size: {council_size}, total: 60s}}}}"]
    lines += [f"strategies: {{majority-vote: {{{options}}}}}", "providers:"]
    facts = "".join(f", {name}: {value}" for name, value in model.items())
    for at in range(count):
        weight = weights[at] if weights else 1.0
        entry = f"{{tier: cheap, rank: {at}, family: f{at}, weight: {weight}{facts}}}"
        lines += [f"  p{at}:", "    adapter: openai", "    api_key: ${KEY}", f"    models: {{m{at}: {entry}}}"]
    return registry("\n".join(lines) + "\n")


class Voters:
    """A vote in which seat `p0/m0` says the first of `says`, and so on; a list of answers is for one call each.

    Answers arrive in the order in which the seats are asked, one by one, or in that of `arrive` (numbers of calls);
    who `hangs` never answers.
    """

    def __init__(
        self,
        *says: Says | list[Says],
        home: Registry | None = None,
        request: ChatRequest | None = None,
        arrive: Sequence[int] = (),
        streamed: bool = False,
        clock: Clock | None = None,
        deadline_s: float = 60.0,
        **options: Any,
    ) -> None:
        home = home or panel_of(len(says), council_size=len(says))
        wanted = Options(**{"strategy": "majority-vote", "tier": "cheap", **options})
        clock, request = clock or FakeTime().clock, request or asking()
        self.plan: Plan = make_plan(home, wanted, request, CLEAR, rng=random.Random(1))
        self.asked: list[Attempt] = []
        self.heard = ""
        self.told: list[dict[str, Any]] = []
        self._says = {f"p{at}/m{at}": list(say) if isinstance(say, list) else [say] for at, say in enumerate(says)}
        self._arrive = arrive
        self._ended: dict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.calls = calls_of(
            context(clock, home, options=wanted, deadline_s=deadline_s),
            request,
            self,
            clock,
            hear=lambda stage: self.told.append(to_document(stage)),
            deliver=self._deliver if streamed else None,
            deferred=True,
        )

    async def decide(self) -> Choice:
        return await majority_vote(self.plan, self.calls)

    @property
    def seats(self) -> list[str]:
        return [attempt.seat.id for attempt in self.asked]

    @property
    def outcomes(self) -> dict[str, str]:
        return {made.seat.id: made.outcome for made in self.calls.votes}

    async def run(self, attempt: Attempt) -> Vote:
        self.asked.append(attempt)
        at = len(self.asked) - 1
        said = self._says[attempt.seat.id]
        say = said.pop(0) if len(said) > 1 else said[0]
        facts = {
            "seat": attempt.seat,
            "seq": attempt.seq,
            "role": attempt.role,
            "vote_id": f"v{attempt.seq}",
            "ballot": attempt.ballot,
            "sent": True,
        }
        try:
            await self._turn(at, say)
        except asyncio.CancelledError:
            if cancel_reason() is not CancelReason.NOT_NEEDED:
                raise
            error = ProviderError(ErrorKind.CANCELLED, "no longer needed")
            return vote(**facts, outcome="cancelled_early", error=error)
        if isinstance(say, ErrorKind):
            return vote(**facts, outcome="failed", error=ProviderError(say, "no"))
        return vote(**facts, answer=say if isinstance(say, Answer) else Answer(self._filled(say, attempt)))

    async def _turn(self, at: int, say: Says) -> None:
        if say == HANGS:
            self._ended[at].set()
            await asyncio.Event().wait()
        place = self._arrive.index(at) if at in self._arrive else -1
        if place > 0:
            await self._ended[self._arrive[place - 1]].wait()
        elif place < 0 and at > 0 and not self._arrive:
            await self._ended[at - 1].wait()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._ended[at].set()

    def _filled(self, text: str, attempt: Attempt) -> str:
        """An answer that echoes the code of the question it was asked with."""
        system = attempt.request.messages[0].text
        return text.replace("$nonce", system.rpartition('{"nonce": "')[2].partition('"')[0])

    async def _deliver(self, delta: Delta, speaker: Speaker) -> bool:
        self.heard += delta.text
        return True


def rows(calls: Calls, decision: Choice) -> list[dict[str, Any]]:
    """The rows of the log, as far as a recount reads them."""

    def row(vote: Vote) -> dict[str, Any]:
        mark = decision.marks.get(vote.vote_id)
        facts = asdict(mark) if mark else {"answer_key": None, "counted": False, "ballot": vote.ballot, "weight": None}
        names = {"provider": vote.seat.provider.id, "model": vote.seat.model.id}
        return {"vote_id": vote.vote_id, "role": vote.role, "seq": vote.seq, **names, **facts}

    return [row(vote) for vote in calls.votes]


def again(voters: Voters, decision: Choice) -> dict[str, Any]:
    """What counting the logged votes again by the logged rule says, under the decision's own names."""
    ruling = recount(reversed(rows(voters.calls, decision)), decision.rule)
    counted = ruling.count
    return {
        "answer_key": ruling.key,
        "votes_counted": counted.counted,
        "agreement": counted.agreement,
        "margin": counted.margin,
        "tie": counted.tie,
        "quorum_met": counted.quorum_met,
        "low_confidence": counted.low_confidence,
        "winner": counted.winner.vote_id if counted.winner and not ruling.refused else None,
        "code": ruling.refused,
    }


def decided(decision: Choice) -> dict[str, Any]:
    names = ("answer_key", "votes_counted", "agreement", "margin", "tie", "quorum_met", "low_confidence")
    return {
        **{name: getattr(decision, name) for name in names},
        "winner": decision.winner.vote_id if decision.winner else None,
        "code": refusal_code(decision),
    }


def refusal_code(decision: Choice) -> str | None:
    """Why the strategy itself refused, if it did."""
    return decision.error.code if isinstance(decision.error, Refusal) else None
