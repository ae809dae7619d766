"""`POST /v1/chat/completions`: body → options → plan → strategy → answer, and one record of it at the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import orjson
from aiohttp import web

from adapters.errors import ErrorKind, ProviderError
from router.api import reply
from router.api.body import read_json_body
from router.api.errors import REQUEST_ID, ApiError, error_response, from_exclusions, from_failure
from router.api.middleware import SHUTDOWN
from router.api.options import resolve_options
from router.api.request import ChatBody, parse_chat
from router.api.stream import AnswerStream
from router.attempt import Attempts
from router.calls import Asked, Calls, Decision
from router.clock import Clock
from router.exchange import CallerGone
from router.guards import Guards
from router.plan import Dropped, Plan, make_plan
from router.recorder import Finished, Recorder, RequestOutcome
from router.registry.model import Registry, Seat
from router.strategies import BUILT, decide

_GONE = Decision(error=ProviderError(ErrorKind.CANCELLED, "the caller left"))
_STOPPED = Decision(error=ProviderError(ErrorKind.CANCELLED, "the daemon stopped"))


@dataclass(frozen=True, slots=True)
class _Turn:
    """One chat request under way: what came in, who may answer, and where its answer goes."""

    request_id: str
    began: float
    created_at: float
    raw: bytes
    body: ChatBody
    plan: Plan
    calls: Calls
    stream: AnswerStream | None


class ChatApi:
    """The chat endpoint. Everything it needs is handed in; `registry` gives the one in force when a request begins."""

    def __init__(
        self,
        *,
        registry: Callable[[], Registry],
        guards: Guards,
        attempts: Attempts,
        recorder: Recorder,
        clock: Clock,
        rng: random.Random,
        dropped: Dropped,
    ) -> None:
        self._registry = registry
        self._guards = guards
        self._attempts = attempts
        self._recorder = recorder
        self._clock = clock
        self._rng = rng
        self._dropped = dropped

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request; raises `ApiError` for what is wrong before a seat could be asked."""
        turn = self._begin(request, await read_json_body(request))
        try:
            decision = await self._decide(turn)
            response = await self._respond(turn, decision)
        except CallerGone:
            assert turn.stream is not None
            self._record(turn, _GONE, "client_gone", 499)
            return turn.stream.hang_up()
        except asyncio.CancelledError as cancelled:
            if cancelled.args != (SHUTDOWN,):
                self._record(turn, _GONE, "client_gone", 499)
                raise
            decision, response = _STOPPED, await self._stop(turn)
        self._record(turn, decision, "ok" if decision.winner else "failed", response.status)
        return response

    def _begin(self, request: web.Request, raw: bytes) -> _Turn:
        began, created_at = self._clock.monotonic(), self._clock.wall()
        body = parse_chat(raw)
        registry = self._registry()
        user = body.request.params.get("user")
        options = resolve_options(registry, body.model, body.routing, request.headers, user)
        if options.strategy not in BUILT:
            raise ApiError(501, "not_built", f"strategy {options.strategy} is not built yet", should_retry=False)
        plan = make_plan(
            registry, options, body.request, block=self._guards.block, rng=self._rng, dropped=self._dropped
        )
        request_id = request[REQUEST_ID]

        def headers(seat: Seat | None, model: str | None) -> Mapping[str, str]:
            provider, lost = (seat.provider.id, self._lost(body, seat)) if seat else (None, body.dropped)
            return reply.route_headers(request_id, plan, len(calls.votes) + 1, provider, model, lost)

        stream = None
        if body.stream:
            reasoning = options.include_reasoning
            stream = AnswerStream(request, request_id, int(created_at), headers=headers, include_reasoning=reasoning)
        asked = Asked(
            request_id=request_id,
            registry_hash=registry.hash,
            request=body.request,
            began=began,
            deadline=began + plan.timeout_s,
            deliver=stream.deliver if stream else None,
        )
        calls = Calls(asked, self._attempts.run, self._clock)
        return _Turn(request_id, began, created_at, raw, body, plan, calls, stream)

    async def _decide(self, turn: _Turn) -> Decision:
        if not turn.plan.seats:
            blocks = [exclusion.block for exclusion in turn.plan.excluded if exclusion.block]
            kind = blocks[0].kind if blocks else ErrorKind.INVALID_REQUEST
            return Decision(error=ProviderError(kind, "no model of the plan can be asked"))
        if turn.stream is None:
            return await decide(turn.plan, turn.calls)
        async with turn.stream.kept_alive():
            return await decide(turn.plan, turn.calls)

    async def _respond(self, turn: _Turn, decision: Decision) -> web.StreamResponse:
        plan, votes, stream = turn.plan, turn.calls.votes, turn.stream
        winner = decision.winner
        lost = self._lost(turn.body, winner.seat) if winner else turn.body.dropped
        headers = reply.route_headers(
            turn.request_id,
            plan,
            len(votes),
            winner.seat.provider.id if winner else None,
            reply.model_of(winner) if winner else None,
            lost,
        )
        if decision.error is not None:
            error = self._failure(turn, decision.error)
            if stream and stream.begun:
                return await stream.fail(error, turn.request_id)
            return error_response(error, turn.request_id, headers)
        assert decision.winner is not None
        assert decision.answer is not None
        quorum = reply.quorum_object(turn.request_id, decision, plan, votes, lost)
        if stream:
            usage = reply.usage(decision.winner.usage) if turn.body.include_usage else None
            return await stream.finish(decision.answer.finish_reason, usage, quorum)
        document = reply.completion(turn.request_id, int(turn.created_at), decision, plan, quorum)
        return web.Response(body=orjson.dumps(document), content_type="application/json", headers=headers)

    async def _stop(self, turn: _Turn) -> web.StreamResponse:
        error = ApiError(503, "draining", "this daemon is stopping before the answer was done", retry_after_s=1)
        if not (turn.stream and turn.stream.begun):
            return error_response(error, turn.request_id)
        try:
            return await turn.stream.fail(error, turn.request_id)
        except CallerGone:
            return turn.stream.hang_up()

    def _lost(self, body: ChatBody, seat: Seat) -> tuple[str, ...]:
        """What the caller sent and this seat was not given: fields nobody knows, parameters its wire does not know."""
        return (*body.dropped, *sorted(self._dropped(seat, body.request)))

    def _failure(self, turn: _Turn, error: ProviderError) -> ApiError:
        plan, wall = turn.plan, self._clock.wall()
        if not plan.seats:
            subject = plan.options.pinned or f"tier {plan.options.tier}"
            return from_exclusions(plan.excluded, subject, wall)
        blocks = [self._guards.block(seat) for seat in plan.seats]
        ends = [block.until for block in blocks if block and block.until is not None]
        wait_s = max(0.0, min(ends) - wall) if ends and all(blocks) else None
        return from_failure(error, tuple(turn.calls.votes), wait_s)

    def _record(self, turn: _Turn, decision: Decision, outcome: RequestOutcome, status: int) -> None:
        self._recorder.request(
            Finished(
                request_id=turn.request_id,
                created_at=turn.created_at,
                duration_ms=(self._clock.monotonic() - turn.began) * 1000,
                outcome=outcome,
                http_status=status,
                request_model=turn.body.model,
                stream=turn.body.stream,
                plan=turn.plan,
                votes=tuple(turn.calls.votes),
                decision=decision,
                body=turn.raw,
            )
        )
