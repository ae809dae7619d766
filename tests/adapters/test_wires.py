"""Answers beyond the plain case: the liberties that copies of a format take."""

from __future__ import annotations

import json
from typing import Any

import pytest

from adapters import ADAPTERS, Adapter, ErrorKind, ProviderError
from adapters.codec.collect import collect
from adapters.codec.dialect import Dialect
from adapters.codec.sse import SseEvent
from adapters.types import Answer, ToolCall, Usage

COMPATIBLE = ADAPTERS["compatible"]
OUTSIDE = Dialect(reasoning_in_output=False)


def whole(adapter: Adapter | Dialect, document: Any) -> Answer:
    return adapter.parse_response(200, {}, json.dumps(document).encode())


def streamed(adapter: Adapter, *documents: Any) -> Answer:
    texts = [document if isinstance(document, str) else json.dumps(document) for document in documents]
    return collect(delta for text in texts for delta in adapter.parse_event(SseEvent("", text)))


def message(finish: Any = "stop", **fields: Any) -> dict[str, Any]:
    return {"choices": [{"message": fields, "finish_reason": finish}]}


def chunk(finish: Any = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"delta": fields, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("fields", "text", "reasoning"),
    [
        ({"content": "Hi"}, "Hi", ""),
        ({"content": "Hi", "reasoning_content": "hm"}, "Hi", "hm"),
        ({"content": "Hi", "reasoning": "hm"}, "Hi", "hm"),
        ({"content": "Hi", "reasoning": "hm", "reasoning_content": "hm"}, "Hi", "hm"),
        ({"content": "<think>hm</think>Hi"}, "Hi", "hm"),
        ({"content": [{"type": "text", "text": "H"}, "i"]}, "Hi", ""),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "Hi"},
                ]
            },
            "Hi",
            "hm",
        ),
        ({"content": [{"type": "thinking", "thinking": "hm"}, {"text": "Hi"}, 7, None]}, "Hi", "hm"),
        ({"content": {"city": "Oslo"}}, '{"city":"Oslo"}', ""),
    ],
)
def test_where_text_and_thoughts_may_stand(fields: dict[str, Any], text: str, reasoning: str) -> None:
    for answer in (
        whole(COMPATIBLE, message(**fields)),
        streamed(COMPATIBLE, chunk(**fields), chunk("stop"), "[DONE]"),
    ):
        assert (answer.text, answer.reasoning) == (text, reasoning)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("eos", "stop"),
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("end_turn", "stop"),
        ("COMPLETE", "stop"),
        ("max_tokens", "length"),
        ("model_length", "length"),
        ("content_filter", "content_filter"),
        (None, "stop"),
        ("", "stop"),
        (["x"], "stop"),
    ],
)
def test_finish_reasons(reason: Any, finish: str) -> None:
    assert whole(COMPATIBLE, message(reason, content="Hi")).finish_reason == finish


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("error", ErrorKind.BAD_RESPONSE), ("insufficient_system_resource", ErrorKind.OVERLOADED)],
)
def test_a_finish_reason_may_be_an_error(reason: str, kind: ErrorKind) -> None:
    with pytest.raises(ProviderError, match=reason) as raised:
        whole(COMPATIBLE, message(reason, content="Hi"))
    assert raised.value.kind is kind


@pytest.mark.parametrize("arguments", ['{"a":1}', {"a": 1}])
def test_tool_arguments_may_be_an_object(arguments: Any) -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": arguments}}]
    answer = whole(COMPATIBLE, message("stop", content=None, tool_calls=calls))
    assert answer.tool_calls == (ToolCall("c1", "f", '{"a":1}'),)
    assert answer.finish_reason == "tool_calls"


def test_pieces_of_calls_without_ids_and_with_empty_names() -> None:
    pieces = [{"name": "f", "arguments": '{"a"'}, {"name": "", "arguments": ":1"}, {"arguments": "}"}]
    chunks = [chunk(tool_calls=[{"index": 0, "function": piece}]) for piece in pieces]
    [call] = streamed(COMPATIBLE, *chunks, chunk("tool_calls")).tool_calls
    assert (call.name, call.arguments) == ("f", '{"a":1}')
    assert call.id.startswith("call_")


@pytest.mark.parametrize(
    ("used", "usage"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}, Usage(9, None, 5, None)),
        ({"input_tokens": 9, "output_tokens": 5}, Usage(9, None, 5, None)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}, Usage(9, 4, None, None)),
        ({"prompt_tokens": 9, "prompt_cache_hit_tokens": 4}, Usage(9, 4, None, None)),
        ({"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 6}}, Usage(None, None, 5, 5)),
        ({"completion_tokens": -5, "prompt_tokens": 1e300}, Usage(2**53, None, 0, None)),
        ({"completion_tokens": True, "prompt_tokens": "9", "prompt_tokens_details": []}, Usage()),
        ({"completion_tokens": 5.0}, Usage(None, None, 5, None)),
        (None, Usage()),
        ([], Usage()),
    ],
)
def test_usage(used: Any, usage: Usage) -> None:
    assert whole(COMPATIBLE, {**message(content="Hi"), "usage": used}).usage == usage


@pytest.mark.parametrize(
    "place", [{"x_groq": {"usage": {"prompt_tokens": 9}}}, {"choices": [{"usage": {"prompt_tokens": 9}}]}]
)
def test_usage_may_stand_elsewhere_in_a_stream(place: Any) -> None:
    assert streamed(COMPATIBLE, chunk("stop", content="Hi"), place, "[DONE]").usage.input_tokens == 9


def test_reasoning_that_is_billed_beside_the_output_is_added_to_it() -> None:
    used = {"completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 228}}
    assert whole(OUTSIDE, {**message(content="Hi"), "usage": used}).usage == Usage(None, None, 229, 228)


@pytest.mark.parametrize(
    ("dialect", "total", "output"),
    [
        (OUTSIDE, 241, 229),
        (OUTSIDE, 13, 1),
        (OUTSIDE, None, 229),
        (COMPATIBLE, 241, 229),
        (COMPATIBLE, 13, 1),
        (COMPATIBLE, None, 1),
    ],
)
def test_the_total_tells_whether_reasoning_is_counted_already(
    dialect: Adapter | Dialect, total: int | None, output: int
) -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 228}}
    used = {"prompt_tokens": 12, "completion_tokens": 1, "total_tokens": total, **details}
    found = whole(dialect, {**message(content="Hi"), "usage": used}).usage
    assert found == Usage(12, None, output, min(228, output))


def test_xai_bills_reasoning_beside_the_output() -> None:
    used = {"completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 228}}
    assert whole(ADAPTERS["xai"], {**message(content="Hi"), "usage": used}).usage.output_tokens == 229


def test_a_single_function_call_of_old_counts_as_a_tool_call() -> None:
    call = {"name": "f", "arguments": '{"a":1}'}
    [found] = whole(COMPATIBLE, message("function_call", content=None, function_call=call)).tool_calls
    assert (found.name, found.arguments) == ("f", '{"a":1}')
    pieces = [{"name": "f", "arguments": ""}, {"arguments": '{"a"'}, {"arguments": ":1}"}]
    chunks = [chunk(function_call=piece) for piece in pieces]
    [streamed_call] = streamed(COMPATIBLE, *chunks, chunk("function_call")).tool_calls
    assert (streamed_call.name, streamed_call.arguments) == ("f", '{"a":1}')


def test_a_proof_of_thinking_is_kept_with_its_call() -> None:
    call = {"id": "c", "function": {"name": "f"}, "extra_content": {"google": {"thought_signature": "sig"}}}
    [found] = whole(COMPATIBLE, message(tool_calls=[call])).tool_calls
    assert found.signature == "sig"


def test_a_stream_may_end_without_done_and_skip_broken_lines() -> None:
    assert streamed(COMPATIBLE, '{"choices": [{"del', chunk(content="Hi"), "", "7", "[1]", chunk("stop")).text == "Hi"


def test_only_the_first_choice_is_read() -> None:
    second = {"choices": [{"index": 1, "delta": {"content": "No"}, "finish_reason": "length"}]}
    assert streamed(COMPATIBLE, chunk(content="Hi"), second, chunk("stop")) == Answer(text="Hi")


def test_white_space_before_a_body_and_a_byte_order_mark_are_harmless() -> None:
    body = json.dumps(message(content="Hi")).encode()
    for before in (b"\n\n   \n", b"\xef\xbb\xbf"):
        assert COMPATIBLE.parse_response(200, {}, before + body).text == "Hi"


def test_broken_letters_do_not_cost_the_answer() -> None:
    body = json.dumps(message(content="Hi X")).encode().replace(b"X", b"\xff")
    assert COMPATIBLE.parse_response(200, {}, body).text == "Hi \ufffd"


def test_anthropic_tells_nothing_of_tools_it_runs_itself() -> None:
    def event(kind: str, **fields: Any) -> dict[str, Any]:
        return {"type": kind, **fields}

    answer = streamed(
        ADAPTERS["anthropic"],
        event(
            "message_start",
            message={"id": "m", "model": "c", "usage": {"input_tokens": 3, "cache_read_input_tokens": 4}},
        ),
        event(
            "content_block_start", index=0, content_block={"type": "server_tool_use", "id": "s", "name": "web_search"}
        ),
        event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": '{"q":1}'}),
        event("content_block_start", index=1, content_block={"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": ""}),
        event("content_block_stop", index=1),
        event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 7}),
        event("ping"),
        event("message_stop"),
    )
    assert answer.tool_calls == (ToolCall("t", "f", "{}"),)
    assert answer.usage == Usage(7, 4, 7, None)


@pytest.mark.parametrize(
    ("reason", "kind"), [("SAFETY", ErrorKind.CONTENT_FILTER), ("MALFORMED_RESPONSE", ErrorKind.BAD_RESPONSE)]
)
def test_gemini_stops_without_an_answer(reason: str, kind: ErrorKind) -> None:
    with pytest.raises(ProviderError) as raised:
        whole(ADAPTERS["gemini"], {"candidates": [{"finishReason": reason, "content": {}}]})
    assert raised.value.kind is kind


def test_gemini_keeps_thoughts_calls_and_signatures() -> None:
    parts = [
        {"text": "hm", "thought": True},
        {"text": "Hi"},
        {"text": "", "thoughtSignature": "x"},
        {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "sig"},
        {"functionCall": {"name": "g"}},
    ]
    used = {"promptTokenCount": 5, "toolUsePromptTokenCount": 2, "candidatesTokenCount": 3, "thoughtsTokenCount": 4}
    answer = whole(
        ADAPTERS["gemini"],
        {
            "candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}],
            "usageMetadata": used,
            "responseId": "r",
        },
    )
    assert (answer.text, answer.reasoning, answer.finish_reason) == ("Hi", "hm", "tool_calls")
    assert [(call.name, call.arguments, call.signature) for call in answer.tool_calls] == [
        ("f", '{"a":1}', "sig"),
        ("g", "{}", None),
    ]
    assert answer.usage == Usage(7, None, 7, 4)


@pytest.mark.parametrize("reason", ["ERROR", "TIMEOUT"])
def test_cohere_breaks_off(reason: str) -> None:
    document = {"message": {"content": [{"type": "text", "text": "Hi"}]}, "finish_reason": reason}
    with pytest.raises(ProviderError, match=reason) as raised:
        whole(ADAPTERS["cohere"], document)
    assert raised.value.kind is ErrorKind.SERVER_ERROR
