"""`GET /v1/weather`: the state of every provider and model, its reason and end, and what is left of the limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from router.core.registry import Model, Provider, Registry
from router.guards.guards import Guards
from router.http.admin.seat_state import conditions, state_of, told
from router.http.body import json_response


class WeatherApi:
    """Reports what the guards know about each seat; asks no provider."""

    def __init__(self, registry: Callable[[], Registry], guards: Guards) -> None:
        self._registry = registry
        self._guards = guards

    async def get(self, _: web.Request) -> web.Response:
        """The whole weather as JSON."""
        registry = self._registry()
        providers = [self._provider(registry, provider) for provider in registry.providers.values()]
        return json_response({"registry": registry.short_hash, "providers": providers})

    def _provider(self, registry: Registry, provider: Provider) -> dict[str, Any]:
        models = [self._model(registry, provider, model) for model in provider.models.values()]
        return {
            "provider": provider.id,
            "adapter": provider.adapter,
            "region": provider.region,
            "inflight": self._guards.inflight(provider.id),
            "models": models,
        }

    def _model(self, registry: Registry, provider: Provider, model: Model) -> dict[str, Any]:
        seat = registry.seats[f"{provider.id}/{model.id}"]
        return {
            "model": model.id,
            "tiers": dict(model.tiers),
            **told(state_of(seat, self._guards)),
            **conditions(seat, self._guards),
        }
