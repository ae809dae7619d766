"""`GET /v1/models` and `/v1/models/{id}`: every valid value of a request's `model`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from router.core.registry import Registry
from router.http.body import json_response
from router.http.options import model_names, parse_model


class ModelsApi:
    """Lists tiers, strategies and pinned models as OpenAI's model objects; `created` is when the daemon started."""

    def __init__(self, registry: Callable[[], Registry], started_at: float) -> None:
        self._registry = registry
        self._created = int(started_at)

    async def list(self, _: web.Request) -> web.Response:
        """All model names."""
        registry = self._registry()
        rows = [self._row(registry, name) for name in model_names(registry)]
        return json_response({"object": "list", "data": rows})

    async def get(self, request: web.Request) -> web.Response:
        """One model name; 404 `model_not_found`, with the nearest match."""
        registry, name = self._registry(), request.match_info["model"]
        parse_model(registry, name)
        return json_response(self._row(registry, name))

    def _row(self, registry: Registry, name: str) -> dict[str, Any]:
        seat = registry.seats.get(name)
        owner = seat.provider.id if seat else "quorum"
        return {"id": name, "object": "model", "created": self._created, "owned_by": owner}
