"""`POST /v1/probe`: probes every model now, on an operator's command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from healthcheck.verdicts import ProbeResult
from router.core.registry import Registry
from router.guards.guards import Guards
from router.http.admin.seat_state import state_of
from router.http.body import json_response


class ProbeApi:
    """Runs a round of health probes and returns its verdicts."""

    def __init__(
        self,
        *,
        registry: Callable[[], Registry],
        guards: Guards,
        probe_all: Callable[[], Awaitable[Mapping[str, ProbeResult]]],
    ) -> None:
        self._registry = registry
        self._guards = guards
        self._probe_all = probe_all

    async def probe(self, _: web.Request) -> web.Response:
        """The verdict of every model; a model that was not probed is listed with its last verdict."""
        found = await self._probe_all()
        rows = []
        for seat in self._registry().seats.values():
            verdict = self._guards.verdicts.of(seat.id)
            finding = found.get(seat.id)
            rows.append(
                {
                    "provider": seat.provider.id,
                    "model": seat.model.id,
                    "verdict": (finding.condition if finding else None) or verdict.verdict,
                    "state": state_of(seat, self._guards).state,
                    "reason": finding.reason if finding else verdict.reason,
                    "latency_ms": verdict.latency_ms if finding else None,
                }
            )
        return json_response({"models": rows})
