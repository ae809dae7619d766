"""Tool names in the few characters that Cohere takes, and back."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.cohere import decode_name, encode_name

NAMES = st.text(st.sampled_from("_x2d59a-.:/ Zé8") | st.characters(codec="utf-8", max_codepoint=0xFFFFF), max_size=30)


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("get_time", "get_time"),
        ("get-time", "get_x2d_time"),
        ("7zip", "_x37_zip"),
        ("a.b:c", "a_x2e_b_x3a_c"),
        ("get_x2d_time", "get_x5f_x2d_time"),
        ("_", "_"),
    ],
)
def test_spellings(name: str, spelling: str) -> None:
    assert encode_name(name) == spelling
    assert decode_name(spelling) == name


@settings(derandomize=True, max_examples=1000, deadline=None)
@given(NAMES)
@example("_x2d-")
@example("_x2d_x2d-")
@example("Ø_xd8_-")
def test_every_name_can_be_read_back(name: str) -> None:
    spelling = encode_name(name)
    assert decode_name(spelling) == name
    assert re.fullmatch(r"(?![0-9])[A-Za-z0-9_]*", spelling)


@pytest.mark.parametrize("spelling", ["_xd800_", "_xdfff_", "_xfffffff_", "_x_", "_xZZ_"])
def test_what_is_no_spelling_stays_as_it_is(spelling: str) -> None:
    assert decode_name(spelling) == spelling
