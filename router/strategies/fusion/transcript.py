"""What the chairman of a council reads, and what the log and the caller are told of how an answer came about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from router.core.decision import Mark
from router.strategies.fencing import ANSWER_CHARS, fenced
from router.strategies.fusion.drafting import Drafts, Stage, draft_mark
from router.strategies.fusion.prompts import CLOSING, filled
from router.strategies.fusion.ranking import Ranking
from router.strategies.fusion.reviewing import Panel, Reviews


def chair_material(panel: Panel, reviews: Reviews, ranking: Ranking) -> str:
    """What the chairman reads: the drafts best first, and how each was ranked."""
    told = (
        filled(panel.wordings["chair"], nonce=panel.nonce),
        *(_draft(panel, label) for label in ranking.labels),
        *_rankings(panel, reviews, ranking),
        CLOSING,
    )
    return "\n\n".join(told)


def _draft(panel: Panel, label: str) -> str:
    member = panel.design.labels.index(label)
    return panel.quoted(member, f"response of {panel.drafts[member].seat.id}" if panel.style.shows_names else "")


def _rankings(panel: Panel, reviews: Reviews, ranking: Ranking) -> Iterator[str]:
    if not reviews.counted:
        return
    if panel.style.shows_names:
        for made in reviews.counted:
            text = made.vote.answer.text if made.vote.answer else ""
            yield fenced(f"ranking by {made.vote.seat.id}", text, panel.nonce, ANSWER_CHARS)
        names = ", ".join(f"Response {label} is of {seat}" for label, seat in _seats(panel).items())
        yield f"In the rankings, {names}."
        return
    lines = [
        "All rankings together, best first: " + ", ".join(_scored(each.label, each.score) for each in ranking.standings)
    ]
    lines += [
        f"The author of {panel.design.labels[made.reviewer]}: " + " > ".join(made.ballot.ranking)
        for made in reviews.counted
    ]
    yield "\n".join(lines)


def _scored(label: str, score: float | None) -> str:
    return label if score is None else f"{label} ({score:.2f})"


def _seats(panel: Panel) -> dict[str, str]:
    seats = zip(panel.design.labels, (vote.seat.id for vote in panel.drafts), strict=True)
    return dict(sorted(seats))


def draft_marks(drafts: Drafts, panel: Panel, ranking: Ranking) -> dict[str, Mark]:
    """What is noted of each draft: with its label and its standing, all that a recount needs."""
    candidates = {vote.vote_id: asdict(each) for vote, each in zip(panel.drafts, panel.candidates, strict=True)}
    standings = {each.label: (position, each.score) for position, each in enumerate(ranking.standings, start=1)}
    marks = {}
    for vote in drafts.votes:
        candidate = candidates.get(vote.vote_id, {})
        position, score = standings.get(candidate.get("label", ""), (None, None))
        marks[vote.vote_id] = draft_mark(vote, drafts, {**candidate, "position": position, "score": score})
    return marks


def transcript(drafts: Drafts, panel: Panel, reviews: Reviews, ranking: Ranking, chair: Stage | None) -> dict[str, Any]:
    """The whole sitting, for whoever asks for an explanation: who wrote what, who read what, who ranked how."""
    labels = panel.design.labels
    return {
        "stages": [asdict(stage) for stage in (drafts.stage, reviews.stage, chair) if stage],
        "labels": _seats(panel),
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
