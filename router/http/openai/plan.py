"""`POST /v1/plan`: a dry run of a chat request: its seats, the excluded models with reasons, and its highest cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol

from aiohttp import web

from adapters.types import ChatRequest
from router.core.clock import utc_text
from router.core.context import Options
from router.core.plan import Exclusion, Plan
from router.core.registry import Registry, Seat
from router.http.body import json_response, read_json_body
from router.http.openai.request import parse_chat
from router.http.options import resolve_options
from router.routing.cost_ceiling import worst_case
from router.routing.planner import Dropped


class MakePlan(Protocol):
    """Plans a request against the present state of all seats; `streamed` says how it would be answered."""

    def __call__(
        self, registry: Registry, options: Options, request: ChatRequest, /, *, streamed: bool = False
    ) -> Plan: ...


class PlanApi:
    """Plans as the chat endpoint does, with the same checks of body and headers, and calls no provider.

    `doubt` returns why a seat is ordered after its equals, or None; `headroom` the unused share of its tightest limit.
    """

    def __init__(
        self,
        *,
        registry: Callable[[], Registry],
        plan: MakePlan,
        doubt: Callable[[Seat], str | None],
        headroom: Callable[[Seat], float],
        dropped: Dropped,
    ) -> None:
        self._registry = registry
        self._plan = plan
        self._doubt = doubt
        self._headroom = headroom
        self._dropped = dropped

    async def handle(self, request: web.Request) -> web.Response:
        """The plan as JSON; raises the same `ApiError` as the chat request itself would."""
        body = parse_chat(await read_json_body(request))
        registry = self._registry()
        user = body.request.params.get("user")
        options = resolve_options(registry, body.model, body.routing, request.headers, user)
        plan = self._plan(registry, options, body.request, streamed=body.stream)
        document = {
            "strategy": plan.strategy,
            "tier": options.tier,
            "registry": registry.short_hash,
            "timeout_ms": round(plan.timeout_s * 1000),
            "seats": [self._seat(seat, body.request, body.dropped) for seat in plan.seats],
            "excluded": [_excluded(exclusion) for exclusion in plan.excluded],
            "worst_case": asdict(worst_case(plan, body.request)),
        }
        return json_response(document)

    def _seat(self, seat: Seat, request: ChatRequest, unknown: tuple[str, ...]) -> dict[str, Any]:
        return {
            "provider": seat.provider.id,
            "model": seat.model.id,
            "tier": seat.tier,
            "rank": seat.rank,
            "family": seat.model.family,
            "dropped": [*unknown, *sorted(self._dropped(seat, request))],
            "doubt": self._doubt(seat),
            "headroom": round(min(1.0, self._headroom(seat)), 4),
        }


def _excluded(exclusion: Exclusion) -> dict[str, Any]:
    told = exclusion.as_dict()
    return {**told, "until": utc_text(told["until"])}
