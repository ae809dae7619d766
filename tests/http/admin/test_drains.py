"""Drains: an operator takes a provider or a model out of service, and puts it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from adapters.errors import ErrorKind, ProviderError
from router.guards.holds import Holds
from router.http.admin.drains import DrainsApi
from tests.http.apps import App, served
from tests.support.small_registry import FakeTime, registry

HOME = registry()
SMALL, FRESH, BETA = (HOME.seats[id_] for id_ in ("alpha/small", "alpha/fresh", "beta/small"))


class Sky:
    """Holds, the time they live in, and what they published."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.told: list[object] = []
        self.holds = Holds(self.time.clock, self.told.append)

    def state(self, seat: Any) -> str:
        block = self.holds.block(seat)
        return block.state if block else "clear"


@pytest.fixture
def sky() -> Sky:
    return Sky()


@pytest.fixture
async def app(sky: Sky) -> AsyncIterator[App]:
    api = DrainsApi(registry=lambda: HOME, drains=sky.holds, block=sky.holds.block, clock=sky.time.clock)
    async with served([web.post("/v1/drain", api.drain), web.post("/v1/undrain", api.undrain)]) as running:
        yield running


async def test_a_provider_is_out_of_service_until_its_time_is_over(app: App, sky: Sky) -> None:
    answer = await app.post("/v1/drain", {"provider": "alpha", "for_s": 1800, "reason": "their status page"})

    assert answer.status == 200
    held = {"state": "drained", "reason": "their status page", "until": "2025-06-15T15:36:40+00:00"}
    assert answer.json == {
        "provider": "alpha",
        "model": None,
        "models": [{"model": "small", **held}, {"model": "fresh", **held}],
    }
    assert [sky.state(seat) for seat in (SMALL, FRESH, BETA)] == ["drained", "drained", "clear"]
    sky.time.pass_(1800)
    assert sky.state(SMALL) == "clear"


async def test_one_model_is_out_until_further_notice(app: App, sky: Sky) -> None:
    answer = await app.post("/v1/drain", {"provider": "alpha", "model": "small"})
    assert answer.json["models"] == [
        {"model": "small", "state": "drained", "reason": "drained by an operator", "until": None}
    ]
    sky.time.pass_(40 * 86400)
    assert [sky.state(seat) for seat in (SMALL, FRESH)] == ["drained", "clear"]

    back = await app.post("/v1/undrain", {"provider": "alpha", "model": "small"})
    assert (back.json["ended"], back.json["models"][0]["state"]) == (True, "clear")
    assert (await app.post("/v1/undrain", {"provider": "alpha"})).json["ended"] is False


async def test_undrain_shows_what_still_holds_a_model_back(app: App, sky: Sky) -> None:
    sky.holds.learn(SMALL, ProviderError(ErrorKind.RATE_LIMITED, "slow down", retry_after_s=60))
    await app.post("/v1/drain", {"provider": "alpha"})
    answer = await app.post("/v1/undrain", {"provider": "alpha"})
    assert [(model["model"], model["state"]) for model in answer.json["models"]] == [
        ("small", "limited"),
        ("fresh", "clear"),
    ]


@pytest.mark.parametrize("kind", [ErrorKind.AUTH, ErrorKind.MODEL_GONE, ErrorKind.BILLING])
async def test_undrain_gives_a_stopped_or_unpaid_one_another_chance(app: App, sky: Sky, kind: ErrorKind) -> None:
    sky.holds.learn(SMALL, ProviderError(kind, "no"))
    assert sky.state(SMALL) != "clear"
    answer = await app.post("/v1/undrain", {"provider": "alpha"})
    assert (answer.json["ended"], sky.state(SMALL)) == (True, "clear")


@pytest.mark.parametrize("path", ["/v1/drain", "/v1/undrain"])
@pytest.mark.parametrize(
    ("document", "status", "code", "words"),
    [
        (
            {"provider": "alpah"},
            404,
            "provider_not_found",
            "did you mean 'alpha'?; valid are alpha, beta, gamma, delta",
        ),
        ({"provider": "alpha", "model": "smal"}, 404, "model_not_found", "did you mean 'small'?"),
        ({"provider": "zzz"}, 404, "provider_not_found", "valid are alpha, beta, gamma, delta"),
        ({}, 400, "invalid_body", "provider is missing"),
        ({"provider": 7}, 400, "invalid_body", "provider must be the name of a provider, not 7"),
        ({"provider": "alpha", "modle": "small"}, 400, "invalid_body", "did you mean 'model'?"),
        ([], 400, "invalid_body", "must be a JSON object"),
        (b"{", 400, "invalid_body", "not JSON"),
    ],
)
async def test_a_slip_is_told_with_what_was_probably_meant(
    app: App, sky: Sky, path: str, document: Any, status: int, code: str, words: str
) -> None:
    answer = await app.post(path, document)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert words in answer.error["message"]
    assert sky.told == []


@pytest.mark.parametrize(
    "fields",
    [
        {"for_s": 0},
        {"for_s": -1},
        {"for_s": 31 * 86400 + 1},
        {"for_s": "30m"},
        {"for_s": True},
        {"reason": "x" * 201},
        {"reason": 5},
    ],
)
async def test_what_cannot_be_meant_is_refused_and_drains_nothing(app: App, sky: Sky, fields: Any) -> None:
    answer = await app.post("/v1/drain", {"provider": "alpha", **fields})
    assert (answer.status, answer.error["param"]) == (400, next(iter(fields)))
    assert sky.told == []


async def test_a_reason_is_one_plain_line(app: App) -> None:
    answer = await app.post("/v1/drain", {"provider": "beta", "reason": " it \x1b[2Jflaps\r\n\u202eagain\u0000 "})
    assert {model["reason"] for model in answer.json["models"]} == {"it [2Jflaps again"}
