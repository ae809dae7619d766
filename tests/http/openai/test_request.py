"""Chat bodies: the canonical values of a valid one, and the one-sentence error of every mistake."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.types import Image, Opaque, ResponseFormat, Text, ToolCall, ToolChoice
from router.http.errors import ApiError
from router.http.openai.messages import MAX_MESSAGES
from router.http.openai.request import MAX_UNKNOWN_FIELDS, ChatBody, parse_chat
from router.http.openai.tools import MAX_TOOLS
from tests.support.daemon import Start, registry_for
from tests.support.scripted import scripted, whole
from tests.support.small_registry import body, parsed

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
DEEP: Any = []
for _ in range(70):
    DEEP = [DEEP]


def user(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


def message(**fields: Any) -> dict[str, Any]:
    return {"messages": [fields]}


def call(**fields: Any) -> dict[str, Any]:
    return message(role="assistant", tool_calls=[{"id": "c", "function": {"name": "f", "arguments": "{}"}, **fields}])


def schema(**fields: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"schema": {}, **fields}}}


# fields of an otherwise good body → the exact param, and a piece of the sentence
MALFORMED: list[tuple[dict[str, Any], str, str]] = [
    ({"messages": None}, "messages", "messages is missing"),
    ({"messages": []}, "messages", "not a list of 0"),
    ({"messages": "hello"}, "messages", "not 'hello'"),
    ({"messages": {}}, "messages", "not an object"),
    ({"messages": [{}] * (MAX_MESSAGES + 1)}, "messages", "has 2001 entries, at most 2000"),
    ({"messages": ["hello"]}, "messages[0]", "must be an object, not 'hello'"),
    ({"messages": [None]}, "messages[0]", "not null"),
    (message(content="x"), "messages[0].role", "not null"),
    (message(role="usr", content="x"), "messages[0].role", "did you mean 'user'?"),
    (message(role=7, content="x"), "messages[0].role", "not 7"),
    (message(role=["user"], content="x"), "messages[0].role", "not a list of 1"),
    (message(role="user"), "messages[0].content", "messages[0].content is missing"),
    (user([]), "messages[0].content", "is missing"),
    (user(5), "messages[0].content", "a string or a list of parts, not 5"),
    (user(True), "messages[0].content", "not true"),
    (user({"text": "x"}), "messages[0].content", "not an object"),
    (user(["hello"]), "messages[0].content[0].type", "must be one of text, image_url"),
    (user([{"type": "txt"}]), "messages[0].content[0].type", "did you mean 'text'?"),
    (user([{"type": "text"}]), "messages[0].content[0].text", "must be a string, not null"),
    (user([{"type": "text", "text": "a"}, {"type": "text", "text": 1}]), "messages[0].content[1].text", "not 1"),
    (user([{"type": ["text"]}]), "messages[0].content[0].type", "not a list of 1"),
    (user([{"type": "image_url"}]), "messages[0].content[0].image_url.url", "an https: URL"),
    (user([{"type": "image_url", "image_url": "ftp://x"}]), "messages[0].content[0].image_url.url", "https:"),
    (user([{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]), "messages[0].content[0].image_url.url",
     "data:image/"),
    (user([{"type": "input_audio", "input_audio": DEEP}]), "messages[0].content[0]", "nested deeper than 64"),
    (message(role="tool", content="x"), "messages[0].tool_call_id", "the id of the tool call"),
    (message(role="tool", content="x", tool_call_id=5), "messages[0].tool_call_id", "the id of the tool call"),
    (message(role="assistant", tool_calls={}), "messages[0].tool_calls", "must be a list, not an object"),
    (message(role="assistant", tool_calls=[1]), "messages[0].tool_calls[0]", "id and function {name, arguments}"),
    (call(function=None), "messages[0].tool_calls[0]", "id and function"),
    (call(function={"name": "f"}), "messages[0].tool_calls[0].function.arguments", "JSON as a string, not null"),
    (call(function={"name": "f", "arguments": {}}), "messages[0].tool_calls[0].function.arguments", "not an object"),
    (call(id=""), "messages[0].tool_calls[0].id", "must be a string"),
    (call(id=None), "messages[0].tool_calls[0].id", "must be a string"),
    ({"tools": {}}, "tools", "must be a list, not an object"),
    ({"tools": [TOOL] * (MAX_TOOLS + 1)}, "tools", "has 257 entries, at most 256"),
    ({"tools": ["weather"]}, "tools[0].type", "must be 'function'"),
    ({"tools": [TOOL, {"type": "web_search"}]}, "tools[1].type", "must be 'function'"),
    ({"tools": [{"type": "function"}]}, "tools[0].function", "an object with a name"),
    ({"tools": [{"type": "function", "function": {"name": ""}}]}, "tools[0].function", "with a name"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters",
     "a JSON Schema object"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"a": DEEP}}}]},
     "tools[0].function.parameters", "nested deeper than 64"),
    ({"tools": [{"type": "function", "function": {"name": "f", "strict": "yes"}}]}, "tools[0].function.strict",
     "true or false, not 'yes'"),
    ({"tools": [{"type": "function", "function": {"name": "f", "description": 1}}]}, "tools[0].function.description",
     "a string, not 1"),
    ({"tool_choice": "required"}, "tool_choice", "tools is empty"),
    ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice", "tools is empty"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "wether"}}},
     "tool_choice.function.name", "did you mean 'weather'?"),
    ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice", "not 'any'"),
    ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice", "not an object"),
    ({"response_format": "json"}, "response_format", "{type: json_object}"),
    ({"response_format": {"type": "xml"}}, "response_format", "{type: text}"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema", "is missing"),
    (schema(schema=[]), "response_format.json_schema.schema", "must be a JSON Schema object"),
    (schema(schema={"a": DEEP}), "response_format.json_schema.schema", "nested deeper"),
    (schema(name=1), "response_format.json_schema.name", "a string, not 1"),
    (schema(strict="true"), "response_format.json_schema.strict", "true or false, not 'true'"),
    ({"model": 7}, "model", "must be a string, not 7"),
    ({"stream": "true"}, "stream", "true or false, not 'true'"),
    ({"stream_options": []}, "stream_options", "an object, not a list of 0"),
    ({"n": 2}, "n", "n must be 1"),
    ({"n": "1"}, "n", "n must be 1"),
    ({"temperature": 2.1}, "temperature", "a number from 0 to 2, not 2.1"),
    ({"temperature": "hot"}, "temperature", "not 'hot'"),
    ({"temperature": True}, "temperature", "not true"),
    ({"top_p": -0.1}, "top_p", "from 0 to 1"),
    ({"presence_penalty": 3}, "presence_penalty", "from -2 to 2"),
    ({"seed": 1.5}, "seed", "a whole number"),
    ({"seed": 2**63}, "seed", "a whole number"),
    ({"seed": False}, "seed", "not false"),
    ({"stop": []}, "stop", "1 to 16 strings"),
    ({"stop": ["x"] * 17}, "stop", "not a list of 17"),
    ({"stop": ["x", 1]}, "stop", "1 to 16 strings"),
    ({"logit_bias": []}, "logit_bias", "an object"),
    ({"top_logprobs": 21}, "top_logprobs", "from 0 to 20"),
    ({"user": 42}, "user", "a string, not 42"),
    ({"user": ["x" * 100]}, "user", "not a list of 1"),
    ({"metadata": {"a": DEEP}}, "metadata", "nested deeper than 64"),
    ({"max_tokens": 0}, "max_tokens", "at least 1, not 0"),
    ({"max_tokens": "many"}, "max_tokens", "not 'many'"),
    ({"max_tokens": True}, "max_tokens", "not true"),
    ({"max_completion_tokens": 1.5}, "max_completion_tokens", "not 1.5"),
    ({"temprature": 1}, "temprature", "did you mean 'temperature'?"),
    ({"mesages": []}, "mesages", "did you mean 'messages'?"),
    ({"strategi": "council"}, "strategi", "did you mean 'strategy'?"),
    ({"max_token": 5}, "max_token", "did you mean 'max_tokens'?"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "param", "fragment"), MALFORMED, ids=lambda value: str(value)[:40])
def test_a_mistake_gets_its_place_and_one_sentence(fields: dict[str, Any], param: str, fragment: str) -> None:
    error = refused(orjson.dumps(body(**fields)))
    assert (error.status, error.code, error.param) == (400, "invalid_body", param)
    assert fragment in error.message
    assert len(error.message) < 400
    assert error.message.isprintable()


def refused(raw: bytes) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse_chat(raw)
    return caught.value


@pytest.mark.parametrize(
    ("raw", "fragment"),
    [
        (b"", "the body is empty"),
        (b'{"messages": [', "is not JSON: unexpected end of data at line 1 column 15"),
        (b'{"temperature": NaN}', "at line 1 column 17"),
        (b'{"temperature": Infinity}', "is not JSON"),
        (b'{"temperature": 1e400}', "infinity"),
        (b'{"user": "\\ud800"}', "surrogate"),
        (b'{"user": "\xff"}', "not valid UTF-8"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"[" * 100_000, "depth limit exceeded"),
        (b'{"a":' * 100_000, "depth limit exceeded"),
        (b"null", "must be a JSON object, not null"),
        (b"[1, 2]", "not a list of 2"),
        (b'"hello"', "not 'hello'"),
        (b"5", "not 5"),
    ],
)
def test_what_is_no_json_object_at_all(raw: bytes, fragment: str) -> None:
    error = refused(raw)
    assert (error.status, error.code, error.param) == (400, "invalid_body", None)
    assert fragment in error.message


def test_two_words_for_the_length_must_agree() -> None:
    assert parsed(max_tokens=5, max_completion_tokens=5).request.params["max_tokens"] == 5
    assert parsed(max_completion_tokens=7).request.params["max_tokens"] == 7
    error = refused(orjson.dumps(body(max_tokens=5, max_completion_tokens=6)))
    assert (error.code, error.param) == ("conflicting_options", "max_completion_tokens")


def test_numbers_beyond_every_bound_are_refused_in_short_words() -> None:
    for name in ("seed", "max_tokens", "top_logprobs", "temperature"):
        error = refused(b'{"messages":[{"role":"user","content":"x"}],"%s":%s}' % (name.encode(), b"9" * 5_000))
        assert error.param is None or error.param == name
        assert len(error.message) < 200


def test_a_key_that_stands_twice_counts_as_its_last() -> None:
    assert parse_chat(b'{"model":"a","messages":[{"role":"user","content":"x"}],"model":"b"}').model == "b"


def test_fields_nobody_knows_are_ignored_and_named() -> None:
    assert parsed(web_search_options={}, zebra=1).dropped == ("web_search_options", "zebra")
    assert parsed(**{"x" * 5_000: 1}).dropped == ("x" * 60,)


async def test_the_caller_is_told_what_was_ignored(start_daemon: Start) -> None:
    async with scripted() as provider:
        provider.then(whole("x"))
        quorum = await start_daemon(registry_for([provider]))
        told = (await quorum.chat(web_search_options={}, zebra=1)).json["quorum"]
        assert told["dropped"] == ["web_search_options", "zebra"]
        assert not {"web_search_options", "zebra"} & provider.seen[0].keys()
        assert "dropped" not in (await quorum.chat()).json["quorum"]


def test_a_flood_of_unknown_fields_is_refused_at_once() -> None:
    flood = {f"field_{number}": 1 for number in range(50_000)}
    assert f"{len(flood)} unknown fields" in refused(orjson.dumps(body(**flood))).message
    assert len(parsed(**{f"unknown {n}": 1 for n in range(MAX_UNKNOWN_FIELDS)}).dropped) == MAX_UNKNOWN_FIELDS


def test_everything_openai_sends_becomes_canonical() -> None:
    chat = parsed(
        model="cheap",
        stream=True,
        stream_options={"include_usage": True},
        messages=[
            {"role": "system", "content": "be brief", "name": "boss"},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            ]},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"},
                 "extra_content": {"google": {"thought_signature": "sig"}}},
            ], "reasoning_details": [{"type": "reasoning.encrypted", "data": "e30=", "index": 0}]},
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
        ],
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "weather"}},
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        stop="END",
        temperature=0,
        user="u1",
    )  # fmt: skip
    assert (chat.model, chat.stream, chat.include_usage, chat.dropped) == ("cheap", True, True, ())
    system, asked, called, told = chat.request.messages
    assert (system.name, system.text) == ("boss", "be brief")
    assert asked.content[:2] == (Text("look"), Image("data:image/png;base64,AA", "low"))
    assert isinstance(asked.content[2], Opaque)
    assert called.tool_calls == (ToolCall("c1", "weather", "{}", "sig"),)
    [detail] = called.reasoning_details
    assert (detail.maker, detail.raw["data"]) == ("openrouter", "e30=")
    assert (told.tool_call_id, told.text) == ("c1", "rain")
    assert chat.request.tool_choice == ToolChoice("tool", "weather")
    assert chat.request.response_format == ResponseFormat("json_schema", "a", {"type": "object"})
    assert dict(chat.request.params) == {"stop": ["END"], "temperature": 0, "user": "u1"}


def test_null_means_absent() -> None:
    names = (
        "tools",
        "tool_choice",
        "response_format",
        "temperature",
        "stop",
        "stream",
        "stream_options",
        "n",
        "quorum",
    )
    assert parsed(**dict.fromkeys(names)).request == parsed().request


# --- whatever comes --------------------------------------------------------------------------------------------------

RICH: dict[str, Any] = body(
    messages=[
        {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "https://x"}}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
         "reasoning_details": [{"type": "reasoning.encrypted", "data": "quorum.anthropic.e30=", "index": 0}]},
        {"role": "tool", "tool_call_id": "c", "content": "y"},
    ],
    tools=[TOOL],
    tool_choice="auto",
    response_format={"type": "json_schema", "json_schema": {"schema": {}}},
    stop=["a"],
    quorum={"strategy": "council"},
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inside for place in places(child, (*path, key)))]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(places(RICH)[1:]), JSON)
def test_any_value_in_any_place_is_taken_or_refused_by_name(path: tuple[Any, ...], value: Any) -> None:
    document = copy.deepcopy(RICH)
    at = document
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    assert_taken_or_refused(orjson.dumps(document))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 5_000), st.binary(max_size=4), st.integers(0, 8))
def test_any_damage_to_the_bytes_is_taken_or_refused(place: int, piece: bytes, length: int) -> None:
    raw = orjson.dumps(RICH)
    at = place % len(raw)
    assert_taken_or_refused(raw[:at] + piece + raw[at + length :])


def assert_taken_or_refused(raw: bytes) -> None:
    said = outcome(raw)
    if isinstance(said, ChatBody):
        assert said.request.messages
    else:
        assert (said.status, len(said.message) < 600) == (400, True)
        assert orjson.dumps(said.body("id"))


def outcome(raw: bytes) -> ChatBody | ApiError:
    try:
        return parse_chat(raw)
    except ApiError as error:
        return error
