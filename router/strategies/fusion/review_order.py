"""The design of reviews: who reads which drafts, under which labels, so that neither place nor name favours any."""

from __future__ import annotations

import random
from dataclasses import dataclass

LABELS = "ABCDEFGH"


@dataclass(frozen=True, slots=True)
class Design:
    """`labels[i]` stands for the answer of member `i`; `orders[i]` are the members whose answers member `i` reads."""

    labels: tuple[str, ...]
    orders: tuple[tuple[int, ...], ...]

    def shown_to(self, reviewer: int) -> tuple[str, ...]:
        """The labels that a reviewer reads, in its order."""
        return tuple(self.labels[member] for member in self.orders[reviewer])


def balanced(size: int, seed: int) -> Design:
    """A cyclic Latin design: nobody reads its own answer, and each answer is read once at every position.

    The members sit in a ring, and at its p-th position each reads the neighbour so many seats on as the p-th step says.
    Any ring and any order of the steps 1 … size-1 have that property, so both are shuffled, as the labels are.
    """
    rng = random.Random(seed)  # noqa: S311 - it shuffles, and guards no secret
    labels, ring, steps = list(LABELS[:size]), list(range(size)), list(range(1, size))
    for drawn in (labels, ring, steps):
        rng.shuffle(drawn)
    place = {member: position for position, member in enumerate(ring)}
    orders = (tuple(ring[(place[reviewer] + step) % size] for step in steps) for reviewer in range(size))
    return Design(tuple(labels), tuple(orders))


def fixed(size: int, seed: int) -> Design:
    """Everybody reads everything, its own answer too, from A on in the order of the members; nothing is drawn."""
    return Design(tuple(LABELS[:size]), (tuple(range(size)),) * size)
