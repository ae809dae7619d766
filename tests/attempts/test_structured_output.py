"""Structured output: an answer that is not the JSON asked for is a failed attempt."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.daemon import Start, registry_for
from tests.support.rim import Providers
from tests.support.scripted import stream, whole

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
GOOD = '{"name": "Ada", "age": 36}'


def form(schema: Any = PERSON, *, strict: bool | None = True) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": strict}}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("Sure! Here is Ada.", "not JSON"),
        ('{"name": "Ada", "age": 3', "not JSON"),
        ('{"name": "Ada", "age": "old"}', "does not fit the JSON Schema at /age"),
        ('{"name": "Ada"}', "does not fit the JSON Schema at /"),
        ('["Ada", 36]', "does not fit the JSON Schema at /"),
    ],
)
async def test_an_answer_out_of_form_is_a_failed_attempt(
    start_daemon: Start, providers: Providers, bad: str, words: str
) -> None:
    one, two = await providers(2)
    one.then(whole(bad))
    two.then(whole(GOOD))
    quorum = await start_daemon(registry_for([one, two]))

    reply = await quorum.chat(response_format=form())

    assert reply.json["choices"][0]["message"]["content"] == GOOD
    failed = (await quorum.recorded(reply))["votes"][0]
    assert (failed["outcome"], failed["error_type"]) == ("failed", "bad_response")
    assert words in failed["error_message"]


async def test_a_code_fence_around_json_is_taken_off(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(whole(f"```json\n{GOOD}\n```"))
    quorum = await start_daemon(registry_for([one]))

    reply = await quorum.chat(response_format={"type": "json_object"})

    assert reply.json["choices"][0]["message"]["content"] == GOOD


async def test_a_model_without_schemas_is_given_the_schema_in_words(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(whole('{"name": "Ada"}'), whole(GOOD))
    quorum = await start_daemon(registry_for([one], p1="supports: [json]"))

    refused = await quorum.chat(response_format=form(strict=None))
    taken = await quorum.chat(response_format=form(strict=None))

    assert refused.status == 502
    assert taken.status == 200
    sent = one.seen[0]
    assert sent["response_format"] == {"type": "json_object"}
    assert sent["messages"][0]["role"] == "system"
    assert json.dumps(PERSON).replace(" ", "") in sent["messages"][0]["content"]


async def test_a_model_with_schemas_keeps_its_own_promise(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(whole('{"name": "Ada"}'))
    quorum = await start_daemon(registry_for([one], p1="supports: [json_schema]"))

    reply = await quorum.chat(response_format=form(strict=None))

    assert reply.status == 200
    assert one.seen[0]["response_format"]["json_schema"]["schema"] == PERSON


async def test_a_stream_out_of_form_ends_with_an_error(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(stream('{"name": ', "oops"))
    quorum = await start_daemon(registry_for([one]))

    reply = await quorum.chat(response_format=form(), stream=True)

    assert "not JSON" in reply.chunks[-1]["error"]["message"]
    assert not reply.done


@pytest.mark.parametrize(
    "schema",
    [{"$ref": "http://127.0.0.1:9/x"}, {"type": "objekt"}, {"$ref": "#/nowhere"}],
    ids=["remote", "odd", "lost"],
)
async def test_a_schema_that_cannot_be_checked_fetches_nothing_and_stops_nobody(
    start_daemon: Start, providers: Providers, schema: Any
) -> None:
    (one,) = await providers(1)
    one.then(whole(GOOD))
    quorum = await start_daemon(registry_for([one]))
    assert (await quorum.chat(response_format=form(schema))).status == 200


async def test_what_is_cut_or_a_tool_call_has_no_form_to_keep(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    cut = [{"index": 0, "message": {"role": "assistant", "content": '{"name": '}, "finish_reason": "length"}]
    one.then(whole("", choices=cut))
    quorum = await start_daemon(registry_for([one]))

    reply = await quorum.chat(response_format=form())

    assert reply.json["choices"][0]["finish_reason"] == "length"
