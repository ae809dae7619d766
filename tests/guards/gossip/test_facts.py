"""Facts: whatever stands on the board, it is read as a fact or as nothing, and what is told can be written down."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.guards.gossip.facts import Fact, decode, encode, fit, withdrawal

WAIT = Fact("wait", "groq/gpt-oss", "limited", "slow down", 1060.0, 1000.0, "r1", "k1")
ONCE = Fact("verdict", "groq/gpt-oss", "degraded", "failed once: a 500", None, 1000.0, "r1", "k1", failed_once=True)
DOCUMENT: dict[str, Any] = orjson.loads(encode(WAIT))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    "fact",
    [
        WAIT,
        Fact("stop", "groq", "bad-key", "", None, 1000.0, "r1"),
        Fact("open", "groq/gpt-oss", "failing", "5 failures", 1010.0, 1000.0, "r1"),
        withdrawal("drain", "groq", until=2000.0, at=1000.0, by="r1"),
        ONCE,
    ],
    ids=lambda fact: fact.kind,
)
def test_a_fact_is_read_as_it_was_written(fact: Fact) -> None:
    assert decode(fact.field, encode(fact)) == fact
    assert decode("elsewhere", encode(fact)) is None


@pytest.mark.parametrize("missing", sorted(DOCUMENT.keys() - {"failed_once"}))
def test_a_fact_without_one_of_its_members_is_none(missing: str) -> None:
    document = {name: value for name, value in DOCUMENT.items() if name != missing}
    assert decode(WAIT.field, orjson.dumps(document)) is None


def test_a_fact_of_an_earlier_version_lacks_what_that_did_not_know() -> None:
    earlier = {name: value for name, value in orjson.loads(encode(ONCE)).items() if name != "failed_once"}
    read = decode(ONCE.field, orjson.dumps(earlier))
    assert read == replace(ONCE, failed_once=False)


def test_members_of_a_later_version_are_left_alone() -> None:
    assert decode(WAIT.field, orjson.dumps({**DOCUMENT, "weight": 0.5})) == WAIT


@given(st.binary())
def test_bytes_of_any_kind_are_a_fact_or_nothing(text: bytes) -> None:
    assert decode(WAIT.field, text) is None


@given(st.sampled_from(sorted(DOCUMENT)), ANYTHING)
def test_no_value_in_any_member_gets_through_but_a_good_one(name: str, value: Any) -> None:
    fact = decode(WAIT.field, json.dumps({**DOCUMENT, name: value}).encode())
    if fact is not None:
        assert isinstance(getattr(fact, name), str | int | float | None)
        assert math.isfinite(fact.shifted(86400).at)
        assert decode(fact.field, encode(fact)) == fact


@pytest.mark.parametrize("until", [math.inf, math.nan, 1e300, None])
def test_an_end_that_never_comes_is_none(until: float | None) -> None:
    assert fit(Fact("drain", "groq", "drained", "", until, 1000.0, "r1")).until is None


def test_a_reason_is_cut_and_made_fit() -> None:
    fact = fit(Fact("stop", "groq", "bad-key", "\ud800" + "x" * 1000, None, 1000.0, "r1"))
    assert fact.reason == "?" + "x" * 299
    assert decode(fact.field, encode(fact)) == fact
