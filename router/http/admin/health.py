"""Liveness, readiness, health and metrics.

A store that is down makes the daemon degraded, never unready: callers are answered without it, so taking the daemon out
of the load balancer would only lose capacity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from router.http.body import json_response
from router.observe.metrics import Metrics


class HealthApi:
    """`/livez`, `/readyz`, `/healthz`, `/metrics`.

    `ready` returns None, or why new requests are not welcome; `health` returns the document of `/healthz`.
    """

    def __init__(
        self, *, ready: Callable[[], str | None], health: Callable[[], Mapping[str, Any]], metrics: Metrics
    ) -> None:
        self._ready = ready
        self._health = health
        self._metrics = metrics

    async def livez(self, _: web.Request) -> web.Response:
        """200 while the event loop runs."""
        return json_response({"status": "alive"})

    async def readyz(self, _: web.Request) -> web.Response:
        """200 while new requests are welcome, else 503 with the reason."""
        unready = self._ready()
        return json_response({"status": unready or "ready"}, status=503 if unready else 200)

    async def healthz(self, _: web.Request) -> web.Response:
        """Always 200: `ok`, `degraded` or `draining`, with the state of every part."""
        return json_response(self._health())

    async def metrics(self, _: web.Request) -> web.Response:
        """All metrics in Prometheus' text format."""
        return web.Response(
            body=self._metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        )
