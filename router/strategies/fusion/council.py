"""council: members write drafts, rank each other's without names, and a chairman writes the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from adapters.errors import ErrorKind
from router.calls.calls import Calls
from router.core.decision import Choice, Refusal
from router.core.plan import Plan
from router.core.stages import DraftsRanked
from router.core.strategy_options import CouncilOptions, OnNoQuorum
from router.strategies.fencing import new_nonce
from router.strategies.fusion.chair import chair_marks, chair_request, chair_stage, chairs, written
from router.strategies.fusion.drafting import Drafts, StageSummary, gather_drafts
from router.strategies.fusion.panel import ReviewPanel, Reviews
from router.strategies.fusion.prompts import digest, worded
from router.strategies.fusion.reviewing import ranking_of, review, review_marks
from router.strategies.fusion.styles import STYLES
from router.strategies.fusion.transcript import chair_material, draft_marks, transcript
from router.strategies.stragglers import failure

# Drafts get 45 % of the time, ballots 25 %, the chairman 30 %; what a stage leaves over goes to those after it.
_DRAFTS_SHARE = 0.45
_BALLOTS_SHARE = 0.25 / 0.55


async def council(plan: Plan, calls: Calls, *, nonce: Callable[[], str] = new_nonce) -> Choice:
    """N drafts, N ballots and one answer; when something fails, the best of what there is, and flags that say so.

    With one draft, tool calls, or no chairman, the answer is the best draft as it is.
    """
    drafts = await gather_drafts(plan, calls, _DRAFTS_SHARE)
    panel = _panel(plan, calls, drafts, nonce())
    if not drafts.usable:
        return _decided(plan, drafts, panel, Choice(error=failure(drafts.votes)))
    if not drafts.quorum_met and _on_no_quorum(plan) == "fail":
        message = f"{len(drafts.usable)} of {drafts.planned} members answered, and {drafts.quorum} were needed"
        return _decided(plan, drafts, panel, Choice(error=Refusal("no_quorum", message, ErrorKind.OVERLOADED)))
    if len(drafts.usable) == 1:
        await calls.deliver(drafts.best)
        return _decided(plan, drafts, panel, Choice(winner=drafts.best, flags=("one_draft",)))
    enough = len(drafts.usable) >= panel.style.review.least
    reviews = await review(panel, calls, _BALLOTS_SHARE) if enough else Reviews()
    ranking = ranking_of(panel, reviews)
    best = drafts.usable[panel.design.labels.index(ranking.labels[0])]
    if enough:
        calls.tell(DraftsRanked(tuple(panel.author(label) for label in ranking.labels)))
    flags = reviews.flags if enough else ("too_few_to_rank",)
    if drafts.call_tools:
        await calls.deliver(best)
        choice = Choice(winner=best, flags=(*flags, "tool_calls"))
        return _decided(plan, drafts, panel, choice, reviews)
    began_s = calls.remaining_s()
    request = chair_request(calls.request, chair_material(panel, reviews, ranking))
    choice = await written(calls, chairs(plan, calls.votes), request, best)
    choice = replace(choice, flags=(*flags, *choice.flags))
    return _decided(plan, drafts, panel, choice, reviews, chair_stage(calls, began_s))


def _on_no_quorum(plan: Plan) -> OnNoQuorum:
    return plan.options.on_no_quorum or plan.settings(CouncilOptions).on_no_quorum


def _panel(plan: Plan, calls: Calls, drafts: Drafts, nonce: str) -> ReviewPanel:
    options = plan.settings(CouncilOptions)
    style = STYLES[options.style]
    return ReviewPanel(
        request=calls.request,
        drafts=drafts.usable,
        design=style.design(len(drafts.usable), calls.seed),
        style=style,
        wordings=worded(style.wordings, options.prompts),
        nonce=nonce,
        seed=calls.seed,
    )


def _decided(
    plan: Plan,
    drafts: Drafts,
    panel: ReviewPanel,
    choice: Choice,
    reviews: Reviews | None = None,
    chair: StageSummary | None = None,
) -> Choice:
    """The choice with what the log and the caller are told about how it came about."""
    reviews = reviews or Reviews()
    ranking = ranking_of(panel, reviews)
    return replace(
        choice,
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
            **chair_marks(choice),
        },
        details={**choice.details, "council": transcript(drafts, panel, reviews, ranking, chair)},
    )
