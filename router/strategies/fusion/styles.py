"""The two styles of a council as data: ours, and that of the program that made councils known, for comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from router.core.strategy_options import CouncilStyle
from router.strategies.fencing import ANSWER_CHARS, fenced
from router.strategies.fusion.ballots import read_ballot, read_final_ranking
from router.strategies.fusion.panel import ReviewPanel, Reviews, Style
from router.strategies.fusion.prompts import BALLOT_FORM, FINAL_RANKING_FORM, KARPATHY_WORDINGS, WORDINGS
from router.strategies.fusion.ranking import Ranking
from router.strategies.fusion.review_order import balanced, fixed
from router.strategies.table import REVIEW_FORMS


def _scores_without_names(panel: ReviewPanel, reviews: Reviews, ranking: Ranking) -> Iterator[str]:
    """The common ranking with its scores, and each ballot under its author's label."""
    scores = ", ".join(_scored(each.label, each.score) for each in ranking.standings)
    ballots = (
        f"The author of {panel.design.labels[made.reviewer]}: " + " > ".join(made.ballot.ranking)
        for made in reviews.counted
    )
    yield "\n".join((f"All rankings together, best first: {scores}", *ballots))


def _reviews_with_names(panel: ReviewPanel, reviews: Reviews, ranking: Ranking) -> Iterator[str]:
    """Every review in full under the name of its model, and the model behind each label."""
    for made in reviews.counted:
        text = made.vote.answer.text if made.vote.answer else ""
        yield fenced(f"ranking by {made.vote.seat.id}", text, panel.nonce, ANSWER_CHARS)
    yield f"In the rankings, {', '.join(f'Response {label} is of {seat}' for label, seat in panel.authors.items())}."


def _scored(label: str, score: float | None) -> str:
    return label if score is None else f"{label} ({score:.2f})"


STYLES: Mapping[CouncilStyle, Style] = MappingProxyType(
    {
        "quorum": Style(
            review=REVIEW_FORMS["quorum"],
            design=balanced,
            form=BALLOT_FORM,
            read=read_ballot,
            aggregate="borda",
            noun="answer",
            chair_title=lambda label, seat: f"answer {label}",
            chair_reviews=_scores_without_names,
            wordings=WORDINGS,
        ),
        "karpathy": Style(
            review=REVIEW_FORMS["karpathy"],
            design=fixed,
            form=FINAL_RANKING_FORM,
            read=read_final_ranking,
            aggregate="mean_rank",
            noun="Response",
            chair_title=lambda label, seat: f"response of {seat}",
            chair_reviews=_reviews_with_names,
            wordings=KARPATHY_WORDINGS,
        ),
    }
)
