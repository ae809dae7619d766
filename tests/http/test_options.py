"""Routing options: every option from every source, their precedence, and the error for a wrong one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from multidict import CIMultiDict

from router.core.context import Options
from router.http.errors import ApiError
from router.http.options import model_names, parse_model, resolve_options
from router.strategies.table import STRATEGIES
from tests.support.small_registry import REGISTRY as TEXT
from tests.support.small_registry import parsed, registry

REGISTRY = registry()


def options(headers: Mapping[str, str] | None = None, **fields: Any) -> Options:
    chat = parsed(**fields)
    user = chat.request.params.get("user")
    return resolve_options(REGISTRY, chat.model, chat.routing, CIMultiDict(headers or {}), user)


def refused(headers: Mapping[str, str] | None = None, **fields: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        options(headers, **fields)
    return caught.value


def test_nothing_said_means_the_registry_s_defaults() -> None:
    assert options() == Options(strategy="single-query", tier="cheap")


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        ([{"quorum": {"strategy": "council"}}, {"strategy": "council"}, {"X-Quorum-Strategy": "council"}],
         {"strategy": "council"}),
        ([{"quorum": {"tier": "complex"}}, {"tier": "complex"}, {"X-Quorum-Tier": "complex"}], {"tier": "complex"}),
        ([{"quorum": {"council_size": 5}}, {"council_size": 5}, {"X-Quorum-Council-Size": "5"}], {"council_size": 5}),
        ([{"quorum": {"timeout_ms": 1500}}, {"X-Quorum-Timeout-Ms": "1500"}], {"timeout_s": 1.5}),
        ([{"quorum": {"explain": True}}, {"X-Quorum-Explain": "true"}, {"x-quorum-explain": "1"}], {"explain": True}),
        ([{"quorum": {"labels": ["yes", "no"]}}], {"labels": ("yes", "no")}),
        ([{"quorum": {"on_no_quorum": "fail"}}], {"on_no_quorum": "fail"}),
        ([{"quorum": {"free_text": "reject"}}], {"free_text": "reject"}),
        ([{"quorum": {"include_reasoning": True}}], {"include_reasoning": True}),
        ([{"quorum": {"tags": {"team": "a"}}}], {"tags": {"team": "a"}}),
        ([{"user": "u1"}], {"end_user": "u1"}),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_every_option_by_every_way(ways: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    defaults: dict[str, Any] = {"strategy": "single-query", "tier": "cheap"}
    for way in ways:
        is_header = next(iter(way)).lower().startswith("x-")
        found = options(way) if is_header else options(**way)
        assert found == Options(**{**defaults, **expected}), way


SOURCES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"quorum": {"strategy": "council"}}, {}),
    ({"strategy": "majority-vote"}, {}),
    ({}, {"X-Quorum-Strategy": "ranked-fallback"}),
    ({"model": "complex/synthesize-best"}, {}),
    ({}, {}),
]
WON = ["council", "majority-vote", "ranked-fallback", "synthesize-best", "single-query"]


@pytest.mark.parametrize("first", range(5))
def test_the_nearer_source_decides(first: int) -> None:
    fields: dict[str, Any] = {}
    headers: dict[str, str] = {}
    for body, header in SOURCES[first:]:
        fields |= body
        headers |= header
    assert options(headers, **fields).strategy == WON[first]


def test_each_option_finds_its_own_source() -> None:
    found = options(
        {"X-Quorum-Tier": "cheap", "X-Quorum-Timeout-Ms": "900"}, model="complex/council", quorum={"council_size": 2}
    )
    assert (found.strategy, found.tier, found.council_size, found.timeout_s) == ("council", "cheap", 2, 0.9)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("auto", (None, "cheap", "single-query")),
        ("", (None, "cheap", "single-query")),
        ("complex", (None, "complex", "single-query")),
        ("council", (None, "cheap", "council")),
        ("complex/majority-vote", (None, "complex", "majority-vote")),
        ("beta/small", ("beta/small", "cheap", "single-query")),
        ("beta/large", ("beta/large", "complex", "single-query")),
    ],
)
def test_the_forms_of_a_model_s_name(model: str, expected: tuple[str | None, str, str]) -> None:
    found = options(model=model)
    assert (found.pinned, found.tier, found.strategy) == expected


def test_every_name_that_is_listed_is_accepted() -> None:
    names = model_names(REGISTRY)
    assert len(names) == len(set(names)) == 1 + 2 + 5 + 10 + 6
    for name in names:
        parse_model(REGISTRY, name)
    assert set(STRATEGIES) < set(names)


@pytest.mark.parametrize(
    ("model", "fragment"),
    [
        ("gpt-4o", "no model 'gpt-4o': it must be auto, a tier (cheap, complex), a strategy"),
        ("large", "did you mean 'beta/large'?"),
        ("cheep", "did you mean 'cheap'?"),
        ("counsil", "did you mean 'council'?"),
        ("cheap/concil", "did you mean 'cheap/council'?"),
        ("beta/smal", "did you mean 'beta/small'?"),
        ("gamma/", "no model 'gamma/'"),
        ("x\n\x1b[31m", r"no model 'x\n\x1b[31m'"),
        ("y" * 100_000, "no model 'yyy"),
    ],
)
def test_a_model_that_is_none_is_404(model: str, fragment: str) -> None:
    error = refused(model=model)
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert fragment in error.message
    assert len(error.message) < 250


# fields or headers → code, the exact param, and a piece of the sentence
WRONG: list[tuple[dict[str, Any], str, str, str]] = [
    ({"quorum": []}, "invalid_body", "quorum", "must be an object, not a list of 0"),
    ({"quorum": "council"}, "invalid_body", "quorum", "not 'council'"),
    ({"quorum": False}, "invalid_body", "quorum", "not false"),
    ({"quorum": {"strateggy": "council"}}, "invalid_body", "quorum.strateggy", "did you mean 'strategy'?"),
    ({"quorum": {"zebra": 1}}, "invalid_body", "quorum.zebra", "valid are strategy, tier, council_size"),
    ({"quorum": {"a\nb": 1}}, "invalid_body", "quorum.a\nb", r"unknown key 'a\nb' in quorum"),
    ({"quorum": {"k" * 100_000: 1}}, "invalid_body", "quorum." + "k" * 60, "unknown key 'kkk"),
    ({"quorum": {"strategy": "councl"}}, "unknown_strategy", "strategy", "did you mean 'council'?"),
    ({"strategy": "best"}, "unknown_strategy", "strategy", "valid are single-query, majority-vote"),
    ({"strategy": ["council"]}, "invalid_body", "strategy", "not a list of 1"),
    ({"strategy": ""}, "invalid_body", "strategy", "not ''"),
    ({"quorum": {"strategy": 5}}, "invalid_body", "quorum.strategy", "not 5"),
    ({"tier": "chep"}, "unknown_tier", "tier", "did you mean 'cheap'?"),
    ({"tier": "huge"}, "unknown_tier", "tier", "valid are cheap, complex"),
    ({"tier": {}}, "invalid_body", "tier", "not an object"),
    ({"council_size": 0}, "invalid_body", "council_size", "from 1 to 8, not 0"),
    ({"council_size": 9}, "invalid_body", "council_size", "from 1 to 8, not 9"),
    ({"council_size": True}, "invalid_body", "council_size", "not true"),
    ({"council_size": 2.0}, "invalid_body", "council_size", "not 2.0"),
    ({"council_size": "9" * 5_000}, "invalid_body", "council_size", "not a string of 5000 characters"),
    ({"quorum": {"council_size": "three"}}, "invalid_body", "quorum.council_size", "not 'three'"),
    ({"quorum": {"timeout_ms": 0}}, "invalid_body", "quorum.timeout_ms", "from 1 to 600000"),
    ({"quorum": {"timeout_ms": 600_001}}, "invalid_body", "quorum.timeout_ms", "not 600001"),
    ({"quorum": {"timeout_ms": 1e30}}, "invalid_body", "quorum.timeout_ms", "not 1e+30"),
    ({"quorum": {"labels": "yes"}}, "invalid_body", "quorum.labels", "2 to 64 different strings"),
    ({"quorum": {"labels": ["yes"]}}, "invalid_body", "quorum.labels", "2 to 64"),
    ({"quorum": {"labels": ["yes", "yes"]}}, "invalid_body", "quorum.labels", "different"),
    ({"quorum": {"labels": ["yes", ""]}}, "invalid_body", "quorum.labels", "different strings"),
    ({"quorum": {"labels": [["a"], ["b"]]}}, "invalid_body", "quorum.labels", "different strings"),
    ({"quorum": {"on_no_quorum": "retry"}}, "invalid_body", "quorum.on_no_quorum", "one of degrade, fail, not 'retry'"),
    ({"quorum": {"on_no_quorum": "degrad"}}, "invalid_body", "quorum.on_no_quorum", "did you mean 'degrade'?"),
    ({"quorum": {"on_no_quorum": {}}}, "invalid_body", "quorum.on_no_quorum", "not an object"),
    ({"quorum": {"free_text": "guess"}}, "invalid_body", "quorum.free_text", "one of cluster, reject"),
    ({"quorum": {"include_reasoning": "maybe"}}, "invalid_body", "quorum.include_reasoning", "not 'maybe'"),
    ({"quorum": {"explain": 1}}, "invalid_body", "quorum.explain", "true or false, not 1"),
    ({"quorum": {"tags": ["a"]}}, "invalid_body", "quorum.tags", "at most 16 strings"),
    ({"quorum": {"tags": {"a": 1}}}, "invalid_body", "quorum.tags", "at most 16 strings"),
    ({"quorum": {"tags": {"a": "x" * 257}}}, "invalid_body", "quorum.tags", "values of up to 256 characters"),
    ({"quorum": {"tags": {str(n): "x" for n in range(17)}}}, "invalid_body", "quorum.tags", "at most 16"),
]
WRONG_HEADERS: list[tuple[str, str, str, str, str]] = [
    ("X-Quorum-Strategy", "councl", "unknown_strategy", "strategy", "did you mean 'council'?"),
    ("X-Quorum-Strategy", "", "invalid_body", "X-Quorum-Strategy", "not ''"),
    ("X-Quorum-Strategy", "\udcff\udcfe", "unknown_strategy", "strategy", r"'\udcff\udcfe'"),
    ("X-Quorum-Tier", "Cheap", "unknown_tier", "tier", "did you mean 'cheap'?"),
    ("X-Quorum-Council-Size", "-1", "invalid_body", "X-Quorum-Council-Size", "not '-1'"),
    ("X-Quorum-Council-Size", "٣", "invalid_body", "X-Quorum-Council-Size", "not '٣'"),
    ("X-Quorum-Council-Size", "9" * 5_000, "invalid_body", "X-Quorum-Council-Size", "a string of 5000"),
    ("X-Quorum-Timeout-Ms", "1s", "invalid_body", "X-Quorum-Timeout-Ms", "not '1s'"),
    ("X-Quorum-Explain", "yes", "invalid_body", "X-Quorum-Explain", "true or false, not 'yes'"),
    ("X-Quorum-Stratgy", "council", "invalid_body", "X-Quorum-Stratgy", "did you mean 'X-Quorum-Strategy'?"),
    ("x-quorum-tiers", "cheap", "invalid_body", "x-quorum-tiers", "did you mean 'X-Quorum-Tier'?"),
]


@pytest.mark.parametrize(("fields", "code", "param", "fragment"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_option_is_never_a_silent_default(fields: dict[str, Any], code: str, param: str, fragment: str) -> None:
    assert_refused(refused(**fields), code, param, fragment)


@pytest.mark.parametrize(
    ("name", "value", "code", "param", "fragment"), WRONG_HEADERS, ids=lambda value: str(value)[:30]
)
def test_nor_is_a_wrong_header(name: str, value: str, code: str, param: str, fragment: str) -> None:
    assert_refused(refused({name: value}), code, param, fragment)


def assert_refused(error: ApiError, code: str, param: str, fragment: str) -> None:
    assert (error.status, error.code, error.param) == (400, code, param)
    assert fragment in error.message
    assert len(error.message) < 300
    assert error.message.isprintable()


def test_headers_of_others_and_of_our_own_answers_are_no_options() -> None:
    assert options({"X-Quorum-Provider": "alpha", "X-Request-Id": "1", "X-Quorum-Registry": "0"}) == options()


@pytest.mark.parametrize("strategy", ["majority-vote", "synthesize-best", "council"])
def test_one_pinned_model_cannot_be_several(strategy: str) -> None:
    for headers, fields in (({}, {"strategy": strategy}), ({"X-Quorum-Strategy": strategy}, {})):
        error = refused(headers, model="beta/small", **fields)
        assert (error.status, error.code, error.param) == (400, "conflicting_options", "model")
        assert "pins beta/small" in error.message


def test_a_pinned_model_yields_to_no_default_strategy() -> None:
    council_first = registry(TEXT.replace("strategy: single-query", "strategy: council"))
    found = resolve_options(council_first, "beta/small", {}, {}, None)
    assert (found.pinned, found.strategy) == ("beta/small", "single-query")
