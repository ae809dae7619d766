"""Streams that are cut after text was sent: with `on_cut: continue` the caller still receives the whole answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.daemon import Start, registry_for
from tests.support.rim import Providers
from tests.support.scripted import Step, chunk, stream

WORDS = [f"word{number}" for number in range(60)]
TEXT = " ".join(WORDS)
GOES_ON = "{single-query: {on_cut: continue}, ranked-fallback: {on_cut: continue}}"
RULES = "    retries: 0\n    timeouts: {idle: 300ms}\n    models:\n"


def pieces(words: list[str], first: str = "") -> list[str]:
    return [first + words[0], *(f" {word}" for word in words[1:])]


def cut(end: str) -> Step:
    """A stream that breaks in one of these ways after forty words."""
    said = stream(*pieces(WORDS[:40]), finish=None, end="cut" if end == "cut" else "close")
    garbage = b"data: \xff\xfe{[\n\n" * 20
    match end:
        case "stall":
            return Step(headers=said.headers, pieces=said.pieces, end="stay")
        case "garbage":
            return Step(headers=said.headers, pieces=[*said.pieces, garbage], end="close")
        case _:
            return said


@pytest.mark.parametrize("end", ["cut", "eof", "stall", "garbage"])
@pytest.mark.parametrize("repeats", [0, 3, 40])
async def test_the_next_seat_goes_on_without_a_word_twice_or_missing(
    start_daemon: Start, providers: Providers, end: str, repeats: int
) -> None:
    one, two = await providers(2)
    one.then(cut(end))
    two.then(stream(*pieces(WORDS[40 - repeats :], first="" if repeats else " ")))
    registry = registry_for([one, two], strategies=GOES_ON).replace("    models:\n", RULES)
    running = await start_daemon(registry)
    reply = await running.chat("tell me", stream=True)
    assert reply.status == 200
    assert reply.text.split() == WORDS
    assert reply.done
    quorum = reply.chunks[-1]["quorum"]
    assert (quorum["flags"], quorum["attempts"], quorum["provider"]) == (["continued"], 2, "p2")
    asked = two.seen[0]["messages"]
    assert asked[0] == {"role": "user", "content": "tell me"}
    assert asked[1] == {"role": "assistant", "content": " ".join(WORDS[:40])}
    row = await running.recorded(reply)
    assert [vote["outcome"] for vote in row["votes"]] == ["failed", "ok"]


async def test_nobody_goes_on_unless_the_registry_says_so(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(cut("cut"))
    two.then(stream("never"))
    running = await start_daemon(registry_for([one, two]).replace("    models:\n", RULES))
    reply = await running.chat(stream=True)
    assert (reply.text.split(), reply.done, len(two.seen)) == (WORDS[:40], False, 0)
    assert "error" in reply.chunks[-1]


@pytest.mark.parametrize("kind", ["json", "tool call"])
async def test_nobody_goes_on_with_half_a_document_or_a_call(
    start_daemon: Start, providers: Providers, kind: str
) -> None:
    one, two = await providers(2)
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a"'}}
    begun = (
        [chunk({"content": '{"a": '})]
        if kind == "json"
        else [chunk({"content": "I look"}), chunk({"tool_calls": [call]})]
    )
    one.then(Step(headers=stream("x").headers, pieces=begun, end="cut"))
    two.then(stream("never"))
    running = await start_daemon(registry_for([one, two], strategies=GOES_ON).replace("    models:\n", RULES))
    asked: dict[str, Any] = {"response_format": {"type": "json_object"}} if kind == "json" else {}
    reply = await running.chat(stream=True, **asked)
    assert (reply.done, len(two.seen)) == (False, 0)
    assert "error" in reply.chunks[-1]


async def test_a_model_that_takes_a_prefill_is_given_its_own_beginning(
    start_daemon: Start, providers: Providers
) -> None:
    one, two = await providers(2)
    one.then(cut("cut"))
    two.then(stream(*pieces(WORDS[40:], first=" ")))
    registry = registry_for([one, two], strategies=GOES_ON, p2="supports: [prefill]").replace("    models:\n", RULES)
    running = await start_daemon(registry)
    reply = await running.chat(stream=True)
    assert reply.text.split() == WORDS
    assert [message["role"] for message in two.seen[0]["messages"]] == ["user", "assistant"]
