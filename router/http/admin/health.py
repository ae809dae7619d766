"""Liveness, readiness, health and metrics. A store that is away makes the daemon degraded, never unready."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from router.http.body import json_response
from router.observe.metrics import Metrics


class HealthApi:
    """`/livez`, `/readyz`, `/healthz`, `/metrics`. `health` tells each part's state, `ready` why we are not."""

    def __init__(
        self, *, ready: Callable[[], str | None], health: Callable[[], Mapping[str, Any]], metrics: Metrics
    ) -> None:
        self._ready = ready
        self._health = health
        self._metrics = metrics

    async def livez(self, _: web.Request) -> web.Response:
        """200 while the process runs its loop."""
        return json_response({"status": "alive"})

    async def readyz(self, _: web.Request) -> web.Response:
        """200 when requests are welcome, else 503 with the reason."""
        unready = self._ready()
        return json_response({"status": unready or "ready"}, status=503 if unready else 200)

    async def healthz(self, _: web.Request) -> web.Response:
        """Always 200: `ok` or `degraded`, with every part's state."""
        return json_response(self._health())

    async def metrics(self, _: web.Request) -> web.Response:
        """Prometheus' text format."""
        return web.Response(
            body=self._metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )
