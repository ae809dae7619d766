"""synthesize-best: seats of different families each write an answer, and one that wrote none makes the best of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

from router.calls.calls import Calls
from router.core.decision import Choice
from router.core.plan import Plan
from router.core.strategy_options import FusionOptions
from router.strategies.fencing import answer_chars, fenced, new_nonce, readable
from router.strategies.fusion.chair import chair_marks, chair_request, chair_stage, chairs, written
from router.strategies.fusion.drafting import Drafts, StageSummary, draft_mark, gather_drafts
from router.strategies.fusion.prompts import CLOSING, WORDINGS, digest, filled, worded
from router.strategies.fusion.review_order import LABELS
from router.strategies.stragglers import failure

_DRAFTS_SHARE = 0.6  # of the time: the rest is the synthesiser's


async def synthesize_best(plan: Plan, calls: Calls, *, nonce: Callable[[], str] = new_nonce) -> Choice:
    """k drafts at once, then one call that ranks and fuses them; failing that, the best seat's draft as it is."""
    drafts = await gather_drafts(plan, calls, _DRAFTS_SHARE)
    wordings = worded(WORDINGS, plan.settings(FusionOptions).prompts)
    labels = _labels(drafts, calls.seed)
    stages = [drafts.stage]
    if not drafts.usable:
        choice = Choice(error=failure(drafts.votes))
    elif len(drafts.usable) == 1 or drafts.call_tools:
        await calls.deliver(drafts.best)
        choice = Choice(winner=drafts.best, flags=("tool_calls" if drafts.call_tools else "one_draft",))
    else:
        began_s = calls.remaining_s()
        request = chair_request(calls.request, _material(drafts, labels, wordings["synthesize"], nonce()))
        choice = await written(calls, chairs(plan, calls.votes), request, drafts.best)
        stages.append(chair_stage(calls, began_s))
    rule = {"drafts": drafts.planned, "quorum": drafts.quorum, "prompts": digest(wordings)}
    return _told(choice, drafts, labels, stages, rule, calls.seed)


def _labels(drafts: Drafts, seed: int) -> Mapping[str, str]:
    """The label of each draft by its vote; the drafts are shown in the order of their labels, so that is drawn too."""
    labels = list(LABELS[: len(drafts.usable)])
    random.Random(seed).shuffle(labels)  # noqa: S311 - it shuffles, and guards no secret
    return {vote.vote_id: label for vote, label in zip(drafts.usable, labels, strict=True)}


def _material(drafts: Drafts, labels: Mapping[str, str], wording: str, code: str) -> str:
    limit_chars = answer_chars(len(drafts.usable))
    shown = sorted((labels[vote.vote_id], readable(vote.answer)) for vote in drafts.usable if vote.answer)
    quoted = (fenced(f"answer {label}", text, code, limit_chars) for label, text in shown)
    return "\n\n".join((filled(wording, nonce=code), *quoted, CLOSING))


def _told(
    choice: Choice,
    drafts: Drafts,
    labels: Mapping[str, str],
    stages: list[StageSummary],
    rule: Mapping[str, object],
    seed: int,
) -> Choice:
    """The choice with what the log and the caller are told about how it came about."""
    return replace(
        choice,
        votes_planned=drafts.planned,
        votes_counted=len(drafts.usable),
        quorum_met=drafts.quorum_met,
        low_confidence=not drafts.quorum_met,
        seed=seed,
        rule=rule,
        marks={
            **{vote.vote_id: draft_mark(vote, drafts, {"label": labels.get(vote.vote_id)}) for vote in drafts.votes},
            **chair_marks(choice),
        },
        details={
            **choice.details,
            "synthesis": {
                "stages": [asdict(stage) for stage in stages],
                "labels": {labels[vote.vote_id]: vote.seat.id for vote in drafts.usable},
            },
        },
    )
