"""Values made for a schema are valid: checked against the models the schemas came from."""

from __future__ import annotations

import datetime
import enum
import uuid
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import BaseModel, Field, TypeAdapter

from router.simulator.schema import Hints, fit

HINTS = Hints.from_prompt("Please book a table for Ada Lovelace in Paris for 4 people at 19.5, 'soon'", 12345)


class Colour(enum.Enum):
    RED = "red"
    GREEN = "green"


class Node(BaseModel):
    value: int
    children: list[Node] = Field(min_length=0)


class Chain(BaseModel):
    name: str
    next: Chain | None


class Everything(BaseModel):
    name: str
    short: Annotated[str, Field(max_length=2)]
    long: Annotated[str, Field(min_length=30)]
    colour: Colour
    kind: Literal["only"]
    count: Annotated[int, Field(ge=10, lt=20, multiple_of=7)]
    above: Annotated[int, Field(gt=41)]
    ratio: Annotated[float, Field(gt=0, le=1)]
    flag: bool
    nothing: None
    maybe: int | None
    either: str | int
    when: datetime.datetime
    day: datetime.date
    ident: uuid.UUID
    several: Annotated[list[str], Field(min_length=2, max_length=3)]
    pair: tuple[int, str]
    table: dict[str, int]
    node: Node
    chain: Chain
    free: Any = 3


@pytest.mark.parametrize(
    "kind", [Everything, Node, Chain, Colour, list[int], dict[str, str], int | None, tuple[int, str]]
)
def test_fits_what_pydantic_describes(kind: Any) -> None:
    adapter = TypeAdapter(kind)
    adapter.validate_python(fit(adapter.json_schema(), HINTS))


def test_takes_names_and_numbers_from_the_prompt() -> None:
    schema = {
        "type": "object",
        "properties": {"guest": {"type": "string"}, "city": {"type": "string"}, "seats": {"type": "integer"}},
        "required": ["guest", "city", "seats"],
    }
    assert fit(schema, HINTS) == {"guest": "Ada Lovelace", "city": "Paris", "seats": 4}


def test_ranks_distinct_items_as_a_permutation() -> None:
    labels = ["A", "B", "C"]
    schema = {"type": "array", "items": {"enum": labels}, "minItems": 3, "maxItems": 3, "uniqueItems": True}
    found = {tuple(fit(schema, Hints(chance=chance))) for chance in range(9)}
    assert all(sorted(order) == labels for order in found)
    assert len(found) == 3


def test_reads_the_upper_case_types_of_openapi() -> None:
    schema = {"type": "OBJECT", "properties": {"n": {"type": "INTEGER"}}, "required": ["n"]}
    assert fit(schema, Hints()) == {"n": 1}


def test_folds_all_of() -> None:
    parts = [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"const": "x"}}}]
    assert fit({"type": "object", "allOf": parts}, Hints()) == {"a": 1, "b": "x"}


def test_matches_simple_patterns() -> None:
    assert fit({"type": "string", "pattern": "^[A-Z]{3}$"}, Hints(("Paris",))) == "ABC"
    assert fit({"type": "string", "pattern": "("}, Hints(("Paris",))) == "Paris"


def test_references_that_lead_in_circles_end() -> None:
    schema = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}
    assert fit(schema, Hints()) == "text"


json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    some.dictionaries(some.sampled_from(["title", "description", "examples", "x-note", "format"]), json_values),
    some.text(),
)
def test_unknown_words_do_no_harm(noise: dict[str, Any], prompt: str) -> None:
    if not isinstance(noise.get("format", ""), str):
        noise.pop("format")
    assert isinstance(fit({"type": "string", **noise}, Hints.from_prompt(prompt, 1)), str)
