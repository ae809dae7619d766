"""Every route of the daemon, and what stands behind each."""

from __future__ import annotations

import random
from dataclasses import dataclass

from aiohttp import web

from adapters import ADAPTERS
from adapters.types import ChatRequest
from healthcheck.monitor import Monitor
from router.attempts.attempt import Attempts
from router.calls.hedging import Hedges
from router.core.clock import Clock
from router.core.registry import Registry, Seat
from router.guards.guards import Guards
from router.guards.retry_budget import RetryBudget
from router.http.admin.changes import ChangesApi
from router.http.admin.drains import DrainsApi
from router.http.admin.health import ProbesApi
from router.http.admin.plan import PlanApi
from router.http.admin.probe import ProbeApi
from router.http.admin.registry import RegistryApi
from router.http.admin.status import Status
from router.http.admin.votes import VotesApi
from router.http.admin.weather import WeatherApi
from router.http.body import MAX_BODY_BYTES
from router.http.middleware import Admission, identify, tell_errors
from router.http.openai.chat import ChatApi
from router.http.openai.models import ModelsApi
from router.http.server.load_shedding import Gate
from router.observe.metrics import Telemetry
from router.registry.watch import RegistryHolder
from router.routing.queue import WaitingRoom
from router.routing.service import Seating
from router.stores.opening import Stores
from router.votelog.recorder import Recorder
from router.votelog.writer import VoteLog


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a daemon that its routes need."""

    clock: Clock
    telemetry: Telemetry
    registry: RegistryHolder
    stores: Stores
    votes: VoteLog
    guards: Guards
    attempts: Attempts
    recorder: Recorder
    monitor: Monitor
    admission: Admission
    gate: Gate
    room: WaitingRoom


def application(parts: Parts) -> web.Application:
    """The web application: middlewares in the order in which a request passes them, then the routes."""

    def registry() -> Registry:
        return parts.registry.current

    guards, clock, postgres = parts.guards, parts.clock, parts.stores.postgres
    weather = WeatherApi(registry, guards)
    status = Status(
        registry=parts.registry,
        stores=parts.stores,
        votes=parts.votes,
        weather=weather,
        guards=guards,
        admission=parts.admission,
        gate=parts.gate,
    )
    parts.telemetry.watch(status.at_scrape)
    rng = random.Random()  # noqa: S311 - it shares load and guards nothing
    seating = Seating(guards=guards, room=parts.room, clock=clock, rng=rng, dropped=_dropped)
    chat = ChatApi(
        registry=registry,
        seating=seating,
        attempts=parts.attempts,
        retries=RetryBudget(clock),
        hedges=Hedges(guards.pace, clock),
        recorder=parts.recorder,
        clock=clock,
        dropped=_dropped,
    )
    plan = PlanApi(
        registry=registry,
        plan=seating.plan,
        doubt=guards.doubt,
        headroom=guards.ledger.headroom,
        dropped=_dropped,
    )
    drains = DrainsApi(registry=registry, drains=guards.weather, block=guards.block, clock=clock)
    health = ProbeApi(registry=registry, guards=guards, probe_all=parts.monitor.probe_all)
    changes = ChangesApi(postgres, parts.votes, clock)
    models = ModelsApi(registry, clock.wall())
    registries = RegistryApi(parts.registry)
    votes = VotesApi(postgres, parts.votes, clock)
    probes = ProbesApi(ready=status.unready, health=status.health, telemetry=parts.telemetry)
    app = web.Application(
        client_max_size=MAX_BODY_BYTES,
        middlewares=[identify(clock), tell_errors, parts.admission.middleware()],
    )
    app.add_routes(
        [
            web.post("/v1/chat/completions", chat.handle),
            web.post("/v1/plan", plan.handle),
            web.get("/v1/models", models.list),
            web.get("/v1/models/{model:.+}", models.get),
            web.get("/v1/requests/{request_id}", votes.request),
            web.get("/v1/votes", votes.votes),
            web.get("/v1/weather", weather.get),
            web.get("/v1/weather/changes", changes.changes),
            web.post("/v1/drain", drains.drain),
            web.post("/v1/undrain", drains.undrain),
            web.post("/v1/probe", health.probe),
            web.get("/v1/registry", registries.get),
            web.post("/v1/reload", registries.reload),
            web.get("/livez", probes.livez),
            web.get("/readyz", probes.readyz),
            web.get("/healthz", probes.healthz),
            web.get("/metrics", probes.metrics),
        ]
    )
    return app


def _dropped(seat: Seat, request: ChatRequest) -> frozenset[str]:
    return ADAPTERS[seat.target.adapter].dropped_params(seat.target, request)
