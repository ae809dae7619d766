"""Every route of the daemon with its handler."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from router.core.clock import Clock
from router.http.admin.changes import ChangesApi
from router.http.admin.drains import DrainsApi
from router.http.admin.health import HealthApi
from router.http.admin.probe import ProbeApi
from router.http.admin.registry import RegistryApi
from router.http.admin.votes import VotesApi
from router.http.admin.weather import WeatherApi
from router.http.body import MAX_BODY_BYTES
from router.http.middleware import Admission, errors_to_responses, identify
from router.http.openai.chat import ChatDoor
from router.http.openai.models import ModelsApi
from router.http.openai.plan import PlanApi


@dataclass(frozen=True, slots=True)
class Handlers:
    """The handlers behind the routes, built by the composition root (`router/daemon/app.py`)."""

    chat: ChatDoor
    models: ModelsApi
    plan: PlanApi
    votes: VotesApi
    weather: WeatherApi
    changes: ChangesApi
    drains: DrainsApi
    probe: ProbeApi
    registry: RegistryApi
    health: HealthApi


def application(handlers: Handlers, admission: Admission, clock: Clock) -> web.Application:
    """The web application: middlewares, outermost first, and routes."""
    app = web.Application(
        client_max_size=MAX_BODY_BYTES,
        middlewares=[identify(clock), errors_to_responses, admission.middleware()],
    )
    app.add_routes(
        [
            web.post("/v1/chat/completions", handlers.chat.handle),
            web.post("/v1/plan", handlers.plan.handle),
            web.get("/v1/models", handlers.models.list),
            web.get("/v1/models/{model:.+}", handlers.models.get),
            web.get("/v1/requests/{request_id}", handlers.votes.request),
            web.get("/v1/votes", handlers.votes.votes),
            web.get("/v1/weather", handlers.weather.get),
            web.get("/v1/weather/changes", handlers.changes.changes),
            web.post("/v1/drain", handlers.drains.drain),
            web.post("/v1/undrain", handlers.drains.undrain),
            web.post("/v1/probe", handlers.probe.probe),
            web.get("/v1/registry", handlers.registry.get),
            web.post("/v1/reload", handlers.registry.reload),
            web.get("/livez", handlers.health.livez),
            web.get("/readyz", handlers.health.readyz),
            web.get("/healthz", handlers.health.healthz),
            web.get("/metrics", handlers.health.metrics),
        ]
    )
    return app
