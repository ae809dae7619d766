"""How deltas become an answer, and what of them is passed on while they come."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.codec.collect import StreamCollector, collect
from adapters.errors import ErrorKind, ProviderError
from adapters.types import Answer, Delta, ToolCall, ToolCallDelta, Usage

STOP = Delta(finish_reason="stop")
DONE = Delta(done=True)


def call(index: int | None, arguments: str = "", **more: Any) -> Delta:
    return Delta(tool_call=ToolCallDelta(index, arguments=arguments, **more))


def passed(*deltas: Delta) -> list[Delta]:
    """What a caller gets to see of a stream."""
    collector = StreamCollector()
    shown = [*map(collector.add, deltas), collector.close()]
    return [delta for delta in shown if delta != Delta()]


def test_everything_a_stream_says_is_in_the_answer() -> None:
    answer = collect(
        [
            Delta(response_model="m-1", response_id="r-1"),
            Delta(reasoning="hm"),
            Delta(text="Hel", usage=Usage(input_tokens=9, output_tokens=1)),
            Delta(text="lo"),
            Delta(finish_reason="length", usage=Usage(output_tokens=5, reasoning_tokens=2)),
            DONE,
        ]
    )
    assert answer == Answer(
        text="Hello",
        reasoning="hm",
        finish_reason="length",
        usage=Usage(9, None, 5, 2),
        response_model="m-1",
        response_id="r-1",
    )


@pytest.mark.parametrize(
    ("deltas", "kind", "message"),
    [
        ([], ErrorKind.BAD_RESPONSE, "cut"),
        ([Delta(text="Hel")], ErrorKind.BAD_RESPONSE, "cut"),
        ([call(0, "{", name="f")], ErrorKind.BAD_RESPONSE, "cut"),
        ([STOP, DONE], ErrorKind.BAD_RESPONSE, "empty"),
        ([DONE], ErrorKind.BAD_RESPONSE, "empty"),
        ([Delta(text=" \n"), STOP], ErrorKind.BAD_RESPONSE, "empty"),
        ([Delta(reasoning="hm"), STOP], ErrorKind.BAD_RESPONSE, "empty"),
        ([Delta(text="<think>hm"), STOP], ErrorKind.BAD_RESPONSE, "empty"),
        ([Delta(finish_reason="tool_calls")], ErrorKind.BAD_RESPONSE, "empty"),
        ([Delta(finish_reason="content_filter")], ErrorKind.CONTENT_FILTER, "filter"),
    ],
)
def test_what_is_no_answer(deltas: list[Delta], kind: ErrorKind, message: str) -> None:
    with pytest.raises(ProviderError, match=message) as raised:
        collect(deltas)
    assert raised.value.kind is kind


@pytest.mark.parametrize(
    ("deltas", "finish"),
    [
        ([Delta(text="a"), DONE], "stop"),
        ([Delta(text="a"), Delta(finish_reason="content_filter")], "content_filter"),
        ([Delta(finish_reason="length")], "length"),
        ([Delta(refusal="no"), STOP], "stop"),
        ([call(0, "{}", name="f"), STOP], "tool_calls"),
        ([call(0, "{}", name="f"), Delta(finish_reason="length")], "length"),
        ([Delta(text="a"), Delta(finish_reason="tool_calls")], "stop"),
    ],
)
def test_how_an_answer_ends(deltas: list[Delta], finish: str) -> None:
    assert collect(deltas).finish_reason == finish


def test_nothing_counts_after_the_end() -> None:
    assert collect([Delta(text="a"), STOP, DONE, Delta(text="b"), call(0, "{}", name="f")]).text == "a"


def test_tool_calls_merge_by_index_and_keep_their_first_name() -> None:
    answer = collect(
        [
            call(3, id="c1", name="f"),
            call(3, '{"a":', name="", id=""),
            call(5, '{"b":2}', id="c2", name="g", signature="s"),
            call(3, "1}", name="other"),
            STOP,
        ]
    )
    assert answer.tool_calls == (ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "g", '{"b":2}', "s"))


def test_calls_without_index_are_calls_of_their_own_unless_they_are_only_more_arguments() -> None:
    answer = collect([call(None, "{", name="f"), call(None, "}"), call(None, "{}", name="f"), STOP])
    assert [made.arguments for made in answer.tool_calls] == ["{}", "{}"]


def test_calls_that_are_all_numbered_0_are_told_apart_by_their_ids() -> None:
    answer = collect([call(0, "{}", id="a", name="f"), call(0, "[]", id="b", name="f"), STOP])
    assert [made.id for made in answer.tool_calls] == ["a", "b"]


def test_missing_ids_are_made_and_are_the_same_every_time() -> None:
    deltas = [Delta(response_id="r-1"), call(None, "{}", name="f"), call(None, "{}", name="f"), STOP]
    first, second = collect(deltas).tool_calls
    assert first.id != second.id
    assert (first, second) == collect(deltas).tool_calls
    assert first.id.startswith("call_")
    assert first.id != collect([Delta(response_id="r-2"), *deltas[1:]]).tool_calls[0].id
    assert [shown.tool_call.id for shown in passed(*deltas) if shown.tool_call] == [first.id, second.id]


def test_input_of_tools_that_were_never_named_is_dropped() -> None:
    deltas = [call(1, '{"q":'), call(1, '"x"}'), Delta(text="a"), STOP]
    assert collect(deltas).tool_calls == ()
    assert passed(*deltas) == [Delta(text="a"), STOP]


def test_calls_are_passed_on_numbered_from_0_once_their_arguments_begin() -> None:
    assert passed(
        call(2, id="c1", name="f"),
        call(2, '{"a":'),
        call(2, "1}"),
        call(4, id="c2", name="g", signature="s"),
        call(4, "{}"),
        STOP,
    ) == [
        Delta(tool_call=ToolCallDelta(0, "c1", "f", '{"a":')),
        Delta(tool_call=ToolCallDelta(0, arguments="1}")),
        Delta(tool_call=ToolCallDelta(1, "c2", "g", "{}", "s")),
        Delta(finish_reason="tool_calls"),
    ]


def test_calls_without_arguments_get_an_empty_object() -> None:
    deltas = [call(0, id="c1", name="f"), call(1, id="c2", name="g"), call(2, "{}", id="c3", name="h"), STOP]
    first, second, last = (
        Delta(tool_call=ToolCallDelta(number, f"c{number + 1}", name, "{}")) for number, name in enumerate("fgh")
    )
    ended = Delta(tool_call=last.tool_call, finish_reason="tool_calls")
    assert passed(*deltas) == [first, second, ended]
    assert [made.arguments for made in collect(deltas).tool_calls] == ["{}", "{}", "{}"]


def test_reasoning_in_the_text_is_passed_on_apart() -> None:
    deltas = [Delta(text="<thi"), Delta(text="nk>hm"), Delta(text="</think>\n"), Delta(text="Hello"), STOP]
    shown = passed(*deltas)
    assert "".join(delta.text for delta in shown) == "Hello"
    assert "".join(delta.reasoning for delta in shown) == "hm"
    assert collect(deltas) == Answer(text="Hello", reasoning="hm")


def test_text_that_waits_comes_with_the_finish_at_the_latest() -> None:
    assert passed(Delta(text="a <think> b"), STOP) == [Delta(text="a "), Delta(text="<think> b", finish_reason="stop")]
    assert passed(Delta(text="a <thi")) == [Delta(text="a "), Delta(text="<thi")]


def test_a_leak_is_told_and_judged_again_in_the_answer() -> None:
    collector = StreamCollector()
    shown = [collector.add(Delta(text="hm</think> Hello")), collector.add(STOP)]
    assert "".join(delta.text for delta in shown) == "hm Hello"
    assert collector.leaked
    assert collector.answer() == Answer(text="Hello", reasoning="hm")


def test_a_plain_delta_is_passed_on_as_it_is() -> None:
    collector = StreamCollector()
    delta = Delta(text="Hello", response_model="m")
    assert collector.add(delta) is delta


def test_asking_twice_gives_the_same_answer() -> None:
    collector = StreamCollector()
    collector.add(Delta(text="a <think> b"))
    collector.add(DONE)
    assert collector.answer() == collector.answer() == Answer(text="a <think> b")
