"""council: members write drafts, rank each other's without names, and a chairman writes the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from adapters.errors import ErrorKind, ProviderError
from router.calls.calls import Calls
from router.core.decision import Choice
from router.core.plan import Plan
from router.strategies.fencing import new_nonce
from router.strategies.fusion.chair import chair_marks, chair_request, chair_stage, chairs, written
from router.strategies.fusion.drafting import Drafts, Stage, failure, gather_drafts
from router.strategies.fusion.prompts import digest, worded
from router.strategies.fusion.reviewing import Panel, Reviews, ranking_of, review, review_marks
from router.strategies.fusion.styles import STYLES
from router.strategies.fusion.transcript import chair_material, draft_marks, transcript

# Drafts get 45 % of the time, ballots 25 %, the chairman 30 %; what a stage leaves over goes to those after it.
_DRAFTS_SHARE = 0.45
_BALLOTS_SHARE = 0.25 / 0.55


async def council(plan: Plan, calls: Calls, *, nonce: Callable[[], str] = new_nonce) -> Choice:
    """N drafts, N ballots and one answer; whatever fails on the way, the best of what there is, and flags that say so.

    With one draft, tool calls, or no chairman, the answer is the best draft as it is.
    """
    drafts = await gather_drafts(plan, calls, _size(plan), _DRAFTS_SHARE)
    panel = _panel(plan, calls, drafts, nonce())
    if not drafts.usable:
        return _decided(plan, drafts, panel, Choice(error=failure(drafts.votes)))
    if not drafts.quorum_met and _on_no_quorum(plan) == "fail":
        message = f"{len(drafts.usable)} of {drafts.planned} members answered, and {drafts.quorum} were needed"
        error = ProviderError(ErrorKind.OVERLOADED, message, status=503, code="no_quorum")
        return _decided(plan, drafts, panel, Choice(error=error))
    if len(drafts.usable) == 1:
        await calls.deliver(drafts.best)
        return _decided(plan, drafts, panel, Choice(winner=drafts.best, flags=("one_draft",)))
    enough = len(drafts.usable) >= panel.style.least
    reviews = await review(panel, calls, _BALLOTS_SHARE) if enough else Reviews()
    ranking = ranking_of(panel, reviews)
    best = drafts.usable[panel.design.labels.index(ranking.labels[0])]
    if enough:
        calls.tell("ranking", ranking=[panel.named(label) for label in ranking.labels])
    flags = reviews.flags if enough else ("too_few_to_rank",)
    if drafts.call_tools:
        await calls.deliver(best)
        decision = Choice(winner=best, flags=(*flags, "tool_calls"))
        return _decided(plan, drafts, panel, decision, reviews)
    began_s = calls.remaining_s()
    request = chair_request(calls.request, chair_material(panel, reviews, ranking))
    decision = await written(calls, chairs(plan, calls.votes), request, best)
    decision = replace(decision, flags=(*flags, *decision.flags))
    return _decided(plan, drafts, panel, decision, reviews, chair_stage(calls, began_s))


def _size(plan: Plan) -> int:
    return plan.options.council_size or plan.registry.tiers[plan.options.tier].council_size


def _on_no_quorum(plan: Plan) -> str:
    return str(plan.options.on_no_quorum or plan.registry.strategies[plan.strategy].get("on_no_quorum", "degrade"))


def _panel(plan: Plan, calls: Calls, drafts: Drafts, nonce: str) -> Panel:
    options = plan.registry.strategies[plan.strategy]
    style = STYLES[options.get("style", "quorum")]
    return Panel(
        request=calls.request,
        drafts=drafts.usable,
        design=style.design(len(drafts.usable), calls.seed),
        style=style,
        wordings=worded(style.wordings, options),
        nonce=nonce,
        seed=calls.seed,
    )


def _decided(
    plan: Plan,
    drafts: Drafts,
    panel: Panel,
    decision: Choice,
    reviews: Reviews | None = None,
    chair: Stage | None = None,
) -> Choice:
    """The decision with what the log and the caller are to know of how it came about."""
    reviews = reviews or Reviews()
    ranking = ranking_of(panel, reviews)
    return replace(
        decision,
        votes_planned=drafts.planned,
        votes_counted=len(drafts.usable),
        # The share of pairs of answers that two reviewers put in the same order; τ is 2 × share - 1.
        agreement=None if ranking.consensus is None else (ranking.consensus + 1) / 2,
        margin=ranking.margin,
        tie=ranking.tied if reviews.counted else None,
        quorum_met=drafts.quorum_met,
        low_confidence=not drafts.quorum_met,
        seed=panel.seed,
        rule={
            "members": drafts.planned,
            "quorum": drafts.quorum,
            "on_no_quorum": _on_no_quorum(plan),
            "aggregate": panel.style.aggregate,
            "prompts": digest(panel.wordings),
        },
        marks={
            **draft_marks(drafts, panel, ranking),
            **review_marks(panel, reviews, ranking),
            **chair_marks(decision),
        },
        details={**decision.details, "council": transcript(drafts, panel, reviews, ranking, chair)},
    )
