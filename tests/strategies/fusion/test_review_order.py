"""The design of a council's reviews: nobody reads its own answer, and no answer is favoured by its place."""

from __future__ import annotations

from collections import Counter

import pytest

from router.strategies.fusion.review_order import LABELS, balanced, fixed

SIZES = range(2, 9)
SEEDS = range(50)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_answer_stands_once_at_every_position_and_never_before_its_author(size: int, seed: int) -> None:
    orders = balanced(size, seed).orders
    everybody = set(range(size))
    assert all(set(order) == everybody - {reviewer} for reviewer, order in enumerate(orders))
    assert all(len(order) == size - 1 for order in orders)
    stands = Counter((member, position) for order in orders for position, member in enumerate(order))
    assert stands == dict.fromkeys(((member, position) for member in everybody for position in range(size - 1)), 1)


@pytest.mark.parametrize("size", SIZES)
def test_every_label_stands_for_every_member_in_turn(size: int) -> None:
    designs = [balanced(size, seed) for seed in range(400)]
    assert all(sorted(design.labels) == list(LABELS[:size]) for design in designs)
    times = Counter((member, label) for design in designs for member, label in enumerate(design.labels))
    assert len(times) == size * size
    assert max(times.values()) < 2 * 400 / size


def test_a_seed_gives_the_same_design_again() -> None:
    assert balanced(5, 12345) == balanced(5, 12345)
    assert len({balanced(5, seed) for seed in SEEDS}) > 45


def test_what_is_shown_are_labels() -> None:
    design = balanced(4, 1)
    for reviewer in range(4):
        assert design.labels[reviewer] not in design.shown_to(reviewer)
        assert len(design.shown_to(reviewer)) == 3


def test_the_fixed_order_shows_everything_to_everybody() -> None:
    assert fixed(3, 99).labels == ("A", "B", "C")
    assert fixed(3, 99).orders == ((0, 1, 2),) * 3
