"""Simulates majority votes: how often the majority is right, and how many of its votes had to be waited for.

    .venv/bin/python bench/voting.py [TRIALS]

A voter is right with probability `p`. Voters of one family err together: each takes its family's common opinion with
probability sqrt(r), else its own, which makes `r` the correlation of any two of them.
`exact` is the probability by formula; `counted` is what the router's own tally says of so many trials, voters arriving
in random order and stopping as early as it does.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from router.strategies.majority.tally import Ballot, count, decided
from router.strategies.table import quorum_of

TRIALS = 4_000
SEED = 1


@dataclass(frozen=True, slots=True)
class Panel:
    """Voters by family: `(1, 1, 1)` are three of different families, `(3,)` three of one."""

    families: tuple[int, ...]
    accuracy: float
    correlation: float = 0.0

    @property
    def size(self) -> int:
        """The number of voters."""
        return sum(self.families)

    @property
    def name(self) -> str:
        """Its families in words."""
        if max(self.families) == 1:
            return "all different" if self.size > 1 else "-"
        return "one" if len(self.families) == 1 else "+".join(map(str, self.families))


PANELS = (
    *(Panel((1,) * size, 0.7) for size in (1, 2, 3, 4, 5, 7, 8)),
    *(Panel((size,), 0.7, 0.6) for size in (3, 5, 7)),
    *(Panel(families, 0.7, 0.6) for families in ((2, 1), (2, 2, 1), (3, 2))),
    *(Panel((1,) * 3, accuracy) for accuracy in (0.4, 0.6, 0.8, 0.9)),
)


def exact(panel: Panel) -> float:
    """The probability that more than half are right; half of a tie counts, since its first voter is right as often."""
    rights = [1.0]
    for size in panel.families:
        rights = _sum_of(rights, _rights_of_family(size, panel.accuracy, math.sqrt(panel.correlation)))
    half = panel.size / 2
    return sum(chance for right, chance in enumerate(rights) if right > half) + (
        rights[int(half)] / 2 if half.is_integer() else 0.0
    )


def counted(panel: Panel, trials: int, rng: random.Random) -> tuple[float, float]:
    """The share of trials whose decision is right, and how many votes one took on average."""
    right = waited = 0
    for _ in range(trials):
        opinions = _opinions(panel, rng)
        seats = list(range(panel.size))
        rng.shuffle(seats)
        ballots: list[Ballot] = []
        for at, seat in enumerate(seats):
            ballots.append(Ballot(str(seat), str(opinions[seat]), place=seat, seq=seat))
            if decided(ballots, [1.0] * (panel.size - at - 1), quorum_of(panel.size)):
                break
        waited += len(ballots)
        right += count(ballots, quorum_of(panel.size)).key == "True"
    return right / trials, waited / trials


def table(trials: int) -> str:
    """The whole experiment as a table in markdown; the same for the same number of trials."""
    rng = random.Random(SEED)
    lines = ["| voters | families | p | r | exact | counted | votes waited for |", "|---|---|---|---|---|---|---|"]
    for panel in PANELS:
        share, waited = counted(panel, trials, rng)
        facts = (panel.size, panel.name, panel.accuracy, panel.correlation)
        lines.append(f"| {' | '.join(map(str, facts))} | {exact(panel):.3f} | {share:.3f} | {waited:.2f} |")
    return "\n".join(lines)


def _opinions(panel: Panel, rng: random.Random) -> list[bool]:
    opinions: list[bool] = []
    for size in panel.families:
        common = rng.random() < panel.accuracy
        follow = math.sqrt(panel.correlation)
        opinions += [common if rng.random() < follow else rng.random() < panel.accuracy for _ in range(size)]
    return opinions


def _rights_of_family(size: int, accuracy: float, follow: float) -> list[float]:
    """The probability of 0, 1, … right voters: those who follow the common opinion, and the others, each by itself."""
    when_common_right = _binomial(size, follow + (1 - follow) * accuracy)
    when_common_wrong = _binomial(size, (1 - follow) * accuracy)
    return [
        accuracy * right + (1 - accuracy) * wrong
        for right, wrong in zip(when_common_right, when_common_wrong, strict=True)
    ]


def _binomial(size: int, chance: float) -> list[float]:
    return [math.comb(size, hits) * chance**hits * (1 - chance) ** (size - hits) for hits in range(size + 1)]


def _sum_of(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """The distribution of the sum of two independent counts."""
    total = [0.0] * (len(one) + len(other) - 1)
    for at, chance in enumerate(one):
        for more, its_chance in enumerate(other):
            total[at + more] += chance * its_chance
    return total


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS))
