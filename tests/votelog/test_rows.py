"""Rows: whatever values a row has, Postgres accepts its record."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.votelog.clean import clean_json
from router.votelog.rows import TABLES, VoteRow

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def stored(**facts: Any) -> dict[str, Any]:
    """What becomes of these values in the record of an otherwise plain row."""
    usual: dict[str, Any] = {"vote_id": "v", "request_id": "r", "created_at": NOW, "seq": 0, "role": "answer"}
    row = VoteRow(**usual | {"provider": "p", "model": "m", "outcome": "ok"} | facts)
    record = dict(zip(TABLES[VoteRow].columns, TABLES[VoteRow].record(row), strict=True))
    return {name: record[name] for name in facts}


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ("plain", "plain"),
        ("", ""),
        ("nu\0l", "nul"),
        ("half \ud83d of a pair", "half ? of a pair"),
        ("grüße 🙂", "grüße 🙂"),
        ("x" * 500, "x" * 500),
        ("x" * 10_000_000, "x" * 500),
    ],
    ids=["plain", "empty", "nul", "surrogate", "unicode", "five hundred", "ten megabytes"],
)
def test_text(value: str, clean: str) -> None:
    assert stored(error_message=value, response_model="as it is") == {
        "error_message": clean,
        "response_model": "as it is",
    }


@pytest.mark.parametrize(
    ("value", "clean"), [(7, 7), (None, None), (1 << 70, (1 << 63) - 1), (-(1 << 70), 1 - (1 << 63))]
)
def test_int(value: int | None, clean: int | None) -> None:
    assert stored(input_tokens=value) == {"input_tokens": clean}


@pytest.mark.parametrize(
    ("value", "clean"), [(0.5, 0.5), (None, None), (math.nan, None), (math.inf, None), (-math.inf, None)]
)
def test_float(value: float | None, clean: float | None) -> None:
    assert stored(cost_usd=value) == {"cost_usd": clean}


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ({"a": [1, "b", None, True, 0.5]}, {"a": [1, "b", None, True, 0.5]}),
        ({"a\0b": "c\0d"}, {"ab": "cd"}),
        ("\\u0000", "\\u0000"),
        ({"bad": "\ud800"}, {"bad": "?"}),
        ({"big": 1 << 80}, {"big": (1 << 63) - 1}),
        ({1: {2}}, {"1": [2]}),
        ([math.nan], [None]),
    ],
    ids=["plain", "nul", "escaped text", "surrogate", "int", "keys and sets", "nan"],
)
def test_json(value: Any, clean: Any) -> None:
    assert orjson.loads(clean_json(value)) == clean


def test_json_of_any_depth_is_encoded() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    assert clean_json(deep).startswith("[[")
    loop: list[Any] = []
    loop.append(loop)
    assert clean_json(loop).startswith("[[")


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()), st.lists))
def test_json_is_never_refused_and_never_holds_a_nul(value: Any) -> None:
    assert "\0" not in str(orjson.loads(clean_json(value)))


def test_a_record_has_the_values_in_the_order_of_the_columns() -> None:
    facts = {"vote_id": "v", "outcome": "ok", "sent": False, "ballot": None, "weight": 1.5}
    assert stored(**facts) == facts
