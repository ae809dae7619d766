"""Strategies with several votes, as a caller sees them: answers, streams, rows, and the fate of calls still running."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

from tests.support.daemon import Reply, Running, Start, registry_for
from tests.support.rim import LIMIT_S, Providers, until
from tests.support.scripted import HANG, Scripted, Step, error, stream, whole

LABELS = {"labels": ["spam", "ham"]}


def voters(providers: list[Scripted], *, strategies: str = "{}", chair: bool = False) -> str:
    """A registry of one seat a provider, all of rank 1; with `chair` the last one is in tier complex."""
    text = registry_for(providers, strategies=strategies).replace("    models:\n", "    retries: 0\n    models:\n")
    for number in range(len(providers)):
        text = text.replace(f"rank: {number + 1},", "rank: 1,")
    if chair:
        last = len(providers)
        text = text.replace(f"m{last}: {{tier: cheap", f"m{last}: {{tier: complex")
        text = text.replace("strategies:", "  complex: {council_size: 1, first_token: 5s, total: 10s}\nstrategies:", 1)
    return text


def slow(step: Step, hold: asyncio.Event) -> Step:
    return Step(headers=step.headers, pieces=step.pieces, hold=hold)


async def vote(running: Running, size: int, **fields: Any) -> Reply:
    return await running.chat("spam or ham?", model="majority-vote", council_size=size, **fields)


async def test_three_of_five_decide_and_the_rest_is_called_off(start_daemon: Start, providers: Providers) -> None:
    five = await providers(5)
    for provider, word in zip(five, ("Spam.", " **spam**", '{"label":"spam"}'), strict=False):
        provider.then(whole(word))
    for provider in five[3:]:
        provider.then(HANG)
    running = await start_daemon(voters(five))
    loop = asyncio.get_running_loop()
    began = loop.time()
    reply = await vote(running, 5, quorum={**LABELS, "explain": True})
    assert loop.time() - began < 3.0, "it waited until the silent ones were given up"
    assert reply.status == 200
    told = reply.json["quorum"]
    assert (told["agreement"], told["quorum_met"], told["votes_planned"], told["votes_cast"]) == (1.0, True, 5, 3)
    assert reply.json["choices"][0]["message"]["content"].strip(" *.") in ("Spam", "spam", '{"label":"spam"}')
    await asyncio.wait_for(asyncio.gather(*(provider.gone.wait() for provider in five[3:])), LIMIT_S)
    rows = (await running.recorded(reply))["votes"]
    assert Counter(row["outcome"] for row in rows) == {"ok": 3, "cancelled_early": 2}
    assert {row["answer_key"] for row in rows if row["outcome"] == "ok"} == {"spam"}
    assert sum(row["winner"] for row in rows) == 1
    assert (await running.get("/v1/weather")).json["providers"][4]["models"][0]["state"] == "clear"


async def test_three_to_two(start_daemon: Start, providers: Providers) -> None:
    five = await providers(5)
    for provider, word in zip(
        five, ("Spam.", " **spam**", "<think>ham?</think>spam", "ham", '{"label":"ham"}'), strict=True
    ):
        provider.then(whole(word))
    running = await start_daemon(voters(five))
    reply = await vote(running, 5, quorum=LABELS)
    told = reply.json["quorum"]
    assert reply.json["choices"][0]["message"]["content"].lower().strip(" *.") == "spam"
    assert told["votes_cast"] in (4, 5)
    if told["votes_cast"] == 5:
        assert told["agreement"] == 0.6


async def test_a_vote_streams_its_winner_and_its_stages(start_daemon: Start, providers: Providers) -> None:
    three = await providers(3)
    for provider in three:
        provider.then(whole("ham"))
    running = await start_daemon(voters(three))
    reply = await vote(running, 3, stream=True, quorum={**LABELS, "explain": True})
    assert (reply.status, reply.text, reply.done) == (200, "ham", True)
    events = [chunk["quorum"]["event"] for chunk in reply.chunks if "event" in chunk.get("quorum", {})]
    assert {"vote", "tally"} <= {event["stage"] for event in events}
    assert reply.chunks[-1]["quorum"]["agreement"] == 1.0


async def test_free_text_cannot_be_counted_unless_it_is_grouped(start_daemon: Start, providers: Providers) -> None:
    three = await providers(3)
    essays = (
        "Rivers shape the valleys they run through, slowly and for ever.",
        "It rains, so there are rivers.",
        "Water",
    )
    for provider, essay in zip(three, essays, strict=True):
        provider.then(whole(essay + " And then a good deal more could be said about each of them, in many words."))
    running = await start_daemon(voters(three))
    reply = await vote(running, 3)
    assert (reply.status, reply.error["code"]) == (422, "free_text_vote")
    assert "labels" in reply.error["message"]


async def test_without_quorum_a_vote_fails_if_asked_to(start_daemon: Start, providers: Providers) -> None:
    three = await providers(3)
    three[0].then(whole("ham"))
    for provider in three[1:]:
        provider.then(error(500))
    running = await start_daemon(voters(three))
    failed = await vote(running, 3, quorum={**LABELS, "on_no_quorum": "fail"})
    assert (failed.status, failed.error["code"], len(failed.error["attempts"])) == (503, "no_quorum", 3)
    degraded = await vote(running, 3, quorum=LABELS)
    told = degraded.json["quorum"]
    assert (degraded.status, told["quorum_met"], told["low_confidence"]) == (200, False, True)


async def test_a_weak_vote_escalates_where_the_registry_says_so(start_daemon: Start, providers: Providers) -> None:
    four = await providers(4)
    for provider, word in zip(four, ("spam", "ham", "eggs"), strict=False):
        provider.then(whole(word))
    four[3].then(whole("It is ham."))
    strategies = "{majority-vote: {escalate: complex/synthesize-best}}"
    running = await start_daemon(voters(four, strategies=strategies, chair=True))
    reply = await vote(running, 3, stream=True, quorum={"labels": ["spam", "ham", "eggs"]})
    assert (reply.status, reply.done) == (200, True)
    assert "escalated" in reply.chunks[-1]["quorum"]["flags"]
    assert reply.text == "It is ham."


async def test_a_council_s_drafts_ballots_and_chair_are_rows(start_daemon: Start, providers: Providers) -> None:
    four = await providers(4)
    for number, provider in enumerate(four[:3]):
        provider.then(whole(f"Draft number {number}: it is {40 + number}."), whole("I would rather not rank anybody."))
    four[3].then(stream("The council ", "says 42."))
    running = await start_daemon(voters(four, chair=True))
    reply = await running.chat("what is it?", model="council", council_size=3, stream=True, quorum={"explain": True})
    assert (reply.status, reply.text, reply.done) == (200, "The council says 42.", True)
    told = reply.chunks[-1]["quorum"]
    assert told["provider"] == "p4"
    assert "council" in told
    rows = (await running.recorded(reply))["votes"]
    roles = Counter(row["role"] for row in rows)
    assert (roles["draft"], roles["chair"]) == (3, 1)
    assert [row["text"] for row in rows if row["role"] == "chair"] == ["The council says 42."]
    drafts = {row["text"] for row in rows if row["role"] == "draft"}
    assert drafts == {f"Draft number {number}: it is {40 + number}." for number in range(3)}
    assert roles["ballot"] == 6  # refusals are asked once more, and then spoiled
    assert [row["winner"] for row in rows if row["role"] == "chair"] == [True]
    assert not any(row["valid"] for row in rows if row["role"] == "ballot")
    # nobody is shown its own answer
    for number, provider in enumerate(four[:3]):
        asked = json.dumps(provider.seen[1])
        assert f"Draft number {number}" not in asked
        assert all(f"Draft number {other}" in asked for other in range(3) if other != number)


async def test_a_caller_who_leaves_a_council_leaves_nothing_behind(start_daemon: Start, providers: Providers) -> None:
    four = await providers(4)
    for provider in four:
        provider.then(HANG)
    running = await start_daemon(voters(four, chair=True))
    asking = asyncio.create_task(running.chat(model="council", council_size=3))
    await until(lambda: all(len(provider.seen) == 1 for provider in four[:3]))
    asking.cancel()
    await asyncio.wait_for(asyncio.gather(*(provider.gone.wait() for provider in four[:3])), LIMIT_S)
    async with asyncio.timeout(LIMIT_S):
        while True:
            votes = (await running.get("/v1/votes?since=1h")).json["data"]
            if Counter(row["outcome"] for row in votes) == {"client_gone": 3}:
                break
            await asyncio.sleep(0.02)
    weather = (await running.get("/v1/weather")).json["providers"]
    assert {entry["inflight"] for entry in weather} == {0}
    assert {entry["models"][0]["state"] for entry in weather} == {"clear"}


async def test_a_dead_chair_is_replaced_by_the_best_draft(start_daemon: Start, providers: Providers) -> None:
    four = await providers(4)
    for provider in four[:3]:
        provider.then(whole("It is forty-two."))
    four[3].then(error(500))
    running = await start_daemon(voters(four, chair=True))
    reply = await running.chat(model="synthesize-best", stream=True)
    assert (reply.status, reply.text, reply.done) == (200, "It is forty-two.", True)
    assert "chair_failed" in reply.chunks[-1]["quorum"]["flags"]
