"""Aggregates ballots to one ranking, in exact arithmetic: the same rows give the same ranking, in any order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from typing import Any

Ballots = Mapping[str, Sequence[str]]
"""By the label of the reviewer: the labels it ranked, best first."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer to be ranked; `price` (USD per million tokens), `rank` and `place` in the plan break ties."""

    label: str
    chars: int = 0
    price: float | None = None
    rank: int = 1
    place: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """An answer's score (None if no ballot named it), its first places, and the ballots that named it."""

    label: str
    score: float | None
    first_places: int
    ballots: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """The answers, best first. `tied` when scores alone did not separate the first two.

    `consensus` is Kendall's τ, the mean over all pairs of reviewers (1: all alike, -1: opposite); `length_bias` is the
    correlation of length with score (Pearson). None where there is too little to tell.
    """

    standings: tuple[Standing, ...]
    tied: bool = False
    consensus: float | None = None
    length_bias: float | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, best first."""
        return tuple(standing.label for standing in self.standings)

    @property
    def margin(self) -> float | None:
        """By how much the first score is above the second."""
        scores = [standing.score for standing in self.standings[:2]]
        return None if len(scores) < 2 or scores[0] is None or scores[1] is None else abs(scores[0] - scores[1])


def borda(candidates: Iterable[Candidate], ballots: Ballots) -> Ranking:
    """By normalised Borda: a ballot of k answers gives (k-1-position)/(k-1) to each, and the mean of these counts.

    The mean is over the ballots that rank an answer, since nobody ranks its own. Ties go by who beats whom, then by
    first places, by price, and by rank in the registry. An answer that no ballot ranks stands behind, by its place.
    """
    known = {candidate.label: candidate for candidate in candidates}
    points: dict[str, list[Fraction]] = {label: [] for label in known}
    for ranking in ballots.values():
        last = len(ranking) - 1
        for position, label in enumerate(ranking if last else ()):
            points[label].append(Fraction(last - position, last))
    means = {label: sum(given, Fraction()) / len(given) if given else None for label, given in points.items()}
    firsts = _first_places(known, ballots)

    def order(label: str) -> tuple[Any, ...]:
        mean, candidate = means[label], known[label]
        equals = [other for other in known if other != label and means[other] == mean]
        beaten = sum(_prefer(ballots, label, other) > 0 for other in equals)
        if mean is None:
            return True, candidate.place, label
        price = math.inf if candidate.price is None else candidate.price
        return False, -mean, -beaten, -firsts[label], price, candidate.rank, candidate.place, label

    labels = sorted(known, key=order)
    return _ranking(labels, known, means, ballots, firsts)


def mean_rank(candidates: Iterable[Candidate], ballots: Ballots) -> Ranking:
    """By mean position from 1, rounded to two digits, lower first; ties stay as the ballots first named them.

    The parity mode's count: unknown labels take a position, repeated ones count twice. The score is the mean position.
    """
    known = {candidate.label: candidate for candidate in candidates}
    positions: dict[str, list[int]] = {}
    for reviewer in sorted(ballots):
        for position, label in enumerate(ballots[reviewer], start=1):
            if label in known:
                positions.setdefault(label, []).append(position)
    means = {label: Fraction(str(round(sum(given) / len(given), 2))) for label, given in positions.items()}
    labels = [*sorted(means, key=means.__getitem__), *sorted(set(known) - set(means))]
    every = {label: means.get(label) for label in known}
    ranking = _ranking(labels, known, every, ballots, _first_places(known, ballots))
    # A good position is a low number here; a bias towards length is positive by either count.
    return replace(ranking, length_bias=None if ranking.length_bias is None else -ranking.length_bias)


AGGREGATES: Mapping[str, Callable[[Iterable[Candidate], Ballots], Ranking]] = {"borda": borda, "mean_rank": mean_rank}


def recount_council(rows: Iterable[Mapping[str, Any]], rule: Mapping[str, Any]) -> Ranking:
    """The ranking that a council's stored votes give by their rule; rows that were not counted change nothing.

    A row needs `role`, `counted` and `ballot`; a rule needs `aggregate`. The order of the rows does not matter.
    """
    counted = [row for row in rows if row["counted"]]
    fields = ("label", "chars", "price", "rank", "place")
    drafts = [Candidate(**{name: row["ballot"][name] for name in fields}) for row in counted if row["role"] == "draft"]
    ballots = {row["ballot"]["reviewer"]: row["ballot"]["ranking"] for row in counted if row["role"] == "ballot"}
    return AGGREGATES[rule["aggregate"]](sorted(drafts, key=lambda draft: draft.label), ballots)


def kendall(ballots: Ballots) -> float | None:
    """The mean over pairs of ballots of (pairs ordered alike - pairs ordered otherwise) / pairs that both rank."""
    taus = []
    for one, other in combinations((ballots[reviewer] for reviewer in sorted(ballots)), 2):
        both = sorted(set(one) & set(other))
        signs = [_sign(one, a, b) * _sign(other, a, b) for a, b in combinations(both, 2)]
        if signs:
            taus.append(Fraction(sum(signs), len(signs)))
    return float(sum(taus, Fraction()) / len(taus)) if taus else None


def pearson(pairs: Sequence[tuple[float, float]]) -> float | None:
    """The correlation of two quantities; None when there are fewer than three or one of them does not vary."""
    if len(pairs) < 3:
        return None
    mean_x, mean_y = (math.fsum(values) / len(pairs) for values in zip(*pairs, strict=True))
    spread_x = math.fsum((x - mean_x) ** 2 for x, _ in pairs)
    spread_y = math.fsum((y - mean_y) ** 2 for _, y in pairs)
    together = math.fsum((x - mean_x) * (y - mean_y) for x, y in pairs)
    return together / math.sqrt(spread_x * spread_y) if spread_x and spread_y else None


def _ranking(
    labels: Sequence[str],
    known: Mapping[str, Candidate],
    means: Mapping[str, Fraction | None],
    ballots: Ballots,
    firsts: Mapping[str, int],
) -> Ranking:
    standings = tuple(
        Standing(
            label,
            None if (mean := means[label]) is None else float(mean),
            firsts[label],
            sum(label in ranking for ranking in ballots.values()),
        )
        for label in labels
    )
    scored = [(float(known[each.label].chars), each.score) for each in standings if each.score is not None]
    return Ranking(
        standings,
        tied=len(labels) > 1 and means[labels[0]] == means[labels[1]],
        consensus=kendall(ballots),
        length_bias=pearson(scored),
    )


def _first_places(known: Iterable[str], ballots: Ballots) -> dict[str, int]:
    return {label: sum(bool(ranking) and ranking[0] == label for ranking in ballots.values()) for label in known}


def _prefer(ballots: Ballots, one: str, other: str) -> int:
    """How many more ballots prefer one to the other than the other way round."""
    return sum(_sign(ranking, one, other) for ranking in ballots.values() if one in ranking and other in ranking)


def _sign(ranking: Sequence[str], one: str, other: str) -> int:
    return 1 if ranking.index(one) < ranking.index(other) else -1
