"""The scene of a decision and its words: every stage is shown in both views, whatever stands in its fields."""

from __future__ import annotations

import io
import json
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.cli.live_view import LiveView, PlainView
from router.cli.output import Screen
from router.cli.progress import Scene, in_words
from router.core.stages import STAGES, Stage, from_document
from tests.cli.terminal import on_screen, width_of

SEAT = {"provider": "groq", "model": "gpt-oss"}
EXAMPLES: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    # stage: its fields, the line in a pipe, the lines on a terminal
    "plan": (
        {"strategy": "council", "seats": [SEAT, {"provider": "xai", "model": "grok"}], "calls": 7},
        "council asks groq/gpt-oss, xai/grok, at most 7 calls",
        ["council, at most 7 calls", "groq/gpt-oss  asking…", "xai/grok      asking…"],
    ),
    "vote": (
        {**SEAT, "role": "draft", "outcome": "ok", "error_type": None, "ms": 412},
        "groq/gpt-oss  drafted  412 ms",
        ["groq/gpt-oss  drafted  412 ms"],
    ),
    "tally": (
        {"counts": {"spam": 2, "ham": 1.0}, "out": 1},
        "tally: spam 2, ham 1; 1 vote still out",
        ["spam  ████████████████████ 2", "ham   ██████████ 1", "1 vote still out"],
    ),
    "groups": ({"groups": 2, "known": True}, "the answers form 2 groups", ["the answers form 2 groups"]),
    "drafts": (
        {"planned": 4, "usable": 3, "ms": 950.4},
        "3 usable drafts of 4 seats  950 ms",
        ["3 usable drafts of 4 seats  950 ms"],
    ),
    "repairs": ({"calls": 1}, "1 unreadable ballot asked for again", ["1 unreadable ballot asked for again"]),
    "ballot": (
        {"reviewer": "xai/grok", "ranking": ["groq/gpt-oss", "mistral/small"]},
        "xai/grok ranks groq/gpt-oss > mistral/small",
        ["xai/grok ranks groq/gpt-oss > mistral/small"],
    ),
    "ballots": (
        {"counted": 3, "spoiled": 1},
        "3 ballots counted, 1 ballot spoiled",
        ["3 ballots counted, 1 ballot spoiled"],
    ),
    "ranking": ({"ranking": ["a/b", "c/d"]}, "ranking: a/b > c/d", ["ranking: a/b > c/d"]),
    "chair": (SEAT, "groq/gpt-oss writes the answer", ["groq/gpt-oss writes the answer"]),
    "written": (
        {"calls": 2, "ms": 1800},
        "the answer is written, after 2 calls  1800 ms",
        ["the answer is written, after 2 calls  1800 ms"],
    ),
    "escalated": (
        {"strategy": "council", "tier": "complex"},
        "the vote was weak: council goes on in tier complex",
        ["the vote was weak: council goes on in tier complex"],
    ),
    "cut": (
        {**SEAT, "goes_on": True},
        "groq/gpt-oss broke off in mid-answer; another seat goes on",
        ["groq/gpt-oss broke off in mid-answer; another seat goes on"],
    ),
}


def stage(name: str, **facts: Any) -> Stage:
    """A stage as it comes from the wire."""
    made = from_document(json.loads(json.dumps({"stage": name, **facts})))
    assert made is not None, f"fields are missing: {name}"
    return made


def in_a_pipe(*stages: Stage) -> str:
    out, aside = io.StringIO(), io.StringIO()
    view = PlainView(out, aside)
    for one in stages:
        view.stage(one)
    view.close()
    assert out.getvalue() == ""
    return aside.getvalue()


def at_a_terminal(*stages: Stage, columns: int = 80, rows: int = 24) -> list[str]:
    out = io.StringIO()
    view = LiveView(out, Screen(tty=True, width=columns), rows)
    for one in stages:
        view.stage(one)
    view.close()
    lines = on_screen(out.getvalue().replace("\n", "\r\n"), columns, rows)
    assert max(map(width_of, lines)) <= columns
    return lines


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_is_shown_in_both_views(name: str) -> None:
    facts, line, scene = EXAMPLES[name]
    assert in_a_pipe(stage(name, **facts)) == f"{line}\n"
    assert at_a_terminal(stage(name, **facts)) == [*scene, ""]


def test_every_example_is_of_a_stage() -> None:
    assert set(EXAMPLES) == set(STAGES)


HOSTILE: list[Any] = [
    *(None, True, -1, 10**400, 1e300, float("nan"), [], {}, [[["x"]]]),
    "\x1b[2J[red]x\r\n\ud800\u202e" * 50,
    ["\x1b[2J"],
    [None, {"provider": []}],
    {"provider": {"provider": 1, "model": 2}, "model": None},
    {"a": "b", "\x07": 10**400, "c": float("inf")},
]


def shown(made: Stage) -> str:
    """What both views show of a stage; `on_screen` has proven that nothing of it drives the terminal."""
    return in_a_pipe(made) + "\n".join(at_a_terminal(made, columns=40, rows=10))


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_fields_of_any_type_are_shown_somehow_and_drive_nothing(name: str, value: Any) -> None:
    facts, _, _ = EXAMPLES[name]
    for field in facts:
        made = from_document({"stage": name, **facts, field: value})
        assert made is not None
        said = shown(made)
        assert said
        assert all(char.isprintable() or char == "\n" for char in said)
    everything = from_document({"stage": name, **dict.fromkeys(facts, value)})
    assert everything is not None
    assert shown(everything)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.sampled_from(sorted(STAGES)), st.data())
def test_no_value_of_json_raises(name: str, data: st.DataObject) -> None:
    made = from_document({"stage": name} | {field.name: data.draw(JSON) for field in fields(STAGES[name])})
    assert made is not None
    assert in_words(made) == "".join(char for char in in_words(made) if char.isprintable())
    assert Scene().after(made).after(made).settled() is not None


def test_stages_in_another_order_give_the_same_rows() -> None:
    plan, vote = stage("plan", **EXAMPLES["plan"][0]), stage("vote", **EXAMPLES["vote"][0])
    assert Scene().after(plan).after(vote) == Scene().after(vote).after(plan)


def test_a_failure_of_another_role_than_the_answer_names_it() -> None:
    failed = {**SEAT, "role": "ballot", "outcome": "failed", "error_type": "timeout", "ms": 90}
    assert in_words(stage("vote", **failed)) == "groq/gpt-oss  ballot: timeout  90 ms"
    assert in_words(stage("vote", **{**failed, "role": "answer"})) == "groq/gpt-oss  timeout  90 ms"
    assert in_words(
        stage("vote", **{**failed, "error_type": None, "outcome": "cancelled_early", "role": "answer"})
    ) == ("groq/gpt-oss  cancelled_early  90 ms")


def test_a_scene_has_a_bound_whatever_comes() -> None:
    scene = Scene()
    for number in range(500):
        scene = scene.after(stage("chair", provider="p", model=str(number)))
        scene = scene.after(stage("plan", strategy="x", seats=[{"provider": "p", "model": str(number)}], calls=1))
    assert len(scene.rows) + len(scene.notes) < 200


def test_wide_letters_are_cut_where_the_terminal_ends() -> None:
    seats = [{"provider": f"p{number}", "model": "東京" * 30} for number in range(12)]
    votes = [stage("vote", **seat, role="answer", outcome="failed", error_type="x" * 90, ms=7) for seat in seats]
    lines = at_a_terminal(stage("plan", strategy="s", seats=seats, calls=12), *votes, columns=40, rows=10)
    assert lines[-2:] == ["… and 5 more", ""]
    assert len(lines) == 10
    assert all(line.startswith("p") and "…  xxx" in line and line.endswith("x…") for line in lines[1:8])
