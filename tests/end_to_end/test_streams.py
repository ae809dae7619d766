"""Streams through the daemon: what a caller receives when a provider fails before or after the first token."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest

from tests.support.daemon import Reply, Running, Start
from tests.support.rim import Providers, seats
from tests.support.scripted import DONE, HANG, USAGE, Step, chunk, error, event, stream, whole

SSE = {"Content-Type": "text/event-stream"}
ROLE = chunk({"role": "assistant", "content": ""})
COMMENT = b": still thinking\n\n"


async def ask(quorum: Running, /, **fields: Any) -> Reply:
    return await quorum.chat(model="ranked-fallback", stream=True, **fields)


async def last_vote(quorum: Running, reply: Reply) -> Any:
    return (await quorum.recorded(reply))["votes"][-1]


def said(*pieces: bytes, **fields: Any) -> Step:
    return Step(headers=SSE, pieces=pieces, **fields)


def error_event(code: str) -> bytes:
    return event({"error": {"message": "cannot go on", "type": "server_error", "code": code}})


async def test_chunks_are_what_the_sdks_of_openai_expect(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(stream("Hello ", "there"))
    quorum = await start_daemon(seats([one]))

    plain, with_usage = await ask(quorum), await ask(quorum, stream_options={"include_usage": True})

    for reply in (plain, with_usage):
        assert reply.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert reply.done
        assert {chunk["object"] for chunk in reply.chunks} == {"chat.completion.chunk"}
        assert {chunk["model"] for chunk in reply.chunks} == {"scripted-1"}
        assert len({(chunk["id"], chunk["created"]) for chunk in reply.chunks}) == 1
        choices = [choice for chunk in reply.chunks for choice in chunk["choices"]]
        assert choices[0]["delta"] == {"role": "assistant", "content": "Hello "}
        assert choices[1]["delta"] == {"content": "there"}
        assert [choice["finish_reason"] for choice in choices] == [None, None, "stop"]
    assert not any("usage" in chunk for chunk in plain.chunks)
    assert [chunk["choices"] == [] for chunk in with_usage.chunks] == [False, False, False, True]
    assert with_usage.chunks[-1]["usage"]["total_tokens"] == 18


FALTERS_EARLY = {
    "says 503": (error(503), "server_error"),
    "says 429": (error(429, retry_after="0"), "rate_limited"),
    "is a web page": (Step(headers={"Content-Type": "text/html"}, pieces=[b"<html>Welcome</html>"]), "bad_response"),
    "is half JSON": (Step(headers={"Content-Type": "application/json"}, pieces=[b'{"choices": [{']), "bad_response"),
    "has no body": (said(), "bad_response"),
    "says nothing": (stream(), "bad_response"),
    "ends without a finish reason": (said(ROLE), "bad_response"),
    "is cut": (said(ROLE, end="cut"), "bad_response"),
    "is an error inside a 200": (said(ROLE, error_event("boom")), "server_error"),
    "never begins": (HANG, "first_token_timeout"),
    "has a role and then silence": (said(ROLE, end="stay"), "first_token_timeout"),
    "has comments only": (said(*[COMMENT] * 50, every_s=0.02, end="stay"), "first_token_timeout"),
    "has roles only": (said(*[ROLE] * 50, every_s=0.02, end="stay"), "first_token_timeout"),
}


async def test_before_the_first_word_the_next_seat_takes_over_unnoticed(
    start_daemon: Start, providers: Providers
) -> None:
    one, two = await providers(2)
    one.then(*(step for step, _ in FALTERS_EARLY.values()))
    two.then(stream("Hello"))
    quorum = await start_daemon(seats([one, two], first_token="200ms"))

    for case, (_, kind) in FALTERS_EARLY.items():
        reply = await ask(quorum)
        assert (reply.status, reply.text, reply.done) == (200, "Hello", True), case
        assert reply.headers["X-Quorum-Provider"] == "p2", case
        votes = (await quorum.recorded(reply))["votes"]
        assert [(vote["outcome"], vote["error_type"]) for vote in votes] == [("failed", kind), ("ok", None)], case
    assert len(one.seen) == len(FALTERS_EARLY)


FALTERS_LATE = {
    "is cut": (stream("Hel", finish=None, end="cut"), "bad_response", "all_providers_failed"),
    "is reset": (stream("Hel", finish=None, end="reset"), "bad_response", "all_providers_failed"),
    "ends without a finish reason": (stream("Hel", finish=None), "bad_response", "all_providers_failed"),
    "has an error": (
        said(ROLE, chunk({"content": "Hel"}), error_event("boom")),
        "server_error",
        "all_providers_failed",
    ),
    "falls silent": (stream("H", "e", "l", finish=None, end="stay"), "stalled", "deadline_exceeded"),
    "has only comments left": (
        said(chunk({"content": "Hel"}), *[COMMENT] * 50, every_s=0.02, end="stay"),
        "stalled",
        "deadline_exceeded",
    ),
    "drips an event that never ends": (
        said(chunk({"content": "Hel"}), b"data: ", *[b"x"] * 50, every_s=0.02, end="stay"),
        "stalled",
        "deadline_exceeded",
    ),
    "never ends": (
        said(chunk({"content": "Hel"}), *[chunk({"content": ""})] * 100, every_s=0.02),
        "timeout",
        "deadline_exceeded",
    ),
}


async def test_after_the_first_word_a_failure_is_an_event_and_no_second_seat_is_asked(
    start_daemon: Start, providers: Providers
) -> None:
    one, two = await providers(2)
    one.then(*(step for step, _, _ in FALTERS_LATE.values()))
    quorum = await start_daemon(seats([one, two], idle="300ms", total="900ms"))

    for case, (_, kind, code) in FALTERS_LATE.items():
        reply = await ask(quorum)
        assert (reply.status, reply.text, reply.done) == (200, "Hel", False), case
        assert reply.body.endswith(b"\n\n"), case
        told = reply.chunks[-1]["error"]
        assert (told["code"], told["request_id"]) == (code, reply.headers["X-Request-Id"]), case
        assert [attempt["error_type"] for attempt in told["attempts"]] == [kind], case
        logged = await quorum.recorded(reply)
        assert (logged["outcome"], logged["error_type"]) == ("failed", kind), case
        vote = logged["votes"][0]
        assert (vote["outcome"], vote["error_type"], vote["usage_estimated"]) == ("failed", kind, True), case
        assert vote["output_tokens"] == 1, case
        assert vote["duration_ms"] < 2000, case
    assert two.seen == []


FORGIVEN = {
    "no end mark": stream("Hello", tail=[USAGE]),
    "no finish reason, but an end mark": said(chunk({"content": "Hello"}), DONE),
    "a malformed line": said(chunk({"content": "Hel"}), b"data: {oops\n\n", b"whatever\n\n", *stream("lo").pieces),
    "comments in between": said(COMMENT, ROLE, COMMENT, chunk({"content": "Hello"}), COMMENT, chunk({}, "stop"), DONE),
    "other line ends": said(*(piece.replace(b"\n", b"\r\n") for piece in stream("Hello").pieces)),
    "a plain answer": whole("Hello"),
    "the socket left open after the end": stream("Hello", end="stay"),
}


async def test_what_does_no_harm_is_forgiven(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(*FORGIVEN.values())
    quorum = await start_daemon(seats([one, two]))

    for case in FORGIVEN:
        reply = await ask(quorum)
        assert (reply.text, reply.done) == ("Hello", True), case
        finishes = [choice["finish_reason"] for chunk in reply.chunks for choice in chunk["choices"]]
        assert finishes[-1] == "stop", case
        assert set(finishes[:-1]) == {None}, case
    assert two.seen == []


async def test_tool_calls_stream_in_pieces(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "add", "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": text}} for text in ('{"a": 1', ', "b": 2}')]
    one.then(said(ROLE, *(chunk({"tool_calls": [call]}) for call in (first, *pieces)), chunk({}, "tool_calls"), DONE))
    quorum = await start_daemon(seats([one]))

    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    reply = await ask(quorum, tools=[tool])

    choices = [choice for chunk in reply.chunks for choice in chunk["choices"]]
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
    assert choices[0]["delta"]["role"] == "assistant"
    assert (calls[0]["id"], calls[0]["type"], calls[0]["function"]["name"]) == ("call_1", "function", "add")
    assert all("id" not in call for call in calls[1:])
    assert "".join(call["function"]["arguments"] for call in calls) == '{"a": 1, "b": 2}'
    assert choices[-1]["finish_reason"] == "tool_calls"
    assert reply.done


def thoughts(reply: Reply) -> str:
    deltas = [choice["delta"] for chunk in reply.chunks for choice in chunk["choices"]]
    return "".join(delta.get("reasoning_content") or "" for delta in deltas)


@pytest.mark.parametrize(
    "step",
    [
        said(ROLE, chunk({"reasoning_content": "let me "}), chunk({"reasoning_content": "see"}), *stream("42").pieces),
        stream(*"<think>let me see</think>42"),
    ],
    ids=["in a field", "in tags split over chunks"],
)
async def test_thoughts_are_kept_out_unless_asked_for(start_daemon: Start, providers: Providers, step: Step) -> None:
    (one,) = await providers(1)
    one.then(step)
    quorum = await start_daemon(seats([one]))

    plain, told = await ask(quorum), await ask(quorum, quorum={"include_reasoning": True})

    assert (plain.text, thoughts(plain)) == ("42", "")
    assert (told.text, thoughts(told)) == ("42", "let me see")
    assert "think" not in plain.body.decode()


async def test_thoughts_that_were_shown_bind_to_their_seat_and_hidden_ones_do_not(
    start_daemon: Start, providers: Providers
) -> None:
    one, two = await providers(2)
    one.then(said(ROLE, chunk({"reasoning_content": "let me see"}), end="cut"))
    two.then(stream("42"))
    quorum = await start_daemon(seats([one, two]))

    hidden = await ask(quorum)
    assert (hidden.text, hidden.done, hidden.headers["X-Quorum-Provider"]) == ("42", True, "p2")
    shown = await ask(quorum, quorum={"include_reasoning": True})
    assert (shown.done, shown.headers["X-Quorum-Provider"]) == (False, "p1")
    assert shown.chunks[-1]["error"]["code"] == "all_providers_failed"
    assert len(two.seen) == 1


async def test_usage_is_estimated_where_none_is_reported(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(stream("a" * 40, tail=[DONE]))
    quorum = await start_daemon(seats([one]))

    vote = await last_vote(quorum, await ask(quorum))

    assert (vote["usage_estimated"], vote["output_tokens"]) == (True, 10)
    assert vote["input_tokens"] == 2  # "hello"
    assert vote["cost_usd"] == pytest.approx((2 * 1 + 10 * 2) / 1e6)


async def test_an_answer_that_was_all_thought_is_an_honest_empty_one(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(stream(finish="length"))
    quorum = await start_daemon(seats([one]))

    reply = await ask(quorum)

    (only,) = reply.chunks
    assert only["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert only["choices"][0]["finish_reason"] == "length"
    assert only["model"] == "scripted-1"
    assert reply.headers["X-Quorum-Provider"] == "p1"
    assert reply.done


async def test_letters_of_several_bytes_may_be_cut_anywhere(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    text = "Größe 東京 🙂 e\u0301"
    spoken = f'data: {{"choices": [{{"index": 0, "delta": {{"content": "{text}"}}}}]}}\n\n'.encode()
    one.then(said(*(bytes([byte]) for byte in spoken + DONE)))
    quorum = await start_daemon(seats([one]))

    assert (await ask(quorum)).text == text


async def test_a_stream_of_very_many_tiny_chunks_arrives_whole(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(stream(*(f"{number} " for number in range(20_000))))
    quorum = await start_daemon(seats([one]))

    reply = await ask(quorum)

    assert reply.text.split() == [str(number) for number in range(20_000)]
    assert reply.done


async def test_a_slow_drip_is_alive_as_long_as_it_says_something(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    steady = [chunk({"content": str(number)}) for number in range(8)]
    one.then(said(*steady, chunk({}, "stop"), every_s=0.1))
    quorum = await start_daemon(seats([one], idle="300ms", first_token="300ms"))

    reply = await ask(quorum)

    assert (reply.text, reply.done) == ("01234567", True)
    assert (await last_vote(quorum, reply))["duration_ms"] > 700


async def test_a_whole_answer_may_not_fall_silent_or_drip_for_ever_either(
    start_daemon: Start, providers: Providers
) -> None:
    one, two = await providers(2)
    json_begun = Step(headers={"Content-Type": "application/json"}, pieces=[b'{"id": "'], end="stay")
    one.then(json_begun, dataclasses.replace(json_begun, pieces=itertools.repeat(b"x"), every_s=0.02))
    two.then(whole("Hello"))
    quorum = await start_daemon(seats([one, two], idle="200ms", total="500ms"))

    for kind in ("stalled", "timeout"):
        reply = await quorum.chat(model="ranked-fallback")
        assert reply.json["quorum"]["provider"] == "p2"
        vote = (await quorum.recorded(reply))["votes"][0]
        assert (vote["error_type"], vote["http_status"]) == (kind, 200)


async def test_comments_keep_the_wait_alive_and_then_an_error_is_an_event(
    start_daemon: Start, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.http.sse.KEEPALIVE_S", 0.05)
    one, two = await providers(2)
    one.then(HANG)
    two.then(stream("Hello"), error(500))
    quorum = await start_daemon(seats([one, two], first_token="200ms"))

    late, failed = await ask(quorum), await ask(quorum)

    assert late.body.startswith(b": keepalive\n\n: keepalive\n\n")
    assert (late.text, late.done) == ("Hello", True)
    assert late.chunks[-1]["quorum"]["provider"] == "p2"
    assert (failed.status, failed.done) == (200, False)
    assert failed.chunks[-1]["error"]["code"] == "all_providers_failed"


@pytest.mark.parametrize(
    ("timeouts", "kind"), [({"first_token": "200ms"}, "first_token_timeout"), ({"total": "200ms"}, "timeout")]
)
async def test_before_the_first_word_a_limit_is_a_real_status(
    start_daemon: Start, providers: Providers, timeouts: dict[str, str], kind: str
) -> None:
    (one,) = await providers(1)
    one.then(HANG)
    quorum = await start_daemon(seats([one], **timeouts))

    reply = await ask(quorum)

    assert (reply.status, reply.error["code"]) == (504, "deadline_exceeded")
    assert reply.headers["Content-Type"].startswith("application/json")
    vote = await last_vote(quorum, reply)
    assert (vote["error_type"], vote["sent"]) == (kind, True)
    assert 200 <= vote["duration_ms"] < 1200


async def test_the_deadline_of_the_request_also_ends_a_stream(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(Step(headers=SSE, pieces=itertools.repeat(chunk({"content": "la "})), every_s=0.05))
    quorum = await start_daemon(seats([one]))

    reply = await ask(quorum, quorum={"timeout_ms": 400})

    assert reply.text.startswith("la la ")
    assert (reply.chunks[-1]["error"]["code"], reply.done) == ("deadline_exceeded", False)


async def test_a_finished_stream_that_stays_open_is_an_answer(
    start_daemon: Start, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.attempts.deadline._LAST_WORDS_S", 0.05)
    (one,) = await providers(1)
    one.then(stream("whole", tail=(USAGE,), end="stay"))
    quorum = await start_daemon(seats([one]))

    reply = await quorum.chat(stream=True)

    assert (reply.text, reply.done) == ("whole", True)
    assert (await quorum.recorded(reply))["votes"][0]["outcome"] == "ok"


async def test_a_seat_whose_thoughts_slipped_out_is_asked_for_whole_answers_since(
    start_daemon: Start, providers: Providers
) -> None:
    (one,) = await providers(1)
    one.then(stream("hmm, 6*7", " is...", "</think>", "42"), whole("hmm again</think>\n\n43"))
    quorum = await start_daemon(seats([one]))

    slipped, caught = await quorum.chat(stream=True), await quorum.chat(stream=True)

    assert "</think>" not in slipped.text
    assert slipped.text.endswith("42")
    assert (caught.text, caught.done) == ("43", True)
    assert [asked["stream"] for asked in one.seen] == [True, False]
    assert (await quorum.get("/v1/weather")).json["providers"][0]["models"][0]["state"] == "leaking"
