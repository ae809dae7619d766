"""Stages of a decision, sent to a terminal and read back: one list of types that hostile JSON cannot break."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.stages import (
    STAGES,
    AnswersGrouped,
    AnswerWritten,
    BallotRead,
    BallotsCounted,
    ChairAsked,
    DraftsGathered,
    DraftsRanked,
    Escalated,
    RepairsAsked,
    SeatsAsked,
    Stage,
    StreamCut,
    VoteEnded,
    VotesTallied,
    from_document,
    to_document,
)

EXAMPLES: tuple[Stage, ...] = (
    SeatsAsked("council", ({"provider": "p", "model": "m"},), 13),
    VoteEnded("p", "m", "draft", "ok", None, 12),
    VotesTallied({"spam": 2.0}, 1),
    AnswersGrouped(2, known=True),
    DraftsGathered(4, 3, 120.5),
    RepairsAsked(1),
    BallotRead("p/m", ("q/n", "r/o")),
    BallotsCounted(3, 1),
    DraftsRanked(("q/n", "p/m")),
    ChairAsked("p", "m"),
    AnswerWritten(1, 80.0),
    Escalated("synthesize-best", "complex"),
    StreamCut("p", "m", goes_on=True),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def test_every_stage_has_an_example_and_a_name_of_its_own() -> None:
    assert {type(stage) for stage in EXAMPLES} == set(STAGES.values())
    assert len(STAGES) == len(EXAMPLES) == 13


@pytest.mark.parametrize("stage", EXAMPLES, ids=lambda stage: stage.stage)
def test_a_stage_comes_back_as_it_was_sent(stage: Stage) -> None:
    document = orjson.loads(orjson.dumps(to_document(stage)))
    assert document["stage"] == stage.stage
    again = from_document(document)
    assert type(again) is type(stage)
    assert orjson.dumps(to_document(again)) == orjson.dumps(to_document(stage))


@pytest.mark.parametrize("stage", EXAMPLES, ids=lambda stage: stage.stage)
def test_fields_that_a_newer_daemon_adds_do_no_harm_and_missing_ones_make_it_unknown(stage: Stage) -> None:
    document = to_document(stage)
    assert from_document({**document, "new": 1}) == from_document(document)
    for name in document.keys() - {"stage"}:
        assert from_document({key: value for key, value in document.items() if key != name}) is None


@given(JSON)
def test_whatever_comes_is_a_stage_or_nothing(document: Any) -> None:
    assert from_document(document) is None
