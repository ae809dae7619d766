"""The experiment behind the defaults: its formula, its simulation, and what the page says of both."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from runpy import run_path
from typing import Any

import pytest

from adapters.types import Answer
from router.strategies.majority.answer_key import BallotKind, key_of
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "voting.md").read_text()
EXPERIMENT = run_path(str(ROOT / "bench" / "voting.py"))
Panel: Callable[..., Any] = EXPERIMENT["Panel"]
exact: Callable[[Any], float] = EXPERIMENT["exact"]


@pytest.mark.parametrize(
    ("families", "p", "r", "right"),
    [
        ((1,), 0.7, 0.0, 0.7),
        ((1, 1, 1), 0.7, 0.0, 0.7**3 + 3 * 0.7**2 * 0.3),  # 0.784
        ((1,) * 5, 0.7, 0.0, 0.83692),
        ((1, 1), 0.7, 0.0, 0.7),
        ((3,), 0.7, 0.0, 0.784),  # a family without correlation is as good as none
        ((3,), 0.7, 1.0, 0.7),  # with a full one, three voters are one
        ((2, 1), 0.5, 0.6, 0.5),
    ],
)
def test_the_formula(families: tuple[int, ...], p: float, r: float, right: float) -> None:
    assert exact(Panel(families, p, r)) == pytest.approx(right)


def test_one_family_gains_little_and_less_with_every_voter() -> None:
    three, five, seven = (exact(Panel((size,), 0.7, 0.6)) for size in (3, 5, 7))
    assert 0.7 < seven < five < three < 0.72


@pytest.mark.parametrize("families", [(1, 1, 1), (3,), (2, 1)])
def test_the_tally_is_right_as_often_as_the_formula_says(families: tuple[int, ...]) -> None:
    panel = Panel(families, 0.7, 0.6)
    share, waited = EXPERIMENT["counted"](panel, 2_000, random.Random(3))
    assert share == pytest.approx(exact(panel), abs=0.04)  # four standard deviations
    assert 2 < waited < 3


def test_the_page_shows_this_experiment() -> None:
    shown = re.findall(r"^\| (\d) \| (.+?) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ", PAGE, re.MULTILINE)
    made = [
        (str(panel.size), panel.name, str(panel.accuracy), str(panel.correlation), f"{exact(panel):.3f}")
        for panel in EXPERIMENT["PANELS"]
    ]
    assert shown == made


SPELLINGS = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("answer", "compared_as"), SPELLINGS)
def test_the_page_is_right_about_the_same_answer(answer: str, compared_as: str) -> None:
    found = key_of(Answer(answer), BallotKind("open"))
    assert found is not None
    assert found.value == compared_as


def test_the_page_has_its_table() -> None:
    assert len(SPELLINGS) > 10
