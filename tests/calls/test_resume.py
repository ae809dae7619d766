"""Continuing a cut answer: when another seat may, what it is asked, and that no word is lost or doubled at the seam."""

from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from adapters.types import ChatRequest, Message, ResponseFormat, Text, ToolCall
from router.calls.resume import continuation_request, may_continue
from router.calls.splice import Splice

QUESTION = ChatRequest(
    (Message("system", (Text("Be brief."),)), Message("user", (Text("Where is the cat?"),))),
    params={"max_tokens": 200, "temperature": 0.2},
)
STORY = (
    "Once upon a time there was a cat who sat on a mat near the old mill by the river. "
    "Every morning she watched the boats go by, and every evening she counted them again. "
) + " ".join(f"On day {day} there were {day * 7 % 13} boats." for day in range(2, 40))


# --- what is asked ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["The cat sat", "The cat sat \n"])
def test_a_model_that_takes_a_beginning_writes_on_in_it(said: str) -> None:
    asked = continuation_request(QUESTION, said, prefill=True)
    assert asked.messages == (*QUESTION.messages, Message("assistant", (Text("The cat sat"),)))


def test_any_other_is_told_to_go_on_from_the_last_words() -> None:
    asked = continuation_request(QUESTION, "One line.\n\nThe cat sat on the red mat and pur", prefill=False)

    *before, answer, order = asked.messages
    assert tuple(before) == QUESTION.messages
    assert (answer.role, answer.text) == ("assistant", "One line.\n\nThe cat sat on the red mat and pur")
    assert order.role == "user"
    assert "\nIts last words: on the red mat and pur\n" in order.text


@pytest.mark.parametrize("prefill", [True, False])
def test_an_answer_that_the_caller_began_stays_one_message(prefill: bool) -> None:
    begun = dataclasses.replace(QUESTION, messages=(*QUESTION.messages, Message("assistant", (Text("The"),))))
    answers = [m for m in continuation_request(begun, " cat", prefill=prefill).messages if m.role == "assistant"]
    assert [answer.text for answer in answers] == ["The cat"]


def test_a_call_of_the_past_is_no_begun_answer() -> None:
    call = Message("assistant", tool_calls=(ToolCall("1", "look", "{}"),))
    asked = continuation_request(ChatRequest((*QUESTION.messages, call)), "Well", prefill=True)
    assert asked.messages[-2:] == (call, Message("assistant", (Text("Well"),)))


@pytest.mark.parametrize(("said", "left"), [("x" * 400, 100), ("x" * 7000, 32)])
def test_what_was_said_counts_towards_the_limit_of_tokens(said: str, left: int) -> None:
    params = continuation_request(QUESTION, said, prefill=True).params
    assert params == {"max_tokens": left, "temperature": 0.2}
    assert QUESTION.params["max_tokens"] == 200
    assert "max_tokens" not in continuation_request(ChatRequest(QUESTION.messages), said, prefill=True).params


@pytest.mark.parametrize(
    ("form", "said", "tool_calls_seen", "may"),
    [
        (None, "The cat", False, True),
        (ResponseFormat("text"), "The cat", False, True),
        (None, "", False, False),
        (None, " \n", False, False),
        (None, "The cat", True, False),
        (ResponseFormat("json_object"), '{"cat"', False, False),
        (ResponseFormat("json_schema"), '{"cat"', False, False),
    ],
)
def test_only_plain_text_goes_on(form: ResponseFormat | None, said: str, tool_calls_seen: bool, may: bool) -> None:
    request = dataclasses.replace(QUESTION, response_format=form)
    assert may_continue(request, said, tool_calls_seen=tool_calls_seen) is may


# --- the seam ---------------------------------------------------------------------------------------------------------


def joined(said: str, *pieces: str, prefill: bool = False) -> str:
    seam = Splice(said, prefill=prefill)
    return said + "".join(seam.feed(piece) for piece in pieces) + seam.close()


JOINS = {
    "nothing repeated": ("The cat sat", " on the mat.", "The cat sat on the mat."),
    "a cut inside a word": ("The cat s", "at down.", "The cat sat down."),
    "a cut between doubled letters": ("hel", "lo", "hello"),
    "the word begun again": ("The cat s", "sat down.", "The cat sat down."),
    "the last word": ("The cat sat", "sat down.", "The cat sat down."),
    "the last words": ("The cat sat on", "cat sat on the mat.", "The cat sat on the mat."),
    "the last word with its space": ("The cat sat", " sat down.", "The cat sat down."),
    "a word that only begins like the last": ("I like the", " theory best.", "I like the theory best."),
    "a cut behind an apostrophe": ("We'l", "l see.", "We'll see."),
    "the sentence again": ("First. The cat sat", "The cat sat on it.", "First. The cat sat on it."),
    "the whole answer again": (STORY, STORY + " The end.", STORY + " The end."),
    "the whole answer, wrapped otherwise": (STORY, STORY.replace(". ", ".\n\n") + " The end.", STORY + " The end."),
    "an answer without spaces": ("我们今天去北京看朋友", "天去北京看朋友们。", "我们今天去北京看朋友们。"),
    "doubled signs without spaces": ("谢", "谢谢你", "谢谢你"),
    "dots": ("The cat sat", "…cat sat on it.", "The cat sat on it."),
    "spelt dots": ("The cat sat", "... cat sat on it.", "The cat sat on it."),
    "dots that belong there": ("The cat sat", "... and slept.", "The cat sat... and slept."),
    "a label": ("The cat sat", "Continuing: sat on it.", "The cat sat on it."),
    "a label and nothing repeated": ("The cat sat", "(continued) on it.", "The cat sat on it."),
    "quotes": ("The cat sat", '"cat sat on it."', "The cat sat on it."),
    "typographic quotes": ("The cat sat", "“cat sat on it.”\n", "The cat sat on it."),
    "a quote that belongs there": ("He said", ' "well" and left.', 'He said "well" and left.'),
    "a space on both sides": ("The cat ", " sat.", "The cat sat."),
    "a space on both sides, and a word": ("The cat ", "cat sat.", "The cat sat."),
    "a paragraph cut in the middle": ("One.\n", "\n\nTwo.", "One.\n\nTwo."),
    "an indent given again": ("def f():\n    ", "    return 1", "def f():\n    return 1"),
    "a bullet given again": ("Cats:\n- Tom\n- ", "- Kit", "Cats:\n- Tom\n- Kit"),
    "a year": ("It was in 2026", "2026 that it rained.", "It was in 2026 that it rained."),
    "a number cut in two": ("10, 1", "1, 12", "10, 11, 12"),
    "a number that is longer": ("In all 2026", " 20261", "In all 2026 20261"),
    "a rule goes on": ("Cats\n-----", "-----\nTom", "Cats\n----------\nTom"),
    "nothing comes": ("The cat sat", "", "The cat sat"),
    "nothing new comes": ("The cat sat", "cat sat", "The cat sat"),
    "doubt: the longest repetition counts": ("ha ha", "ha ha ha!", "ha ha ha!"),
}


@pytest.mark.parametrize(("said", "rest", "whole"), JOINS.values(), ids=JOINS)
def test_two_parts_make_one_text_however_they_arrive(said: str, rest: str, whole: str) -> None:
    assert joined(said, rest) == whole
    assert joined(said, *rest) == whole


@pytest.mark.parametrize(
    ("said", "rest", "whole"),
    [
        ("It was World War I", "I that ended in 1945.", "It was World War II that ended in 1945."),
        ("The cat", " cat-napped.", "The cat cat-napped."),
        ("The cat sat", "The cat sat down.", "The cat sat down."),  # some wires give the beginning back
        (
            "So it went, until the very last one of them had gone",
            "until the very last one of them had gone.",
            "So it went, until the very last one of them had gone.",
        ),
    ],
)
def test_a_model_that_writes_on_in_its_own_answer_repeats_no_single_words(said: str, rest: str, whole: str) -> None:
    assert joined(said, rest, prefill=True) == whole
    assert joined(said, *rest, prefill=True) == whole


def test_new_text_is_held_back_no_longer_than_it_could_be_a_repetition() -> None:
    seam = Splice("The cat sat on the mat")
    assert [seam.feed(piece) for piece in (" and", " the", " dog")] == [" and", " the", " dog"]
    seam = Splice("The cat sat on the mat")
    assert [seam.feed(piece) for piece in ("the ", "m", "oon", " shone")] == ["", "", "the moon", " shone"]
    seam = Splice(STORY)
    assert [seam.feed(piece) for piece in (STORY[:300], STORY[300:], " The", " end.")] == ["", "", " The", " end."]


def test_an_answer_begun_anew_and_worded_otherwise_is_not_passed_on() -> None:
    for length in (120, 600):
        seam = Splice(STORY)
        said = STORY[:length] + "but then nothing more was ever heard of her."
        assert "".join([*(seam.feed(piece) for piece in said), seam.close()]) == ""
        assert seam.strayed
        assert seam.overlap == len(said)


def test_a_section_that_begins_like_the_answer_is_new_text() -> None:
    text = "The cat sat. Then it rained, and it went on raining until the evening came. "
    seam = Splice(text)
    assert seam.feed("The cat slept.") + seam.close() == "The cat slept."
    assert (seam.strayed, seam.overlap) == (False, 0)


def test_what_was_left_out_is_counted() -> None:
    seam = Splice("The cat sat ")
    assert "".join(map(seam.feed, ('"cat', " sat  ", 'down."'))) + seam.close() == " down."
    assert seam.overlap == len('"cat sat  "') - 1


WORDS = st.lists(st.text("abcdefgh", min_size=2, max_size=7), min_size=4, max_size=60, unique=True)
GAPS = st.sampled_from([" ", " ", " ", ", ", ". ", "\n", ":\n\n- ", "  "])


@st.composite
def cut_texts(draw: st.DrawFn) -> tuple[str, str, str]:
    """A text of different words, cut anywhere: what was said, the rest, and how much of what was said comes again."""
    text = "".join(word + draw(GAPS) for word in draw(WORDS)).rstrip()
    at = draw(st.integers(1, len(text) - 1))
    said, rest = text[:at], text[at:]
    starts = [found.start() for found in re.finditer(r"\b\w|\S(?=\S{5})", said[-390:])]
    again = draw(
        st.one_of(
            st.just(""),
            st.just(said),
            st.sampled_from(starts or [0]).map(lambda start: said[-390:][start:]),
            st.just(re.split(r"(?<=\.)\s+", said)[-1]),
        )
    )
    return said, rest, again


def repetitions(said: str, heard: str) -> set[str]:
    """Every end of `said` that `heard` begins with, white space apart."""
    body, begun = " ".join(said.split()), " ".join(heard.split())
    return {body[at:] for at in range(len(body)) if body[at] != " " and begun.startswith(body[at:])}


@given(cut_texts(), st.data())
@example(("ab cd", " ef", ""), None)
def test_no_word_is_doubled_or_lost_wherever_the_cut_is_and_whatever_comes_again(
    cut: tuple[str, str, str], data: st.DataObject | None
) -> None:
    said, rest, again = cut
    known = " ".join(again.split())
    assume(all(len(found) <= len(known) for found in repetitions(said, again + rest)))  # else nobody could tell
    heard = again + rest
    cuts = sorted(data.draw(st.lists(st.integers(0, len(heard)), max_size=8))) if data else []
    pieces = [heard[a:b] for a, b in zip([0, *cuts], [*cuts, len(heard)], strict=True)]

    whole = joined(said, *pieces)

    assert whole.split() == (said + rest).split()
    if not (said[-1].isspace() and rest[0].isspace()):
        assert whole == said + rest


@given(st.text("ab .\n…\"'1", max_size=30), st.text("ab .\n…\"'1", max_size=30), st.booleans())
def test_pieces_of_any_size_make_the_same_and_only_the_beginning_is_ever_left_out(
    said: str, heard: str, prefill: bool
) -> None:
    whole = joined(said, heard, prefill=prefill)
    assert joined(said, *heard, prefill=prefill) == whole
    new = whole.removeprefix(said)
    assert new in heard
    if new:
        left_out = heard[: heard.rindex(new)].strip(" \n…\"'.")
        assert " ".join(left_out.split()) in " ".join(said.split())
