"""`GET /v1/weather`: every provider and model, its state now, why, and until when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from router.api.models import json_response
from router.guards import Guards
from router.guards.weather import LEAKING, Block
from router.registry.model import Model, Provider, Registry
from router.votes.record import utc

_CLEAR = Block("clear", "")


class WeatherApi:
    """Shows what the guards would say of each seat."""

    def __init__(self, registry: Callable[[], Registry], guards: Guards) -> None:
        self._registry = registry
        self._guards = guards

    async def get(self, _: web.Request) -> web.Response:
        """The whole weather as JSON."""
        registry = self._registry()
        providers = [self._provider(registry, provider) for provider in registry.providers.values()]
        return json_response({"registry": registry.short_hash, "providers": providers})

    def states(self) -> Mapping[tuple[str, str], str]:
        """The state of every (provider, model), for metrics."""
        registry = self._registry()
        return {
            (provider.id, model.id): self._block(registry, provider, model).state
            for provider in registry.providers.values()
            for model in provider.models.values()
        }

    def _provider(self, registry: Registry, provider: Provider) -> dict[str, Any]:
        models = [
            {"model": model.id, "tiers": dict(model.tiers), **_told(self._block(registry, provider, model))}
            for model in provider.models.values()
        ]
        return {
            "provider": provider.id,
            "adapter": provider.adapter,
            "region": provider.region,
            "inflight": self._guards.inflight(provider.id),
            "models": models,
        }

    def _block(self, registry: Registry, provider: Provider, model: Model) -> Block:
        seat = registry.seats.get(f"{provider.id}/{model.id}")
        if seat is None:
            return _CLEAR
        return self._guards.block(seat) or (LEAKING if self._guards.leaks(seat) else _CLEAR)


def _told(block: Block) -> dict[str, Any]:
    until = None if block.until is None else utc(block.until).isoformat(timespec="seconds")
    return {"state": block.state, "reason": block.reason, "until": until}
