"""Reasoning is kept out of answers, wherever its tags stand and however the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.codec.reasoning import ReasoningFilter, split_reasoning

CASES = {
    "none": ("Hello, 1 < 2.", "Hello, 1 < 2.", ""),
    "first": ("<think>\nhm\n</think>\n\nHello", "Hello", "\nhm\n"),
    "any case": ("<THINK>hm</Think>Hello", "Hello", "hm"),
    "thinking": ("<thinking>hm</thinking> Hello", "Hello", "hm"),
    "thought": ("<thought>hm</thought>Hello", "Hello", "hm"),
    "reasoning": ("<reasoning>hm</reasoning>Hello", "Hello", "hm"),
    "triangles": ("◁think▷hm◁/think▷Hello", "Hello", "hm"),
    "two": ("<think>a</think>\n<think>b</think>\nHello", "Hello", "ab"),
    "later line": ("Hello\n<think>hm</think>\nagain", "Hello\n\nagain", "hm"),
    "indented": ("  <think>hm</think>Hello", "  Hello", "hm"),
    "empty": ("<think></think>Hello", "Hello", ""),
    "never closed": ("<think>hm, and so on", "", "hm, and so on"),
    "never closed, later line": ("Hello\n<think>hm", "Hello\n", "hm"),
    "mid-line, closed": ("Hello <think>hm</think>again", "Hello again", "hm"),
    "mid-line, a mention": ("Write <think> first.\nThen go on.", "Write <think> first.\nThen go on.", ""),
    "a mention, then a thought": ("Use <think> so:\n<think>hm", "Use <think> so:\n", "hm"),
    "a mention around a thought": ("a <think> b <thought>hm</thought> c", "a <think> b  c", "hm"),
    "other closer inside": ("<think>a</thought>b</think>c", "c", "a</thought>b"),
    "opener inside": ("<think>a <think> b</think>c", "c", "a <think> b"),
    "inline code": ("Use `<think>` and `</think>`.", "Use `<think>` and `</think>`.", ""),
    "double backticks": ("Use ``a ` <think>`` now", "Use ``a ` <think>`` now", ""),
    "fence": ("```xml\n<think>x</think>\n```\n", "```xml\n<think>x</think>\n```\n", ""),
    "longer fence": ("````\n```\n<think>\n````\n<think>hm", "````\n```\n<think>\n````\n", "hm"),
    "after a fence": ("```\nx\n```\n<think>hm</think>", "```\nx\n```\n", "hm"),
    "fence marks on one line": ("```x```\n<think>hm</think>Hello", "```x```\nHello", "hm"),
    "an open backtick ends with its line": ("don`t\n<think>hm</think>Hello", "don`t\nHello", "hm"),
    "backticks in a thought": ("<think>don`t ```</think>Hello", "Hello", "don`t ```"),
    "a quoted closer in a thought": ("<think>write `</think>` last</think>Hello", "Hello", "write `</think>` last"),
    "code on both sides of a closer": ("<think>a`</think>\n`b`", "`b`", "a`"),
    "not a tag": ("<thinker>a</thinker> <think a", "<thinker>a</thinker> <think a", ""),
    "nearly a tag": ("a <thin", "a <thin", ""),
    "only a closer": ("hm\nhm</think>\n\nHello", "Hello", "hm\nhm"),
    "two closers": ("a</think>b</think>c", "c", "ab"),
    "closer after a thought": ("<think>a</think>b</think> c", "c", "ab"),
    "closer first": ("</think>\nHello", "Hello", ""),
}


def streamed(pieces: list[str], *, starts_open: bool = False) -> tuple[str, str, bool]:
    sieve = ReasoningFilter(starts_open=starts_open)
    parts = [*(sieve.feed(piece) for piece in pieces), sieve.close()]
    return "".join(text for text, _ in parts), "".join(thought for _, thought in parts), sieve.leaked


@pytest.mark.parametrize("name", CASES)
def test_rules(name: str) -> None:
    text, answer, thought = CASES[name]
    assert split_reasoning(text) == (answer, thought)


@pytest.mark.parametrize("name", CASES)
def test_streams_say_the_same_unless_they_leaked(name: str) -> None:
    text, answer, thought = CASES[name]
    whole = streamed([text])
    assert whole[2] or whole[:2] == (answer, thought)
    assert streamed(list(text)) == whole
    for at in range(len(text)):
        assert streamed([text[:at], text[at:]]) == whole


def test_a_late_closer_is_dropped_and_told() -> None:
    assert streamed(["hm ", "hm</th", "ink> Hello"]) == ("hm hm Hello", "", True)
    assert streamed(["</think>Hello"]) == ("Hello", "", False)


def test_a_stream_may_begin_inside_a_thought() -> None:
    assert streamed(["hm</thi", "nk>\n", " Hello"], starts_open=True) == ("Hello", "hm", False)
    assert streamed(["hm"], starts_open=True) == ("", "hm", False)
    assert split_reasoning("hm</thought>Hello", starts_open=True) == ("Hello", "hm")


def test_no_more_than_a_tag_is_held_back() -> None:
    sieve = ReasoningFilter()
    shown = ""
    text = "Some words < and </reasonin and ◁/think and `code`` and <thinkin\n" * 3
    for at, letter in enumerate(text):
        shown += sieve.feed(letter)[0]
        assert at + 1 - len(shown) < len("</reasoning>")
    assert shown == text


TAGS = ["<think>", "</think>", "<Thought>", "</thought>", "◁think▷", "◁/think▷"]
TOKENS = st.sampled_from([*TAGS, "`", "``", "```", "\n", " ", "<", "</", "a", "é b"])


@settings(derandomize=True, max_examples=500, deadline=None)
@given(st.lists(TOKENS, max_size=14).map("".join), st.lists(st.integers(1, 9), min_size=1, max_size=30), st.booleans())
def test_where_it_is_cut_does_not_matter(text: str, sizes: list[int], starts_open: bool) -> None:
    pieces: list[str] = []
    at = 0
    while at < len(text):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(text[at : at + size])
        at += size
    whole = streamed([text], starts_open=starts_open)
    assert streamed(pieces, starts_open=starts_open) == whole
    if not whole[2]:
        assert split_reasoning(text, starts_open=starts_open) == whole[:2]


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab \n`~*#"), max_size=60))
def test_text_without_tags_is_never_touched(text: str) -> None:
    assert streamed(list(text)) == (text, "", False)
    assert split_reasoning(text) == (text, "")


@pytest.mark.parametrize(
    "text",
    [
        "<" * 300_000,
        "`" * 300_000,
        "a <think> " * 30_000,
        "<think>a</think>" * 20_000,
        "<think>" + "`</think>`" * 30_000,
    ],
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    """Each of these would take minutes if any step looked at the whole text again."""
    answer, thought = split_reasoning(text)
    assert len(answer) + len(thought) <= len(text)
    assert streamed([text[at : at + 7] for at in range(0, len(text), 7)])[:2] == (answer, thought)
