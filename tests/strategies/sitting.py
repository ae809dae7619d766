"""A request whose seats say what a function says, run through the real plan, the real calls and the real strategy."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from adapters.errors import ErrorKind, ProviderError
from adapters.types import NOTHING, Answer, ChatRequest, Delta
from router.attempts.attempt import Attempt
from router.calls.calls import CallParts, Calls
from router.calls.hedging import Hedges
from router.core.clock import Clock
from router.core.context import Options, RequestContext
from router.core.decision import Choice
from router.core.plan import Plan
from router.core.registry import Registry
from router.core.sink import Deliver, Speaker
from router.core.stages import Stage
from router.core.strategy_options import Strategy
from router.core.tasks import CancelReason, cancel_reason
from router.core.vote import Vote, VoteOutcome
from router.guards.latency import LatencyTracker
from router.guards.retry_budget import RetryBudget
from router.observe.events import Hub
from router.routing.planner import make_plan
from tests.core.test_vote import vote
from tests.support.small_registry import CLEAR, asking, context, registry

NONCE = "5eed5eed5eed5eed"
MEMBERS = "abcde"  # m-a/model, m-b/model, …: the members of a council, best rank first
CHAIRS = ("c-1/model", "c-2/model")
_MODEL = "rank: {rank}, family: {name}, price: {{input: {rank}, output: {rank}}}, supports: [tools, json_schema]"
_PROVIDER = """\
  {name}:
    adapter: openai
    api_key: ${{KEY}}
    retries: 0
    models:
      model: {{tier: {tier}, """

AMPLE_RETRIES = 1_000
# "hangs": it never answers; "breaks": its stream falls silent within the answer; "cut": its stream ends within it
Reply = str | Answer | ErrorKind | ProviderError
Says = Callable[[Attempt], "Reply | None"]


def registry_text(members: str = MEMBERS) -> str:
    """Members of a tier of their own, each of its own family, and two chairs in the complex tier."""
    entries = [("members", f"m-{letter}", rank) for rank, letter in enumerate(members, start=1)]
    entries += [("complex", chair.split("/")[0], rank) for rank, chair in enumerate(CHAIRS, start=1)]
    providers = "".join(
        _PROVIDER.format(name=name, tier=tier) + _MODEL.format(name=name, rank=rank) + "}\n"
        for tier, name, rank in entries
    )
    tiers = "tiers:\n  members: {council_size: 4, total: 60s}\n  complex: {total: 180s}\n"
    head = "version: 1\ndefaults: {strategy: council, tier: members}\n"
    return f"{head}{tiers}providers:\n{providers}"


class Sitting:
    """One request. `says` is asked first; where it says None, everybody does what it should. `settings` are options of
    the strategy beside those of the registry, which is `home` if given, else one of the `members` and two chairs.

    A seat that should draft writes `draft of <seat>`, one that should rank puts better seats first, a chair writes
    `the answer`.
    """

    def __init__(
        self,
        says: Says = lambda attempt: None,
        *,
        strategy: Strategy = "council",
        members: str = MEMBERS,
        home: Registry | None = None,
        clock: Clock | None = None,
        settings: Mapping[str, Any] = NOTHING,
        request: ChatRequest | None = None,
        request_id: str = "request",
        deadline_s: float = 30.0,
        streamed: bool = False,
        **options: Any,
    ) -> None:
        self.asked: list[Attempt] = []
        self.stages: list[str] = []
        self.streamed: list[str] = []
        self._says = says
        self._request = request or asking("What is the capital of France?")
        known = home or registry(registry_text(members))
        set_here = {**known.strategies, strategy: replace(known.strategies[strategy], **settings)}
        self.plan: Plan = make_plan(
            replace(known, strategies=set_here),
            Options(strategy=strategy, tier="members", **options),
            self._request,
            CLEAR,
            rng=random.Random(7),
        )
        self._clock = clock or Clock(asyncio.get_running_loop().time)
        self._began = self._clock.monotonic()
        self.calls = calls_of(
            context(self._clock, self.plan.registry, id=request_id, options=self.plan.options, deadline_s=deadline_s),
            self._request,
            self,
            self._clock,
            hear=lambda stage: self.stages.append(stage.stage),
            deliver=self._deliver if streamed else None,
        )

    async def decide(self, strategy: Callable[..., Awaitable[Choice]]) -> Choice:
        return await strategy(self.plan, self.calls, nonce=lambda: NONCE)

    @property
    def took_s(self) -> float:
        return self._clock.monotonic() - self._began

    @property
    def roles(self) -> dict[str, int]:
        return dict(Counter(attempt.role for attempt in self.asked))

    def of(self, role: str) -> list[Attempt]:
        return [attempt for attempt in self.asked if attempt.role == role]

    def rows(self, decision: Choice) -> list[dict[str, Any]]:
        """The votes as the log keeps them, through JSON and back."""
        rows = [
            {"role": made.role, "counted": mark.counted, "valid": mark.valid, "ballot": mark.ballot or made.ballot}
            for made in self.calls.votes
            if (mark := decision.marks.get(made.vote_id)) is not None
        ]
        return list(json.loads(json.dumps(rows)))

    async def _deliver(self, delta: Delta, speaker: Speaker) -> bool:
        self.streamed.append(delta.text)
        return delta.commits

    async def run(self, attempt: Attempt) -> Vote:
        self.asked.append(attempt)
        reply = self._says(attempt)
        match _dutiful(attempt) if reply is None else reply:
            case "hangs":
                return await _silence(attempt)
            case "breaks" | "cut" as how:
                assert attempt.deliver is not None
                await attempt.deliver(Delta(text="the ans"), Speaker(attempt.seat, attempt.seq))
                kind = ErrorKind.STALLED if how == "breaks" else ErrorKind.BAD_RESPONSE
                return _vote(attempt, "failed", error=ProviderError(kind, "no more"), committed=True)
            case ErrorKind() as kind:
                return _vote(attempt, "failed", error=ProviderError(kind, "no"))
            case ProviderError() as error:
                return _vote(attempt, "failed", error=error)
            case Answer() as answer:
                made = answer
            case text:
                made = Answer(text)
        if attempt.deliver is not None:
            await attempt.deliver(Delta(text=made.text), Speaker(attempt.seat, attempt.seq))
        await asyncio.sleep(0)
        return _vote(attempt, "ok", answer=made)


class Overheard(Hub):
    """A hub that tells every stage of every request."""

    def __init__(self, hear: Callable[[Stage], None]) -> None:
        super().__init__()
        self._hear = hear

    def is_watched(self, request_id: str) -> bool:
        return True

    def reached(self, request_id: str, stage: Stage) -> None:
        self._hear(stage)


def calls_of(
    asked: RequestContext,
    request: ChatRequest,
    attempts: Any,
    clock: Clock,
    *,
    hear: Callable[[Stage], None],
    deliver: Deliver | None = None,
    deferred: bool = False,
) -> Calls:
    """The real calls over attempts that are played: retries are never short, and `hear` is told of every stage."""
    events = Overheard(hear)
    retries = RetryBudget(clock, floor=AMPLE_RETRIES)
    hedges = Hedges(LatencyTracker(clock), clock)
    return Calls(
        asked,
        request,
        CallParts(attempts, events, clock, retries, hedges),
        deliver=deliver,
        deferred=deferred,
    )


def prompt(attempt: Attempt) -> str:
    """All that a seat was told."""
    return "\n".join(message.text for message in attempt.request.messages)


def member(attempt: Attempt) -> str:
    """The letter of the member that is asked."""
    return attempt.seat.provider.id.removeprefix("m-")


def is_repair(attempt: Attempt) -> bool:
    """Whether a reviewer is asked once more."""
    return len(attempt.request.messages) > 2


def shown(attempt: Attempt) -> dict[str, str]:
    """What stands between the fences of a reviewer's prompt, by label, in the order it is shown."""
    return dict(re.findall(rf"\[(?:answer|Response) (\w) {NONCE}\]\n(.*?)\n\[end of", prompt(attempt), re.DOTALL))


def ballot(labels: list[str], nonce: str = NONCE) -> str:
    return json.dumps({"ranking": labels, "nonce": nonce})


def by_seat(attempt: Attempt) -> list[str]:
    """The labels in the order that an honest reviewer gives: the better seat's draft first."""
    texts = shown(attempt)
    return sorted(texts, key=lambda label: re.findall(r"draft of m-(\w)", texts[label]) or ["z"])


def _dutiful(attempt: Attempt) -> Reply:
    match attempt.role:
        case "draft":
            return f"draft of {attempt.seat.id}"
        case "ballot" if "FINAL RANKING:" in prompt(attempt):
            return "All fair.\nFINAL RANKING:\n" + "\n".join(
                f"{position}. Response {label}" for position, label in enumerate(by_seat(attempt), start=1)
            )
        case "ballot":
            return ballot(by_seat(attempt))
        case _:
            return "the answer"


async def _silence(attempt: Attempt) -> Vote:
    left_s = attempt.deadline - asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(left_s if attempt.silence_s is None else min(left_s, attempt.silence_s)):
            await asyncio.Event().wait()
    except TimeoutError:
        return _vote(attempt, "failed", error=ProviderError(ErrorKind.TIMEOUT, "silent"))
    except asyncio.CancelledError:
        if cancel_reason() is not CancelReason.NOT_NEEDED:
            raise
        return _vote(attempt, "cancelled_early", error=ProviderError(ErrorKind.CANCELLED, "no longer needed"))
    raise AssertionError


def _vote(attempt: Attempt, outcome: VoteOutcome, **facts: Any) -> Vote:
    return vote(
        vote_id=f"v{attempt.seq}",
        seat=attempt.seat,
        seq=attempt.seq,
        role=attempt.role,
        outcome=outcome,
        ballot=attempt.ballot,
        sent=True,
        **facts,
    )
