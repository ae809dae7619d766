"""The guards at work: what callers, providers and other replicas see of limits, breakers, waits and drains."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import redis.asyncio

from tests.cli.test_cli import quorum
from tests.support.daemon import Reply, Running, Start, registry_for
from tests.support.rim import LIMIT_S, Providers, log_text, until
from tests.support.scripted import HANG, Scripted, Step, error, stream, whole

QUEUE_S = 2.0


def guarded(providers: list[Scripted], rules: str, *, equal: bool = False) -> str:
    """A registry in which every provider has these further lines; with `equal` all have the same rank."""
    text = registry_for(providers).replace("    models:\n", f"    {rules}\n    models:\n")
    for number in range(len(providers) if equal else 0):
        text = text.replace(f"rank: {number + 1},", "rank: 1,")
    return text


async def states(running: Running) -> dict[str, str]:
    weather = (await running.get("/v1/weather")).json
    return {provider["provider"]: provider["models"][0]["state"] for provider in weather["providers"]}


async def becomes(running: Running, provider: str, state: str, limit_s: float = LIMIT_S) -> None:
    """Waits until a provider's only model is in this state."""
    async with asyncio.timeout(limit_s):
        while (await states(running))[provider] != state:
            await asyncio.sleep(0.02)


async def timed(running: Running, **fields: Any) -> tuple[float, Reply]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    reply = await running.chat(**fields)
    return loop.time() - began, reply


# --- limits ----------------------------------------------------------------------------------------------------------


async def test_the_call_after_the_last_of_a_day_never_leaves(start_daemon: Start, providers: Providers) -> None:
    [one] = await providers(1)
    one.then(whole("yes"))
    running = await start_daemon(guarded([one], 'limits: [{requests: 50, per: day, resets: "00:00 UTC"}]'))
    replies = [await running.chat() for _ in range(40)]
    replies += await asyncio.gather(*(running.chat() for _ in range(30)))
    assert Counter(reply.status for reply in replies) == {200: 50, 429: 20}
    assert len(one.seen) == 50
    refused = next(reply for reply in replies if reply.status == 429)
    assert refused.error["code"] == "insufficient_quota"
    assert "50 of 50 requests a day are used" in refused.error["message"]
    assert refused.headers["x-should-retry"] == "false"
    assert (await states(running))["p1"] == "quota-spent"
    late = await running.chat()
    assert late.status == 429
    assert "50 of 50 requests a day are used" in late.error["message"]
    assert len(one.seen) == 50


async def test_a_daily_limit_outlives_redis_by_the_vote_log(
    start_daemon: Start, providers: Providers, redis_url: str
) -> None:

    [one] = await providers(1)
    one.then(whole("yes"))
    registry = guarded([one], 'limits: [{requests: 5, per: day, resets: "00:00 UTC"}]')
    running = await start_daemon(registry)
    replies = [await running.chat() for _ in range(3)]
    await running.recorded(replies[-1])  # which waits until the log is written
    client = redis.asyncio.Redis.from_url(redis_url)
    await client.flushall()
    await client.aclose()
    other = await start_daemon(registry)  # it has not seen the calls of the first
    assert Counter([(await other.chat()).status for _ in range(4)]) == {200: 2, 429: 2}
    assert len(one.seen) == 5


async def test_tokens_are_settled_to_what_the_provider_reports(start_daemon: Start, providers: Providers) -> None:
    [one] = await providers(1)
    one.then(whole("yes"))
    running = await start_daemon(guarded([one], "limits: [{tokens: 3000, per: minute}]"))
    for _ in range(20):  # each reserves over 1,000 tokens and uses 18
        assert (await running.chat()).status == 200
    [limit] = (await running.get("/v1/weather")).json["providers"][0]["models"][0]["limits"]
    async with asyncio.timeout(LIMIT_S):
        while limit["used"] != 20 * 18:
            await asyncio.sleep(0.02)
            [limit] = (await running.get("/v1/weather")).json["providers"][0]["models"][0]["limits"]


async def test_headers_that_say_nothing_is_left_are_believed(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    spent = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "30s"}
    step = whole("first")
    one.then(Step(headers={**step.headers, **spent}, pieces=step.pieces))
    two.then(whole("second"))
    running = await start_daemon(guarded([one, two], "region: us"))
    assert [(await running.chat()).json["choices"][0]["message"]["content"] for _ in range(3)] == [
        "first",
        "second",
        "second",
    ]
    assert (await states(running))["p1"] == "limited"


async def test_a_second_429_with_a_shorter_wait_does_not_shorten_the_first(
    start_daemon: Start, providers: Providers
) -> None:
    [one] = await providers(1)
    holds = asyncio.Event(), asyncio.Event()
    one.then(
        replace(error(429, "slow down", Retry_After="90"), hold=holds[0]),
        replace(error(429, "slow down", Retry_After="1"), hold=holds[1]),
        whole("too soon"),
    )
    running = await start_daemon(guarded([one], "retries: 0"))
    asking = []
    for number in (1, 2):  # both are under way before the first word comes
        asking.append(asyncio.create_task(running.chat()))
        await until(lambda: len(one.seen) == number)  # noqa: B023 - awaited before the next one
    replies = []
    for hold, task in zip(holds, asking, strict=True):
        hold.set()
        replies.append(await task)
    replies.append(await running.chat())  # which waits the shorter time, if that is what holds
    assert [reply.status for reply in replies] == [429] * 3
    assert all(60 < int(reply.headers["Retry-After"]) <= 90 for reply in replies)
    assert len(one.seen) == 2


# --- waiting for a seat ----------------------------------------------------------------------------------------------


async def test_a_short_wait_is_waited_out(start_daemon: Start, providers: Providers) -> None:
    [one] = await providers(1)
    one.then(error(429, "slow down", Retry_After="1"), whole("yes"))
    running = await start_daemon(guarded([one], "retries: 0"))
    assert (await running.chat()).status == 429
    took_s, reply = await timed(running)
    assert reply.status == 200
    assert 0.5 < took_s < QUEUE_S


async def test_a_short_wait_at_the_preferred_seat_is_waited_out_there(
    start_daemon: Start, providers: Providers
) -> None:
    one, two = await providers(2)
    one.then(error(429, "slow down", Retry_After="1"), whole("one"))
    two.then(whole("two"))
    running = await start_daemon(guarded([one, two], "region: us"))
    took_s, reply = await timed(running)
    assert reply.json["choices"][0]["message"]["content"] == "one"
    assert took_s > 0.9
    assert [vote["outcome"] for vote in (await running.recorded(reply))["votes"]] == ["failed", "ok"]


async def test_when_everyone_is_limited_nobody_hangs(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(error(429, "slow down", Retry_After="40"))
    two.then(error(429, "slow down", Retry_After="30"))
    running = await start_daemon(guarded([one, two], "region: us"))
    assert (await running.chat()).status == 429
    crowd = await asyncio.gather(*(timed(running) for _ in range(200)))
    alone = [await timed(running) for _ in range(5)]
    for _, reply in (*crowd, *alone):
        assert reply.status == 429
        assert 10 < int(reply.headers["Retry-After"]) <= 30
    assert min(took_s for took_s, _ in alone) < QUEUE_S / 4, "it waited for what cannot come in time"
    assert (len(one.seen), len(two.seen)) == (1, 1)


async def test_a_seat_that_is_free_again_is_used_at_once(start_daemon: Start, providers: Providers) -> None:
    [one] = await providers(1)
    hold = asyncio.Event()
    one.then(Step(hold=hold, headers=whole("").headers, pieces=whole("slow").pieces), whole("quick"))
    running = await start_daemon(guarded([one], "max_inflight: 1"))
    first = asyncio.create_task(running.chat())
    await until(lambda: len(one.seen) == 1)
    waiting = [asyncio.create_task(timed(running)) for _ in range(5)]
    await asyncio.sleep(0.1)  # they have come to wait by now, or they come to a free seat: both are fine
    hold.set()
    assert (await first).status == 200
    assert [reply.status for _, reply in await asyncio.gather(*waiting)] == [200] * 5
    assert max([took_s for took_s, _ in await asyncio.gather(*waiting)]) < 1.0


# --- breakers --------------------------------------------------------------------------------------------------------


async def test_five_failures_rest_a_seat_and_nobody_asks_it(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(error(500))
    two.then(whole("yes"))
    running = await start_daemon(guarded([one, two], "retries: 0"))
    for _ in range(20):
        assert (await running.chat()).status == 200
    assert len(one.seen) == 5
    assert await states(running) == {"p1": "failing", "p2": "clear"}
    metrics = (await running.get("/metrics")).body.decode()
    assert 'quorum_breaker_state{model="m1",provider="p1"} 2.0' in metrics
    assert 'quorum_state_changes_total{state="failing",subject="p1/m1"} 1.0' in metrics


async def test_an_outage_is_not_answered_with_a_storm(start_daemon: Start, providers: Providers) -> None:
    some = await providers(3)
    for provider in some:
        provider.then(error(500))
    rules = "retries: 0\n    breaker: {failures: 1000, min_calls: 1000}"
    running = await start_daemon(guarded(some, rules))
    for _ in range(10):
        await asyncio.gather(*(running.chat() for _ in range(40)))
    assert sum(len(provider.seen) for provider in some) <= 1.25 * 400


async def test_half_open_lets_one_through_per_process(start_daemon: Start, providers: Providers) -> None:
    [one] = await providers(1)
    hold = asyncio.Event()
    answer = Step(hold=hold, headers=whole("").headers, pieces=whole("back").pieces)
    one.then(error(500), error(500), answer, answer, whole("yes"))
    registry = guarded([one], "retries: 0\n    health: {mode: passive}\n    breaker: {failures: 1, open: 1s}")
    first, second = await start_daemon(registry), await start_daemon(registry)
    assert [(await running.chat()).status for running in (first, second)] == [502, 502]
    await becomes(first, "p1", "clear")
    await becomes(second, "p1", "clear")
    crowd = [asyncio.create_task(running.chat()) for running in (first, second) for _ in range(250)]
    await until(lambda: len(one.seen) == 4)
    await asyncio.sleep(0.2)  # whoever else were let through would have come by now
    assert len(one.seen) == 4
    hold.set()
    replies = await asyncio.gather(*crowd)
    assert {reply.status for reply in replies} <= {200, 503}


@pytest.mark.parametrize("kind", ["user", "gone"])
async def test_a_thousand_calls_that_say_nothing_of_it_trip_nothing(
    start_daemon: Start, providers: Providers, kind: str
) -> None:
    [one] = await providers(1)
    one.then(error(400, "you sent nonsense", code="invalid_request_error") if kind == "user" else HANG)
    running = await start_daemon(guarded([one], "retries: 0"))
    for batch in range(1, 5):
        asking = [asyncio.create_task(running.chat()) for _ in range(250)]
        await until(lambda: len(one.seen) == 250 * batch)  # noqa: B023 - awaited before the next batch
        if kind == "user":
            assert {reply.status for reply in await asyncio.gather(*asking)} == {400}
            continue
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
    assert (await states(running))["p1"] == "clear"
    one.steps = [whole("yes")]
    assert (await running.chat()).status == 200
    assert len(one.seen) == 1001


async def test_every_change_is_one_line_one_sample_and_one_row(start_daemon: Start, providers: Providers) -> None:
    [one] = await providers(1)
    one.then(error(500, "out of order"), whole("back"))
    lines = log_text()
    rules = "retries: 0\n    health: {mode: passive}\n    breaker: {failures: 1, open: 1s}"
    running = await start_daemon(guarded([one], rules))
    assert (await running.chat()).status == 502
    await becomes(running, "p1", "clear")
    assert [(await running.chat()).status for _ in range(5)] == [200] * 5

    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    logged = [(line["subject"], line["state"], line["reason"]) for line in told if line["event"] == "weather"]
    assert logged == [
        ("p1/m1", "failing", "1 failure"),
        ("p1/m1", "clear", "the trial request succeeded"),
    ]
    metrics = (await running.get("/metrics")).body.decode().splitlines()
    assert sorted(line for line in metrics if line.startswith("quorum_state_changes_total{")) == [
        'quorum_state_changes_total{state="clear",subject="p1/m1"} 1.0',
        'quorum_state_changes_total{state="failing",subject="p1/m1"} 1.0',
    ]
    rows = (await running.get("/v1/weather/changes?since=1h")).json["data"]
    assert [(f"{row['provider']}/{row['model']}", row["state"], row["reason"]) for row in reversed(rows)] == logged
    status, listed, _ = await quorum("weather", "--changes", "--json", "--url", running.url)
    assert (status, json.loads(listed)) == (0, rows)


async def test_a_silent_seat_costs_few_requests_their_patience(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(*[whole("one")] * 30, HANG)
    two.then(whole("two"))
    registry = guarded([one, two], "retries: 0", equal=True).replace("first_token: 5s", "first_token: 2s")
    running = await start_daemon(registry)
    replies = []
    for _ in range(100):
        replies.append(asyncio.create_task(timed(running, stream=False)))
        await asyncio.sleep(0.05)
    took = [took_s for took_s, reply in await asyncio.gather(*replies) if reply.status == 200]
    assert len(took) == 100
    assert len(one.seen) >= 31, "the seat was never asked after it fell silent"
    assert sum(took_s > 1.0 for took_s in took) <= 3


# --- replicas --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "state"),
    [
        (error(429, "slow down", Retry_After="30"), "limited"),
        (error(401, "Incorrect API key", code="invalid_api_key"), "bad-key"),
        (error(402, "no credit"), "billing"),
        (error(404, "The model does not exist", code="model_not_found"), "model-gone"),
    ],
)
async def test_what_one_replica_learns_all_know(
    start_daemon: Start, providers: Providers, step: Step, state: str
) -> None:
    one, two = await providers(2)
    one.then(step)
    two.then(whole("yes"))
    registry = guarded([one, two], "retries: 0")
    first, second = await start_daemon(registry), await start_daemon(registry)
    assert (await first.chat()).status == 200
    await becomes(second, "p1", state)
    assert (await second.chat()).status == 200
    third = await start_daemon(registry)
    assert (await states(third))["p1"] == state  # before its first request
    assert len(one.seen) == 1


async def test_a_drain_holds_everywhere_until_it_is_taken_back(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(whole("one"))
    two.then(whole("two"))
    registry = guarded([one, two], "retries: 0")
    first, second = await start_daemon(registry), await start_daemon(registry)
    told = await first.post("/v1/drain", {"provider": "p1", "for_s": 600, "reason": "their status page is red"})
    assert told.json["models"][0]["state"] == "drained"
    await becomes(second, "p1", "drained")
    for running in (first, second):
        assert (await running.chat()).json["choices"][0]["message"]["content"] == "two"
    await second.post("/v1/undrain", {"provider": "p1"})
    await becomes(first, "p1", "clear")
    assert (await first.chat()).json["choices"][0]["message"]["content"] == "one"
    changes = (await first.get("/v1/weather/changes?since=1h")).json["data"]
    mine = [(row["provider"], row["state"]) for row in changes]
    assert {("p1", "drained"), ("p1", "clear")} <= set(mine)


# --- reload ----------------------------------------------------------------------------------------------------------


async def test_reloads_under_load_fail_nobody_and_keep_counting(start_daemon: Start, providers: Providers) -> None:
    [one, two] = await providers(2)
    one.then(whole("one"))
    two.then(whole("two"))
    base = guarded([one, two], 'limits: [{requests: 60, per: day, resets: "00:00 UTC"}]')
    running = await start_daemon(base)
    replies: list[Reply] = []

    async def load(number: int) -> None:
        nonlocal replies
        for _ in range(number):
            replies += [await running.chat()]

    for saved in range(1, 11):
        loading = asyncio.create_task(load(10))
        await until(lambda: len(replies) > 10 * saved - 10)  # noqa: B023 - awaited before the next save
        good = base.replace("total: 10s", f"total: {10 + saved}s")
        running.registry.write_text("version: [" if saved % 5 == 0 else good)
        reloaded = await running.post("/v1/reload", {})
        assert reloaded.json["status"] == ("failed" if saved % 5 == 0 else "swapped")
        await loading
    assert Counter(reply.status for reply in replies) == {200: 100}
    assert len(one.seen) <= 60
    assert len(one.seen) + len(two.seen) == 100
    assert [(await running.chat()).status for _ in range(25)].count(200) == 20


async def test_a_probe_that_passes_brings_a_broken_seat_back_early(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(error(500), stream("OK"), whole("back"))
    two.then(whole("two"))
    rules = "retries: 0\n    breaker: {failures: 1, open: 10m, max_open: 10m}"
    running = await start_daemon(guarded([one, two], rules))
    assert (await running.chat()).json["quorum"]["provider"] == "p2"
    assert (await states(running))["p1"] == "failing"
    rows = (await running.post("/v1/probe", {})).json["models"]  # as every fifteen seconds by itself
    assert rows[0]["verdict"] == "healthy"
    assert (await states(running))["p1"] == "clear"
    assert len(one.seen) == 2
    assert (await running.chat()).json["quorum"]["provider"] == "p1"


# --- probes ----------------------------------------------------------------------------------------------------------


async def test_a_probe_finds_leaking_thoughts_before_a_caller_sees_any(
    start_daemon: Start, providers: Providers
) -> None:
    [one] = await providers(1)
    one.then(stream("They want OK", " and nothing else", "</think>OK"), whole("They want more</think>Here it is"))
    running = await start_daemon(registry_for([one]))
    [row] = (await running.post("/v1/probe", {})).json["models"]
    assert (row["verdict"], row["state"]) == ("degraded", "leaking")
    reply = await running.chat(stream=True)
    assert (reply.text, reply.done) == ("Here it is", True)
    assert b"They want" not in reply.body


async def test_thoughts_that_nobody_opened_are_kept_back_where_the_registry_says_so(
    start_daemon: Start, providers: Providers
) -> None:
    [one] = await providers(1)
    one.then(stream("They want", " more, I th", "ink.</th", "ink>Here", " it is"))
    running = await start_daemon(registry_for([one], p1="thinks_first: true"))
    reply = await running.chat(stream=True)
    assert (reply.text.strip(), reply.done) == ("Here it is", True)
    assert b"They want" not in reply.body
    assert (await states(running))["p1"] == "clear"
    thoughts = (await running.chat(stream=True, quorum={"include_reasoning": True})).chunks
    assert "".join(
        choice["delta"].get("reasoning_content", "") for chunk in thoughts for choice in chunk["choices"]
    ).startswith("They want more, I think.")


async def test_probes_are_votes_and_their_verdicts_are_shared(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(stream("OK."))
    two.then(error(500, "broken"))
    registry = registry_for([one, two])
    first, second = await start_daemon(registry), await start_daemon(registry)
    for _ in range(2):  # one failure is a hiccup
        rows = (await first.post("/v1/probe", {})).json["models"]
    assert [row["verdict"] for row in rows] == ["healthy", "down"]
    async with asyncio.timeout(LIMIT_S):
        while [await probed(second, name) for name in ("p1", "p2")] != ["healthy", "down"]:
            await asyncio.sleep(0.02)
    votes = (await first.get("/v1/votes?since=1h")).json["data"]
    assert Counter((vote["provider"], vote["role"], vote["outcome"]) for vote in votes) == {
        ("p1", "probe", "ok"): 2,
        ("p2", "probe", "failed"): 2,
    }
    plan = (await second.post("/v1/plan", {"model": "auto", "messages": [{"role": "user", "content": "hi"}]})).json
    assert [seat["provider"] for seat in plan["seats"]] == ["p1", "p2"]
    assert "down" in plan["seats"][1]["doubt"]


async def test_a_chatty_probe_leaves_its_model_in_doubt(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(stream("Sure! Here is a poem instead."))
    two.then(stream("OK"))
    running = await start_daemon(registry_for([one, two]))
    await running.post("/v1/probe", {})
    assert [await probed(running, name) for name in ("p1", "p2")] == ["degraded", "healthy"]
    plan = (await running.post("/v1/plan", {"model": "auto", "messages": [{"role": "user", "content": "hi"}]})).json
    assert [seat["provider"] for seat in plan["seats"]] == ["p2", "p1"]


async def test_a_key_that_a_listing_repeats_is_shown_nowhere(start_daemon: Start, providers: Providers) -> None:
    [one] = await providers(1)
    one.then(error(401, "The credential canary4711 is not ours", code="invalid_api_key"))
    listed = registry_for([one]).replace("    models:\n", "    health: {mode: models}\n    models:\n")
    running = await start_daemon(listed, {"KEY": "canary4711"})
    shown = [await running.post("/v1/probe", {})]
    assert (await states(running))["p1"] == "bad-key"
    shown += [await running.get(path) for path in ("/v1/weather", "/v1/weather/changes", "/metrics", "/healthz")]
    assert not any(b"canary4711" in reply.body for reply in shown)


async def test_a_new_provider_serves_after_its_first_probe(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    hold = asyncio.Event()
    okay = stream("OK")
    one.then(Step(hold=hold, headers=okay.headers, pieces=okay.pieces), whole("new"))
    two.then(whole("old"))
    both = registry_for([one, two])
    only_two = both[: both.index("  p1:\n")] + both[both.index("  p2:\n") :]
    running = await start_daemon(only_two)
    running.registry.write_text(both)
    await running.post("/v1/reload", {})
    assert (await states(running))["p1"] == "new"
    assert (await running.chat()).json["choices"][0]["message"]["content"] == "old"
    await until(lambda: len(one.seen) == 1)
    hold.set()
    await becomes(running, "p1", "clear")
    assert (await running.chat()).json["choices"][0]["message"]["content"] == "new"


async def probed(running: Running, provider: str) -> str:
    weather = (await running.get("/v1/weather")).json["providers"]
    [verdict] = [entry["models"][0]["probe"]["verdict"] for entry in weather if entry["provider"] == provider]
    return str(verdict)
