"""The table of strategies: complete, light, the only place that knows a strategy by name, and what the pages say."""

from __future__ import annotations

import ast
import random
import re
from typing import Any, get_args

import pytest

from router.core.context import Options
from router.core.registry import Registry
from router.core.strategy_options import CouncilStyle, Strategy
from router.routing.planner import make_plan
from router.strategies.fusion.prompts import WORDINGS
from router.strategies.fusion.styles import STYLES
from router.strategies.table import DEFAULT_ESCALATION, DEFAULT_STRATEGY, REVIEW_FORMS, STRATEGIES, StrategyFacts
from tests.strategies.test_call_counts import home
from tests.support.paths import ROOT
from tests.support.small_registry import CLEAR, asking

TABLE = ROOT / "router" / "strategies" / "table.py"
KNOW_NAMES = {
    "router/core/strategy_options.py",  # the type
    "router/strategies/table.py",
    "router/strategies/decide.py",  # the switch
    "router/strategies/fusion/council.py",  # the key of its account in an explanation
}
SIZES = range(1, 9)


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def test_every_strategy_is_in_the_table_under_its_name() -> None:
    assert tuple(STRATEGIES) == tuple(facts.name for facts in STRATEGIES.values())
    assert set(STRATEGIES) == set(get_args(Strategy))
    assert set(REVIEW_FORMS) == set(STYLES) == set(get_args(CouncilStyle))
    assert STRATEGIES[DEFAULT_STRATEGY].pinnable, "a request that pins a model falls back on it"
    assert STRATEGIES[DEFAULT_ESCALATION].chaired


def test_the_table_imports_values_alone() -> None:
    imported = [node.module for node in ast.walk(ast.parse(TABLE.read_text())) if isinstance(node, ast.ImportFrom)]
    assert {str(module) for module in imported if str(module).startswith(("router", "adapters"))} == {
        "router.core.context",
        "router.core.plan",
        "router.core.registry",
        "router.core.strategy_options",
        "router.core.tokens",
    }


def test_nothing_else_knows_a_strategy_by_its_name() -> None:
    named = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "router").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and node.value in STRATEGIES
    }
    assert named == KNOW_NAMES


def test_every_wording_is_somebody_s() -> None:
    assert {key for facts in STRATEGIES.values() for key in facts.wordings} == set(WORDINGS)
    assert all(set(WORDINGS) == set(style.wordings) for style in STYLES.values())


# --- the pages -------------------------------------------------------------------------------------------------------


def rows(text: str, first_cell: str) -> list[list[str]]:
    """The rows of the markdown table whose head begins with a cell."""
    table = text.split(f"\n| {first_cell} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


def test_the_reference_page_has_the_table() -> None:
    asked: dict[str, Any] = {
        "the tier's `council_size`": lambda of_tier: of_tier,
        "the tier's `council_size`, less one where it is even": lambda of_tier: {3: 3, 4: 3, 8: 7}[of_tier],
    }
    told = rows(page("registry.md"), "strategy")
    assert [(name, meaning) for name, meaning, _ in told] == [
        (f"`{facts.name}`", facts.meaning) for facts in STRATEGIES.values()
    ]
    for facts, (_, _, first) in zip(STRATEGIES.values(), told, strict=True):
        for of_tier in (3, 4, 8):
            number = asked[first](of_tier) if first in asked else int(first)
            assert facts.seats(None, of_tier) == number, facts.name


def most_calls(facts: StrategyFacts, known: Registry, **options: Any) -> list[int]:
    plans = (
        make_plan(
            known,
            Options(facts.name, "members", council_size=size, **options),
            asking(),
            CLEAR,
            rng=random.Random(1),
        )
        for size in SIZES
    )
    return [facts.most_calls(plan) for plan in plans]


@pytest.mark.parametrize("name", ["voting.md", "council.md"])
def test_the_most_calls_stand_on_the_pages(name: str) -> None:
    for kind, *calls in rows(page(name), "`council_size` | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8"):
        said = re.fullmatch(r"`([a-z-]+)`(?: in a tier of (\d) seats)?(?:, `free_text: (\w+)`)?", kind)
        assert said is not None, kind
        facts = next(facts for facts in STRATEGIES.values() if facts.name == said[1])
        options = {"free_text": said[3]} if said[3] else {}
        assert [int(number) for number in calls] == most_calls(facts, home(int(said[2] or 8), 3, retries=1), **options)


def test_the_page_of_councils_says_what_they_cost_if_nothing_fails() -> None:
    told = {name.strip("`"): calls for name, *_, calls in rows(page("council.md"), "strategy")}
    assert told == {"synthesize-best": "k + 1", "council": "2N + 1"}  # as tests/strategies/fusion holds them to
    assert set(told) == {facts.name for facts in STRATEGIES.values() if facts.chaired}
