"""The JSON Schema for editors: checked in, current, and of the same opinion as the check itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from router.core.duration import DURATION
from router.core.strategy_options import Strategy
from router.registry.document import ENTRIES, Document, Strategies
from router.registry.schema import SCHEMA_FILE, json_schema, render_schema
from router.registry.values import COUNT, PATTERNS, RESETS
from router.strategies.table import STRATEGIES
from tests.support.paths import ROOT


def test_the_checked_in_schema_is_up_to_date() -> None:
    assert SCHEMA_FILE.read_text() == render_schema(), "write it anew with: quorum schema > the file"


def entries(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "Document", schema
    yield from schema["$defs"].items()


def test_every_field_is_explained_and_no_other_is_allowed() -> None:
    for name, entry in entries(json_schema()):
        assert entry["additionalProperties"] is False, name
        for field, value in entry["properties"].items():
            assert value.get("description") or "$ref" in value, f"{name}.{field}"


def test_fields_have_the_names_of_the_file() -> None:
    schema = json_schema()
    assert set(schema["properties"]) == set(Document.model_fields)
    assert "first_token" in schema["$defs"]["TierEntry"]["properties"]


def test_every_field_stands_in_the_reference_page() -> None:
    page = (ROOT / "docs" / "registry.md").read_text()
    fields = {field for _, entry in entries(json_schema()) for field in entry["properties"]}
    assert {field for field in fields if not re.search(rf"\b{field}\b", page)} == set()


def patterns(node: Any) -> Iterator[str]:
    match node:
        case {"pattern": str(pattern)}:
            yield pattern
        case {"patternProperties": dict(properties)}:
            yield from properties
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from patterns(child)


def test_every_pattern_is_explained_to_who_does_not_match_it() -> None:
    converted = {f"^{DURATION}$", f"^{COUNT}$", f"^({RESETS})$"}  # their own checks have sentences
    assert set(patterns(json_schema())) - converted == set(PATTERNS)


def test_every_strategy_has_an_entry_of_its_kind() -> None:
    entries = dict(Strategies().by_name())
    assert {name: type(entry) for name, entry in entries.items()} == {
        name: ENTRIES[facts.options] for name, facts in STRATEGIES.items()
    }
    assert set(json_schema()["$defs"]["Strategies"]["properties"]) == set(STRATEGIES) == set(get_args(Strategy))


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (DURATION, ["250ms", "30s", "5m", "14d", "1.5h"], ["30", "s", "5 m", "-1s", "1m30s"]),
        (COUNT, ["200k", "1M", "1.5k"], ["200", "1m", "k", "1 M"]),
        (RESETS, ["rolling", "00:00 UTC", "23:59 America/Los_Angeles"], ["24:00 UTC", "0:00 UTC", "00:00", "daily"]),
    ],
)
def test_small_words_have_patterns(pattern: str, good: list[str], bad: list[str]) -> None:
    assert all(re.fullmatch(pattern, word) for word in good)
    assert not any(re.fullmatch(pattern, word) for word in bad)
