"""Every route of the daemon, and what stands behind each."""

from __future__ import annotations

import random
from dataclasses import dataclass

from aiohttp import web

from adapters import ADAPTERS
from adapters.types import ChatRequest
from healthcheck.monitor import Monitor
from router.api.body import MAX_BODY_BYTES
from router.api.changes import ChangesApi
from router.api.chat import ChatApi
from router.api.drains import DrainsApi
from router.api.health import ProbeApi
from router.api.middleware import Admission, identify, tell_errors
from router.api.models import ModelsApi
from router.api.plan import PlanApi
from router.api.probes import ProbesApi
from router.api.registry import RegistryApi
from router.api.votes import VotesApi
from router.api.weather import WeatherApi
from router.attempt import Attempts
from router.clock import Clock
from router.guards import Guards
from router.guards.retry_budget import RetryBudget
from router.hedging import Hedges
from router.recorder import Recorder
from router.registry.model import Registry, Seat
from router.registry.watch import RegistryHolder
from router.seating import Seating
from router.shedding import Gate
from router.status import Status
from router.stores.opening import Stores
from router.telemetry import Telemetry
from router.votes.writer import VoteLog
from router.waiting import WaitingRoom


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
