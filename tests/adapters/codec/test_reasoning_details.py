"""A model that reasons and calls tools gets its own reasoning back unchanged, and no other provider gets it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters import ADAPTERS
from adapters.codec.collect import StreamCollector, collect
from adapters.codec.reasoning_details import MAX_CHARS, MAX_DETAILS
from adapters.codec.sse import SseParser
from adapters.types import (
    Answer,
    ChatRequest,
    Delta,
    Message,
    ReasoningDetail,
    Text,
    Tool,
    ToolCall,
    ToolCallDelta,
)
from tests.adapters.asking import asked, said
from tests.adapters.oracle import Json
from tests.adapters.test_hostile import JUNK
from tests.support.recorded import recordings

THINKING = {"type": "thinking", "thinking": "The user wants the weather.", "signature": "EqgCCkYIBxgC+sig=="}
REDACTED = {"type": "redacted_thinking", "data": "EmwKAhgBEgyo"}
CALLING = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
TEXTUAL = {
    "type": "reasoning.text",
    "text": "The user wants the weather.",
    "format": "anthropic-claude-v1",
    "index": 0,
    "signature": "EqgCCkYIBxgC+sig==",
}
SUMMARY = {"type": "reasoning.summary", "summary": "Weather.", "format": "openai-responses-v1", "index": 0}
ENCRYPTED = {"type": "reasoning.encrypted", "data": "gAAA", "format": "openai-responses-v1", "id": "rs_1", "index": 0}
FUNCTION = {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
THOUGHTS: dict[str, list[Json]] = {"anthropic": [THINKING, REDACTED], "openrouter": [TEXTUAL, SUMMARY, ENCRYPTED]}


def whole_body(maker: str, thoughts: list[Json], *, calling: bool = True) -> bytes:
    if maker == "anthropic":
        blocks = [*thoughts, {"type": "text", "text": "I will look."}, *([CALLING] if calling else [])]
        return json.dumps({"type": "message", "content": blocks, "stop_reason": "tool_use"}).encode()
    message: Json = {"role": "assistant", "content": "I will look.", "reasoning_details": thoughts}
    calls = {"tool_calls": [FUNCTION]} if calling else {}
    finish = "tool_calls" if calling else "stop"
    return json.dumps({"choices": [{"message": {**message, **calls}, "finish_reason": finish}]}).encode()


def heard(maker: str, body: bytes) -> Answer:
    return ADAPTERS[maker].parse_response(200, {}, body)


def anthropic_stream() -> list[Json]:
    def block(index: int, begun: Json, *deltas: Json) -> list[Json]:
        pieces = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        return [{"type": "content_block_start", "index": index, "content_block": begun}, *pieces]

    return [
        *block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "The user wants"},
            {"type": "thinking_delta", "thinking": " the weather."},
            {"type": "signature_delta", "signature": THINKING["signature"]},
        ),
        *block(1, REDACTED),
        *block(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "I will look."}),
        *block(3, {**CALLING, "input": {}}, {"type": "input_json_delta", "partial_json": '{"city":"Oslo"}'}),
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
        {"type": "message_stop"},
    ]


def openrouter_stream() -> list[Json]:
    text = {name: TEXTUAL[name] for name in ("type", "format", "index")}
    deltas: list[Json] = [
        {"reasoning": "The user wants", "reasoning_details": [{**text, "text": "The user wants"}]},
        {"reasoning": " the weather.", "reasoning_details": [{**text, "text": " the weather."}]},
        {"reasoning_details": [{**text, "signature": TEXTUAL["signature"]}]},
        {"reasoning_details": [{**SUMMARY, "summary": "Wea"}]},
        {"reasoning_details": [{**SUMMARY, "summary": "ther."}]},
        {"reasoning_details": [ENCRYPTED]},
        {"content": "I will look."},
        {"tool_calls": [{"index": 0, **FUNCTION}]},
    ]
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    return [*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}]


STREAMS = {"anthropic": anthropic_stream(), "openrouter": openrouter_stream()}


def streamed(maker: str, body: bytes, cut: int) -> tuple[Answer, list[Delta]]:
    """The answer of a stream that arrives in pieces of `cut` bytes, and what of it is passed on."""
    parser, collector = SseParser(), StreamCollector()
    pieces = [body[at : at + cut] for at in range(0, len(body), cut)]
    events = [event for piece in pieces for event in parser.feed(piece)] + parser.close()
    passed = [collector.add(delta) for event in events for delta in ADAPTERS[maker].parse_event(event)]
    passed.append(collector.close())
    return collector.answer(), passed


def going_on(answer: Answer) -> ChatRequest:
    """The conversation as its caller goes on with it."""
    [call] = answer.tool_calls
    return ChatRequest(
        messages=(
            said("user", "Weather?"),
            Message("assistant", (Text(answer.text),), (call,), reasoning_details=answer.reasoning_details),
            said("tool", "rain", tool_call_id=call.id),
        ),
        tools=(Tool("weather"),),
    )


def handed_back(maker: str, answer: Answer) -> list[Any]:
    turn = asked(ADAPTERS[maker], going_on(answer))["messages"][1]
    if maker == "anthropic":
        return [block for block in turn["content"] if block["type"] not in ("text", "tool_use")]
    return list(turn.get("reasoning_details", []))


@pytest.mark.parametrize("maker", THOUGHTS)
def test_thoughts_go_back_unchanged_and_in_order(maker: str) -> None:
    answer = heard(maker, whole_body(maker, THOUGHTS[maker]))
    assert handed_back(maker, answer) == THOUGHTS[maker]
    assert answer.text == "I will look."


def test_anthropic_gets_them_first_in_the_turn_and_no_turn_of_thoughts_alone() -> None:
    answer = heard("anthropic", whole_body("anthropic", [THINKING]))
    kinds = [block["type"] for block in asked(ADAPTERS["anthropic"], going_on(answer))["messages"][1]["content"]]
    assert kinds == ["thinking", "text", "tool_use"]
    alone = Message("assistant", reasoning_details=answer.reasoning_details)
    body = asked(ADAPTERS["anthropic"], ChatRequest((said("user", "a"), alone, said("user", "b"))))
    assert [turn["role"] for turn in body["messages"]] == ["user", "user"]


def test_a_block_that_is_no_thought_is_not_smuggled_in() -> None:
    text = ReasoningDetail("anthropic", {"type": "document", "source": {}})
    answer = Answer(tool_calls=(ToolCall("c", "weather", "{}"),), reasoning_details=(text,))
    assert handed_back("anthropic", answer) == []


@pytest.mark.parametrize("maker", THOUGHTS)
def test_a_stream_in_any_pieces_says_the_same_as_the_whole(maker: str) -> None:
    whole = heard(maker, whole_body(maker, THOUGHTS[maker]))
    body = b"".join(b"data: " + json.dumps(document).encode() + b"\n\n" for document in STREAMS[maker])
    for cut in (1, 2, 7, 64, len(body)):
        answer, passed = streamed(maker, body, cut)
        assert answer.reasoning_details == whole.reasoning_details
        assert (answer.text, answer.tool_calls) == (whole.text, whole.tool_calls)
        [given] = [delta for delta in passed if delta.reasoning_details]
        assert given.finish_reason == "tool_calls"
        assert [(one.raw, one.index) for one in given.reasoning_details] == [
            (raw, index) for index, raw in enumerate(THOUGHTS[maker])
        ]


@pytest.mark.parametrize("maker", THOUGHTS)
def test_without_a_call_nothing_is_kept(maker: str) -> None:
    assert heard(maker, whole_body(maker, THOUGHTS[maker], calling=False)).reasoning_details == ()


@pytest.mark.parametrize("maker", THOUGHTS)
@pytest.mark.parametrize("other", ADAPTERS)
def test_nobody_but_their_maker_gets_them(maker: str, other: str) -> None:
    request = going_on(heard(maker, whole_body(maker, THOUGHTS[maker])))
    with_thoughts = asked(ADAPTERS[other], request)
    call = request.messages[1]
    bare = Message("assistant", call.content, call.tool_calls)
    without = asked(ADAPTERS[other], ChatRequest((request.messages[0], bare, request.messages[2]), request.tools))
    assert (with_thoughts == without) == (other != maker)


def test_details_of_a_whole_answer_are_not_merged_whatever_their_numbers() -> None:
    twice = [TEXTUAL, {**TEXTUAL, "text": "Once more."}]
    assert handed_back("openrouter", heard("openrouter", whole_body("openrouter", twice))) == twice


def test_pieces_of_one_number_with_different_ids_are_different_details() -> None:
    pieces = [{**ENCRYPTED, "id": name, "data": name} for name in ("rs_1", "rs_2")]
    deltas = [Delta(reasoning_details=(ReasoningDetail("openrouter", piece, 0),)) for piece in pieces]
    answer = collect([*deltas, Delta(tool_call=ToolCallDelta(0, "c", "f", "{}")), Delta(finish_reason="stop")])
    assert [one.raw for one in answer.reasoning_details] == pieces


@pytest.mark.parametrize(
    "pieces",
    [
        [{"type": "thinking", "thinking": "x" * (MAX_CHARS // 2)}] * 3,
        [{"type": "thinking", "thinking": "x"}] * (MAX_DETAILS + 1),
    ],
)
def test_of_too_much_nothing_is_kept_rather_than_a_part(pieces: list[Json]) -> None:
    deltas = [Delta(reasoning_details=(ReasoningDetail("anthropic", piece),)) for piece in pieces]
    call = Delta(tool_call=ToolCallDelta(0, "c", "f", "{}"))
    assert collect([*deltas[:1], call, Delta(done=True)]).reasoning_details
    assert collect([*deltas, call, Delta(done=True)]).reasoning_details == ()


@pytest.mark.parametrize("junk", [*JUNK, [[TEXTUAL]], [{**TEXTUAL, "text": {"deep": []}}]])
def test_what_is_no_detail_does_no_harm(junk: Any) -> None:
    assert heard("openrouter", whole_body("openrouter", junk)).tool_calls
    assert handed_back("openrouter", heard("openrouter", whole_body("openrouter", [TEXTUAL, junk])))[0] == TEXTUAL


# --- loops that clients really went through --------------------------------------------------------------------------

LOOPS = ("tools-reasoning", "stream-tools-reasoning")


@pytest.mark.parametrize("kind", LOOPS)
def test_a_recorded_loop_goes_on_as_its_client_went_on(kind: str) -> None:
    begun = f"{kind}__ruby-llm__chat-openrouter-reasoning-details-round-trip"
    found = recordings("openrouter")
    if not found:
        pytest.skip("no recorded traffic (QUORUM_RECORDED)")
    first = next(recording for recording in found if recording.stem.startswith(begun))
    answer = streamed("openrouter", first.body, 100)[0] if first.is_stream else heard("openrouter", first.body)
    turns = [turn for recording in found for turn in recording.request.get("body", {}).get("messages", ())]
    [call] = answer.tool_calls
    sent = next(turn for turn in turns if turn.get("tool_calls") and turn["tool_calls"][0]["id"] == call.id)
    assert handed_back("openrouter", answer) == sent["reasoning_details"]
