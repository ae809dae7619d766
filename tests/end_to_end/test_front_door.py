"""Requests through the daemon against scripted providers: the answer, its headers and its rows in the vote log."""

from __future__ import annotations

import asyncio
import select
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.daemon import Start, registry_for
from tests.support.rim import LIMIT_S, Providers, seats
from tests.support.scripted import HANG, error, stream, whole


async def test_a_whole_answer_tells_who_gave_it(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(whole("42", model="scripted-2026"))
    quorum = await start_daemon(registry_for([one]))

    reply = await quorum.chat("What is 17+25?")

    assert reply.status == 200
    answer = reply.json
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "scripted-2026"
    assert answer["choices"][0]["message"]["content"] == "42"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] == 18
    assert answer["quorum"]["provider"] == "p1"
    assert answer["quorum"]["attempts"] == 1
    assert answer["quorum"]["cost_usd"] == (11 * 1 + 7 * 2) / 1_000_000
    assert reply.headers["X-Quorum-Provider"] == "p1"
    assert reply.headers["X-Quorum-Model"] == "scripted-2026"
    assert reply.headers["X-Quorum-Strategy"] == "single-query"
    assert reply.headers["X-Quorum-Tier"] == "cheap"
    assert one.seen[0]["model"] == "m1"
    assert one.headers[0]["Authorization"] == "Bearer sk-scripted-key"


async def test_three_seats_two_fail_and_the_third_answers_one_clean_stream(
    start_daemon: Start, providers: Providers
) -> None:
    one, two, three = await providers(3)
    one.then(error(503, "down for repairs"))
    two.then(error(429, "slow down", code="rate_limit_exceeded", retry_after="7"))
    three.then(stream("Hello ", "there"))
    quorum = await start_daemon(registry_for([one, two, three]))

    reply = await quorum.chat(model="ranked-fallback", stream=True, stream_options={"include_usage": True})

    assert reply.status == 200
    assert reply.text == "Hello there"
    assert reply.done
    assert [chunk["choices"][0]["finish_reason"] for chunk in reply.chunks[:-1]] == [None, None, "stop"]
    last = reply.chunks[-1]
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 7
    assert last["quorum"]["attempts"] == 3
    assert reply.headers["X-Quorum-Attempts"] == "3"
    assert reply.headers["X-Quorum-Provider"] == "p3"

    logged = await quorum.recorded(reply)
    assert (logged["outcome"], logged["api"], logged["request_model"]) == ("ok", "chat.completions", "ranked-fallback")
    assert logged["provider"] == "p3"
    told = [(v["seq"], v["provider"], v["outcome"], v["error_type"], v["http_status"]) for v in logged["votes"]]
    assert told == [
        (1, "p1", "failed", "server_error", 503),
        (2, "p2", "failed", "rate_limited", 429),
        (3, "p3", "ok", None, 200),
    ]
    assert logged["votes"][1]["retry_after_ms"] == 7000
    assert (logged["votes"][2]["input_tokens"], logged["votes"][2]["output_tokens"]) == (11, 7)
    assert all(vote["duration_ms"] > 0 for vote in logged["votes"])
    assert logged["votes"][2]["first_token_ms"] > 0


async def test_who_told_us_to_wait_is_not_asked_again_until_then(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(error(429, "slow down", retry_after="60"))
    two.then(whole("two"))
    quorum = await start_daemon(registry_for([one, two]))

    first, second = await quorum.chat(), await quorum.chat()

    assert (first.json["quorum"]["attempts"], second.json["quorum"]["attempts"]) == (2, 1)
    assert len(one.seen) == 1
    weather = (await quorum.get("/v1/weather")).json["providers"][0]["models"][0]
    assert weather["state"] == "limited"
    assert weather["until"]


async def test_when_everybody_is_limited_the_caller_hears_when_to_come_back(
    start_daemon: Start, providers: Providers
) -> None:
    (one,) = await providers(1)
    one.then(error(429, "slow down", retry_after="42"))
    quorum = await start_daemon(registry_for([one]))

    tried, untried = await quorum.chat(), await quorum.chat()

    for reply in (tried, untried):
        assert reply.status == 429
        assert reply.error["code"] == "rate_limit_exceeded"
        assert 20 < int(reply.headers["Retry-After"]) <= 42
    assert [attempt["error_type"] for attempt in tried.error["attempts"]] == ["rate_limited"]
    assert untried.error["attempts"] == []
    assert len(one.seen) == 1
    assert (await quorum.recorded(untried))["excluded"][0]["state"] == "limited"


async def test_a_refused_key_disables_its_provider_until_the_registry_changes(
    start_daemon: Start, providers: Providers
) -> None:
    one, two = await providers(2)
    one.then(error(401, "Incorrect API key", code="invalid_api_key"), whole("back again"))
    two.then(whole("two"))
    text = registry_for([one, two])
    quorum = await start_daemon(text)
    await quorum.chat()
    await quorum.chat()
    assert len(one.seen) == 1

    quorum.registry.write_text(text.replace("m1: {tier: cheap, rank: 1", "m1: {tier: cheap, rank: 1, family: other"))
    assert (await quorum.post("/v1/reload", {})).json["status"] == "swapped"

    assert (await quorum.chat()).json["choices"][0]["message"]["content"] == "back again"


async def test_a_caller_never_sees_a_provider_s_bad_key_as_its_own(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(error(401, "Incorrect API key provided", code="invalid_api_key"))
    quorum = await start_daemon(registry_for([one]))

    reply = await quorum.chat()

    assert (reply.status, reply.error["code"]) == (502, "all_providers_failed")
    assert reply.headers["x-should-retry"] == "false"


async def test_a_wrong_request_is_not_tried_on_others(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(error(400, "messages[0] is odd"))
    two.then(whole("two"))
    quorum = await start_daemon(registry_for([one, two]))

    reply = await quorum.chat()

    assert (reply.status, reply.error["code"]) == (400, "invalid_request")
    assert "messages[0] is odd" in reply.error["message"]
    assert two.seen == []


async def test_too_long_for_one_goes_only_to_a_larger_window(start_daemon: Start, providers: Providers) -> None:
    one, two, three = await providers(3)
    one.then(error(400, "maximum context length is 8192 tokens", code="context_length_exceeded"))
    two.then(whole("two"))
    three.then(whole("three"))
    contexts = {"p1": "context: 8k", "p2": "context: 8k", "p3": "context: 128k"}
    quorum = await start_daemon(registry_for([one, two, three], **contexts))

    reply = await quorum.chat()

    assert reply.json["quorum"]["provider"] == "p3"
    assert two.seen == []


async def test_a_silent_seat_leaves_time_for_the_next(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(HANG)
    two.then(whole("two"))
    quorum = await start_daemon(registry_for([one, two]))

    reply = await quorum.chat(quorum={"timeout_ms": 1000})

    assert reply.json["quorum"]["provider"] == "p2"
    assert [vote["error_type"] for vote in (await quorum.recorded(reply))["votes"]] == ["first_token_timeout", None]


async def test_a_deadline_ends_with_504(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(HANG)
    quorum = await start_daemon(registry_for([one]))

    reply = await quorum.chat(headers={"X-Quorum-Timeout-Ms": "300"})

    assert (reply.status, reply.error["code"]) == (504, "deadline_exceeded")
    await asyncio.wait_for(one.gone.wait(), LIMIT_S)


async def test_a_pinned_model_is_never_replaced(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(error(500))
    two.then(whole("two"))
    quorum = await start_daemon(registry_for([one, two]))

    assert (await quorum.chat(model="p2/m2")).json["quorum"]["provider"] == "p2"
    assert (await quorum.chat(model="p1/m1")).status == 502
    assert len(two.seen) == 1


async def test_explain_shows_the_ballot_and_who_was_left_out(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(whole("{}"))
    quorum = await start_daemon(registry_for([one, two], p2="supports: [tools]"))

    reply = await quorum.chat(response_format={"type": "json_object"}, headers={"X-Quorum-Explain": "true"})

    told = reply.json["quorum"]
    assert [(vote["provider"], vote["outcome"]) for vote in told["votes"]] == [("p1", "ok")]
    assert [(seat["provider"], seat["reason"]) for seat in told["excluded"]] == [("p2", "does not support json")]


async def test_parameters_that_a_seat_cannot_take_are_reported_or_with_strict_avoided(
    start_daemon: Start, providers: Providers
) -> None:
    one, two = await providers(2)
    one.then(whole("one"))
    two.then(whole("two"))
    text = registry_for([one, two]).replace(
        "    models:\n      m1", "    quirks: {drop: [seed]}\n    models:\n      m1"
    )
    quorum = await start_daemon(text)
    asked: dict[str, Any] = {"seed": 7, "temperature": 0.5, "moon_phase": "full"}

    loose = await quorum.chat(**asked)
    strict = await quorum.chat(**asked, quorum={"strict": True, "explain": True})
    streamed = await quorum.chat(**asked, stream=True, model="p1/m1")

    assert loose.json["quorum"]["dropped"] == ["moon_phase", "seed"]
    assert loose.headers["X-Quorum-Dropped-Params"] == "moon_phase, seed"
    assert "seed" not in one.seen[0]
    assert strict.json["quorum"]["provider"] == "p2"
    assert strict.json["quorum"]["dropped"] == ["moon_phase"]
    assert strict.json["quorum"]["excluded"][0]["reason"] == "cannot take seed, and strict was asked"
    assert two.seen[0]["seed"] == 7
    assert streamed.headers["X-Quorum-Dropped-Params"] == "moon_phase, seed"


SOMAXCONN = Path("/proc/sys/net/core/somaxconn")


@pytest.mark.skipif(
    not SOMAXCONN.exists() or int(SOMAXCONN.read_text()) < 1024, reason="this system holds few callers at the door"
)
async def test_a_crowd_that_comes_while_the_process_is_busy_finds_the_door_open(
    start_daemon: Start, providers: Providers
) -> None:
    quorum = await start_daemon(seats(await providers(1)))
    where = urlsplit(quorum.url)
    with ExitStack() as stack:
        crowd = [stack.enter_context(socket.socket()) for _ in range(500)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex((where.hostname, where.port))
        outside, until_s = {one.fileno() for one in crowd}, time.monotonic() + 10
        while outside and time.monotonic() < until_s:  # and the daemon, in this thread, accepts nobody meanwhile
            waiting = select.poll()
            for number in outside:
                waiting.register(number, select.POLLOUT)
            outside -= {number for number, _ in waiting.poll(100)}
        assert len(outside) == 0
    assert (await quorum.get("/livez")).status == 200
