"""`POST /v1/chat/completions`: body → options → plan → strategy → answer, and one record of it at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import orjson
from aiohttp import web

from adapters.errors import ErrorKind, ProviderError
from adapters.types import NOTHING
from router.attempts.attempt import Attempts
from router.calls.calls import Asked, Calls, Hedging
from router.calls.hedging import Hedge, Hedges, hedge_of
from router.core.clock import Clock
from router.core.decision import Choice
from router.core.registry import Registry, Seat
from router.core.sink import CallerGone
from router.guards.retry_budget import RetryBudget
from router.http.body import read_json_body
from router.http.errors import REQUEST_ID, ApiError, error_response, from_exclusions, from_failure
from router.http.middleware import SHUTDOWN
from router.http.openai import completion as reply
from router.http.openai.request import ChatBody, parse_chat
from router.http.options import resolve_options
from router.http.sse import AnswerStream
from router.routing.planner import SEVERAL, Dropped
from router.routing.service import Seating, Turn
from router.votelog.recorder import Finished, Recorder, RequestOutcome

_GONE = Choice(error=ProviderError(ErrorKind.CANCELLED, "the caller left"))
_STOPPED = Choice(error=ProviderError(ErrorKind.CANCELLED, "the daemon stopped"))


@dataclass(frozen=True, slots=True)
class _Chat:
    """One chat request under way: what came in, who may answer, and where its answer goes.

    The turn's plan is the one in force: it is made anew when the request has waited.
    """

    request_id: str
    created_at: float
    raw: bytes
    body: ChatBody
    turn: Turn
    stream: AnswerStream | None


class ChatApi:
    """The chat endpoint. Everything it needs is handed in; `registry` gives the one in force when a request begins."""

    def __init__(
        self,
        *,
        registry: Callable[[], Registry],
        seating: Seating,
        attempts: Attempts,
        retries: RetryBudget,
        hedges: Hedges,
        recorder: Recorder,
        clock: Clock,
        dropped: Dropped,
    ) -> None:
        self._registry = registry
        self._seating = seating
        self._attempts = attempts
        self._retries = retries
        self._hedges = hedges
        self._recorder = recorder
        self._clock = clock
        self._dropped = dropped

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request; raises `ApiError` for what is wrong before a seat could be asked."""
        chat = self._begin(request, await read_json_body(request))
        try:
            decision = await self._decide(chat)
            response = await self._respond(chat, decision)
        except CallerGone:
            assert chat.stream is not None
            self._record(chat, _GONE, "client_gone", 499)
            return chat.stream.hang_up()
        except asyncio.CancelledError as cancelled:
            if cancelled.args != (SHUTDOWN,):
                self._record(chat, _GONE, "client_gone", 499)
                raise
            decision, response = _STOPPED, await self._stop(chat)
        self._record(chat, decision, "ok" if decision.winner else "failed", response.status)
        return response

    def _begin(self, request: web.Request, raw: bytes) -> _Chat:
        began, created_at = self._clock.monotonic(), self._clock.wall()
        body = parse_chat(raw)
        registry = self._registry()
        user = body.request.params.get("user")
        options = resolve_options(registry, body.model, body.routing, request.headers, user)
        plan = self._seating.plan(registry, options, body.request, streamed=body.stream)
        request_id = request[REQUEST_ID]

        def headers(seat: Seat | None, model: str | None) -> Mapping[str, str]:
            provider, lost = (seat.provider.id, self._lost(body, seat)) if seat else (None, body.dropped)
            return reply.route_headers(request_id, plan, len(calls.votes) + 1, provider, model, lost)

        stream = None
        if body.stream:
            reasoning = options.include_reasoning
            stream = AnswerStream(request, request_id, int(created_at), headers=headers, include_reasoning=reasoning)
        hedge = hedge_of(registry, options.strategy)
        asked = Asked(
            request_id=request_id,
            registry_hash=registry.hash,
            request=body.request,
            began=began,
            deadline=began + plan.timeout_s,
            deliver=stream.deliver if stream else None,
            tell=stream.note if stream and options.explain else None,
            deferred=options.strategy in SEVERAL or hedge is not None,
            goes_on=registry.strategies.get(options.strategy, NOTHING).get("on_cut") == "continue",
            hedging=self._hedging(hedge, streamed=body.stream) if hedge else None,
        )
        self._retries.request()
        calls = Calls(asked, self._attempts.run, self._clock, self._retries)
        turn = Turn(body.request, plan, calls, began, asked.deadline, body.stream)
        return _Chat(request_id, created_at, raw, body, turn, stream)

    def _hedging(self, hedge: Hedge, *, streamed: bool) -> Hedging:
        self._hedges.request(hedge)
        return Hedging(partial(self._hedges.after_s, hedge, streamed=streamed), partial(self._hedges.may_begin, hedge))

    async def _decide(self, chat: _Chat) -> Choice:
        if chat.stream is None:
            return await self._seating.decide(chat.turn)
        async with chat.stream.kept_alive():
            return await self._seating.decide(chat.turn)

    async def _respond(self, chat: _Chat, decision: Choice) -> web.StreamResponse:
        plan, votes, stream = chat.turn.plan, chat.turn.calls.votes, chat.stream
        winner = decision.winner
        lost = self._lost(chat.body, winner.seat) if winner else chat.body.dropped
        headers = reply.route_headers(
            chat.request_id,
            plan,
            len(votes),
            winner.seat.provider.id if winner else None,
            reply.model_of(winner) if winner else None,
            lost,
        )
        if decision.error is not None:
            error = self._failure(chat, decision.error)
            if stream and stream.begun:
                return await stream.fail(error, chat.request_id)
            return error_response(error, chat.request_id, headers)
        assert decision.winner is not None
        quorum = reply.quorum_object(chat.request_id, decision, plan, votes, lost)
        if stream:
            assert decision.answer is not None
            usage = reply.usage(decision.winner.usage) if chat.body.include_usage else None
            return await stream.finish(decision.answer.finish_reason, usage, quorum)
        document = reply.completion(chat.request_id, int(chat.created_at), decision, plan, quorum)
        return web.Response(body=orjson.dumps(document), content_type="application/json", headers=headers)

    async def _stop(self, chat: _Chat) -> web.StreamResponse:
        error = ApiError(503, "draining", "this daemon is stopping before the answer was done", retry_after_s=1)
        if not (chat.stream and chat.stream.begun):
            return error_response(error, chat.request_id)
        try:
            return await chat.stream.fail(error, chat.request_id)
        except CallerGone:
            return chat.stream.hang_up()

    def _lost(self, body: ChatBody, seat: Seat) -> tuple[str, ...]:
        """What the caller sent and this seat was not given: fields nobody knows, parameters its wire does not know."""
        return (*body.dropped, *sorted(self._dropped(seat, body.request)))

    def _failure(self, chat: _Chat, error: ProviderError) -> ApiError:
        plan = chat.turn.plan
        if not plan.seats:
            subject = plan.options.pinned or f"tier {plan.options.tier}"
            return from_exclusions(plan.excluded, subject, self._clock.wall())
        return from_failure(error, tuple(chat.turn.calls.votes), self._seating.wait_s(plan) or None)

    def _record(self, chat: _Chat, decision: Choice, outcome: RequestOutcome, status: int) -> None:
        self._recorder.request(
            Finished(
                request_id=chat.request_id,
                created_at=chat.created_at,
                duration_ms=(self._clock.monotonic() - chat.turn.began) * 1000,
                outcome=outcome,
                http_status=status,
                request_model=chat.body.model,
                stream=chat.body.stream,
                plan=chat.turn.plan,
                votes=tuple(chat.turn.calls.votes),
                decision=decision,
                body=chat.raw,
            )
        )
