"""The daemon's state over HTTP: liveness, readiness, health, metrics, models and weather."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapters.errors import ErrorKind
from tests.support.daemon import Running, Start, registry_for
from tests.support.scripted import Scripted, Step, error, stream, whole

Providers = Callable[[int], Awaitable[list[Scripted]]]
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]

ALWAYS = {
    "quorum_vote_log",
    "quorum_registry_info",
    "quorum_registry_stale",
    "quorum_dependency_up",
    "quorum_provider_state",
    "quorum_inflight_requests",
    "quorum_shed_total",
    "quorum_overhead_seconds_count",
}
AFTER_TRAFFIC = {
    "quorum_requests_total",
    "quorum_request_duration_seconds_count",
    "quorum_first_token_seconds_count",
    "quorum_votes_total",
    "quorum_vote_duration_seconds_count",
    "quorum_tokens_total",
    "quorum_cost_usd_total",
}


async def samples(quorum: Running) -> Samples:
    """Every sample of a scrape by its name and labels."""
    page = await quorum.get("/metrics")
    assert page.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(page.body.decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def moved(before: Samples, after: Samples, name: str) -> dict[tuple[str, ...], float]:
    """By how much each series of a metric has grown, by the values of its labels in order of their names."""
    return {
        tuple(value for _, value in labels): after[found, labels] - before.get((found, labels), 0.0)
        for found, labels in after
        if found == name and after[found, labels] != before.get((found, labels), 0.0)
    }


async def test_a_daemon_that_is_well_says_so(start_daemon: Start, providers: Providers) -> None:
    quorum = await start_daemon(registry_for(await providers(2)))

    alive, ready, health = [await quorum.get(path) for path in ("/livez", "/readyz", "/healthz")]

    assert (alive.status, alive.json) == (200, {"status": "alive"})
    assert (ready.status, ready.json) == (200, {"status": "ready"})
    told = health.json
    assert (health.status, told["status"]) == (200, "ok")
    assert told["stores"] == {"postgres": {"up": True, "why": ""}, "redis": {"up": True, "why": ""}}
    assert re.fullmatch("[0-9a-f]{8}", told["registry"]["hash"])
    assert (told["registry"]["stale"], told["registry"]["problems"]) == (False, [])
    assert told["models"] == {"clear": 2}
    counts = told["vote_log"]
    assert counts["appended"] == counts["committed"] + counts["pending"] + counts["dead"] + counts["lost"] == 1


async def test_a_store_that_is_away_makes_it_degraded_but_not_unready(
    start_daemon: Start, providers: Providers
) -> None:
    quorum = await start_daemon(registry_for(await providers(1)), {"REDIS_URL": "redis://127.0.0.1:1"})

    health = await quorum.get("/healthz")

    assert (health.status, health.json["status"]) == (200, "degraded")
    assert health.json["stores"]["redis"] == {"up": False, "why": "Redis does not answer"}
    assert (await quorum.get("/readyz")).status == 200
    scraped = await samples(quorum)
    assert scraped["quorum_dependency_up", (("name", "redis"),)] == 0
    assert scraped["quorum_dependency_up", (("name", "postgres"),)] == 1


@pytest.mark.parametrize(
    ("failure", "state", "status"),
    [
        (error(401, "bad key", code="invalid_api_key"), "bad-key", "degraded"),
        (error(402, "no credits left"), "billing", "degraded"),
        (error(404, "gone", code="model_not_found"), "model-gone", "degraded"),
        (error(503, "down", retry_after="60"), "failing", "degraded"),
        (error(429, "slow down", retry_after="60"), "limited", "ok"),
    ],
)
async def test_a_provider_that_a_person_should_look_at_makes_it_degraded(
    start_daemon: Start, providers: Providers, failure: Step, state: str, status: str
) -> None:
    one, two = await providers(2)
    one.then(failure)
    quorum = await start_daemon(registry_for([one, two]))
    await quorum.chat(model="p1/m1")
    told = (await quorum.get("/healthz")).json
    assert (told["status"], told["models"]) == (status, {state: 1, "clear": 1})
    assert (await quorum.get("/readyz")).status == 200
    assert (await samples(quorum))["quorum_provider_state", (("provider", "p1"), ("state", state))] == 1


async def test_nobody_left_to_ask_is_degraded(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(error(429, "slow down", retry_after="60"))
    quorum = await start_daemon(registry_for([one]))
    await quorum.chat()
    told = (await quorum.get("/healthz")).json
    assert (told["status"], told["models"]) == ("degraded", {"limited": 1})


async def test_counters_move_with_the_traffic_by_exactly_what_happened(
    start_daemon: Start, providers: Providers
) -> None:
    one, two = await providers(2)
    one.then(error(500))
    two.then(stream("Hello"), whole("Hello"))
    quorum = await start_daemon(registry_for([one, two]).replace("    models:\n", "    retries: 0\n    models:\n"))
    before = await samples(quorum)
    assert {name for name, _ in before} >= ALWAYS

    await quorum.chat(model="ranked-fallback", stream=True)
    await quorum.chat(model="ranked-fallback")
    await quorum.chat(model="p1/m1")

    after = await samples(quorum)
    assert {name for name, _ in after} >= AFTER_TRAFFIC
    assert moved(before, after, "quorum_requests_total") == {
        ("ok", "ranked-fallback", "cheap"): 2,
        ("failed", "single-query", "cheap"): 1,
    }
    assert moved(before, after, "quorum_votes_total") == {
        ("server_error", "m1", "failed", "p1", "answer"): 3,
        ("", "m2", "ok", "p2", "answer"): 2,
    }
    assert moved(before, after, "quorum_vote_duration_seconds_count") == {("m1", "p1"): 3, ("m2", "p2"): 2}
    assert moved(before, after, "quorum_tokens_total") == {("input", "m2", "p2"): 22, ("output", "m2", "p2"): 14}
    assert moved(before, after, "quorum_cost_usd_total") == {("m2", "p2"): 2 * (11 * 1 + 7 * 2) / 1e6}
    assert moved(before, after, "quorum_request_duration_seconds_count") == {
        ("ranked-fallback", "cheap"): 2,
        ("single-query", "cheap"): 1,
    }
    assert moved(before, after, "quorum_overhead_seconds_count") == {(): 3}
    assert after["quorum_inflight_requests", ()] == 0


async def test_labels_hold_only_what_is_configured(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(whole("x", model="a-model-nobody-configured"), error(418, "teapot", code="strange-code"))
    quorum = await start_daemon(registry_for([one]))
    hostile: list[dict[str, Any]] = [
        {},
        {},
        {"model": "evil-model"},
        {"strategy": "evil-strategy"},
        {"tier": "evil-tier"},
        {"user": "evil-user", "quorum": {"tags": {"evil": "tag"}}},
    ]
    for fields in hostile:
        await quorum.chat(**fields)
    await quorum.get("/evil-path")
    await quorum.post("/v1/reload", {})

    known = {
        "strategy": {"single-query"},
        "tier": {"cheap"},
        "provider": {"p1"},
        "model": {"m1"},
        "role": {"answer"},
        "outcome": {"ok", "failed"},
        "error_type": {"", *ErrorKind},
        "direction": {"input", "output"},
        "name": {"postgres", "redis"},
        "result": {"unchanged"},
        "hash": {(await quorum.get("/healthz")).json["registry"]["hash"]},
    }
    for name, labels in await samples(quorum):
        for label, value in labels:
            assert label in ("le", "state") or value in known[label], f"{name} has {label}={value!r}"


async def test_rows_of_the_vote_log_are_accounted_for(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(whole("x"))
    quorum = await start_daemon(registry_for([one]))
    for _ in range(5):
        await quorum.recorded(await quorum.chat())
        scraped = await samples(quorum)
        rows = {labels[0][1]: value for (name, labels), value in scraped.items() if name == "quorum_vote_log"}
        assert rows["appended"] == rows["committed"] + rows["spooled"] + rows["dead"] + rows["lost"] > 1


async def test_models_lists_every_name_and_shows_each(start_daemon: Start, providers: Providers) -> None:
    quorum = await start_daemon(registry_for(await providers(2)))

    listed = (await quorum.get("/v1/models")).json

    rows = {row["id"]: row for row in listed["data"]}
    assert listed["object"] == "list"
    assert list(rows)[:2] == ["auto", "cheap"]
    assert {"council", "cheap/majority-vote", "p1/m1", "p2/m2"} < rows.keys()
    assert (rows["p1/m1"]["owned_by"], rows["council"]["owned_by"]) == ("p1", "quorum")
    for name in rows:
        assert (await quorum.get(f"/v1/models/{name}")).json == rows[name]
    unknown = await quorum.get("/v1/models/p1/m2")
    assert (unknown.status, unknown.error["code"]) == (404, "model_not_found")
    assert "did you mean" in unknown.error["message"]


async def test_weather_shows_each_model_with_its_reason_and_end(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(error(429, "slow down", retry_after="60"))
    two.then(whole("x"))
    quorum = await start_daemon(registry_for([one, two]))
    await quorum.chat(model="ranked-fallback")

    told = (await quorum.get("/v1/weather")).json

    assert told["registry"] == (await quorum.get("/healthz")).json["registry"]["hash"]
    limited, clear = told["providers"]
    assert {key: limited[key] for key in ("provider", "adapter", "inflight")} == {
        "provider": "p1",
        "adapter": "compatible",
        "inflight": 0,
    }
    model = limited["models"][0]
    assert (model["model"], model["tiers"], model["state"], model["reason"]) == (
        "m1",
        {"cheap": 1},
        "limited",
        "slow down",
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", model["until"])
    assert (clear["models"][0]["state"], clear["models"][0]["until"]) == ("clear", None)


@pytest.mark.parametrize("path", ["/livez", "/healthz", "/metrics", "/v1/models", "/v1/weather", "/nowhere"])
async def test_every_answer_has_an_id(start_daemon: Start, providers: Providers, path: str) -> None:
    (one,) = await providers(1)
    quorum = await start_daemon(registry_for([one]))
    first, second = await quorum.get(path), await quorum.get(path)
    assert len({first.headers["X-Request-Id"], second.headers["X-Request-Id"]}) == 2
