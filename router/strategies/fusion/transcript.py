"""The chairman's material, and the account of a sitting that the vote log and the caller get."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from router.core.decision import Mark
from router.strategies.fusion.drafting import Drafts, StageSummary, draft_mark
from router.strategies.fusion.panel import ReviewPanel, Reviews
from router.strategies.fusion.prompts import CLOSING, filled
from router.strategies.fusion.ranking import Ranking


def chair_material(panel: ReviewPanel, reviews: Reviews, ranking: Ranking) -> str:
    """What the chairman reads: the drafts best first, and how each was ranked."""
    labels, style = panel.design.labels, panel.style
    told = (
        filled(panel.wordings["chair"], nonce=panel.nonce),
        *(panel.quoted(labels.index(label), style.chair_title(label, panel.author(label))) for label in ranking.labels),
        *(style.chair_reviews(panel, reviews, ranking) if reviews.counted else ()),
        CLOSING,
    )
    return "\n\n".join(told)


def draft_marks(drafts: Drafts, panel: ReviewPanel, ranking: Ranking) -> dict[str, Mark]:
    """The mark of each draft: with its label and its standing, all that a recount needs."""
    candidates = {vote.vote_id: asdict(each) for vote, each in zip(panel.drafts, panel.candidates, strict=True)}
    standings = {each.label: (position, each.score) for position, each in enumerate(ranking.standings, start=1)}
    marks = {}
    for vote in drafts.votes:
        candidate = candidates.get(vote.vote_id, {})
        position, score = standings.get(candidate.get("label", ""), (None, None))
        marks[vote.vote_id] = draft_mark(vote, drafts, {**candidate, "position": position, "score": score})
    return marks


def transcript(
    drafts: Drafts, panel: ReviewPanel, reviews: Reviews, ranking: Ranking, chair: StageSummary | None
) -> dict[str, Any]:
    """The whole sitting, for an explanation: who wrote what, who read what, and who ranked how."""
    labels = panel.design.labels
    return {
        "stages": [asdict(stage) for stage in (drafts.stage, reviews.stage, chair) if stage],
        "labels": panel.authors,
        "orders": {labels[member]: list(panel.design.shown_to(member)) for member in range(len(labels))},
        "ballots": [
            {
                "reviewer": labels[made.reviewer],
                "round": made.round,
                "ranking": list(made.ballot.ranking),
                "problem": made.ballot.problem,
            }
            for made in reviews.all
        ],
        "ranking": [asdict(each) for each in ranking.standings],
        "consensus": ranking.consensus,
        "length_bias": ranking.length_bias,
    }
