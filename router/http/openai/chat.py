"""`POST /v1/chat/completions`: translates OpenAI's request for the service, and its decision into OpenAI's response."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import orjson
from aiohttp import web

from adapters.types import Delta
from router.core.clock import Clock
from router.core.context import RequestContext
from router.core.decision import Decision
from router.core.registry import Registry, Seat
from router.core.sink import CallerGone, Speaker
from router.core.stages import Stage, to_document
from router.http.body import read_json_body
from router.http.errors import REQUEST_ID, ApiError, error_response, from_decision
from router.http.headers import route_headers
from router.http.openai import completion
from router.http.openai.chunks import Chunks, event
from router.http.openai.request import ChatBody, parse_chat
from router.http.options import resolve_options
from router.http.sse import EventStream
from router.observe.events import Hub
from router.routing.planner import Dropped
from router.routing.service import Service


class ChatDoor:
    """The chat endpoint: translation only.

    `registry` returns the registry in force; a request keeps the one it began with, even if another one is loaded.
    """

    def __init__(
        self, *, registry: Callable[[], Registry], service: Service, events: Hub, clock: Clock, dropped: Dropped
    ) -> None:
        self._registry = registry
        self._service = service
        self._events = events
        self._clock = clock
        self._dropped = dropped

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers one request; raises `ApiError` for what is wrong with it before any seat is asked."""
        raw = await read_json_body(request)
        began, created_at = self._clock.monotonic(), self._clock.wall()
        body = parse_chat(raw)
        registry = self._registry()
        options = resolve_options(registry, body.model, body.routing, request.headers, body.request.params.get("user"))
        timeout_s = options.timeout_s or registry.tiers[options.tier].timeouts.total_s
        context = RequestContext(
            id=request[REQUEST_ID],
            api="chat.completions",
            created_at=created_at,
            began=began,
            deadline=began + timeout_s,
            registry=registry,
            options=options,
            request_model=body.model,
            stream=body.stream,
            ignored=body.dropped,
            body=raw,
        )
        if not body.stream:
            whole = WholeReply(context, body, self._dropped)
            await self._service.answer(context, body.request, whole)
            assert whole.response is not None
            return whole.response
        events = EventStream(request, route_headers(context))
        stream = StreamedReply(context, body, self._dropped, events)
        watching = self._events.watching(context.id, stream.note) if options.explain else nullcontext()
        try:
            with watching:
                async with events.kept_alive():
                    await self._service.answer(context, body.request, stream)
        except CallerGone:
            return events.hang_up()
        assert stream.response is not None
        return stream.response


class _Reply:
    """What both sinks share. `response` is there once the service has replied."""

    def __init__(self, context: RequestContext, body: ChatBody, dropped: Dropped) -> None:
        self.response: web.StreamResponse | None = None
        self._context = context
        self._body = body
        self._dropped = dropped

    def _dropped_at(self, seat: Seat) -> tuple[str, ...]:
        """Fields of the body that a seat does not receive: unknown ones, and parameters its wire cannot express."""
        return (*self._context.ignored, *sorted(self._dropped(seat, self._body.request)))


class WholeReply(_Reply):
    """The sink of an unstreamed request: one complete response."""

    async def deliver(self, delta: Delta, speaker: Speaker) -> bool:
        """Sends nothing: the decision has the whole answer."""
        return False

    async def reply(self, decision: Decision) -> int:
        """Builds the response: the answer, or the error object."""
        context, winner, attempts = self._context, decision.choice.winner, len(decision.votes)
        if winner is None:
            headers = route_headers(context, plan=decision.plan, attempts=attempts, dropped=context.ignored)
            self.response = error_response(from_decision(decision), context.id, headers)
            return self.response.status
        dropped = self._dropped_at(winner.seat)
        quorum = completion.quorum_object(context, decision, dropped)
        document = completion.completion(context, winner, quorum)
        model = completion.model_of(winner)
        self.response = web.Response(
            body=orjson.dumps(document),
            content_type="application/json",
            headers=route_headers(
                context,
                plan=decision.plan,
                attempts=attempts,
                provider=winner.seat.provider.id,
                model=model,
                dropped=dropped,
            ),
        )
        return 200


class StreamedReply(_Reply):
    """The sink of a streamed request. The stream starts with the first content; an error before it keeps its status."""

    def __init__(self, context: RequestContext, body: ChatBody, dropped: Dropped, stream: EventStream) -> None:
        super().__init__(context, body, dropped)
        self._stream = stream
        self._chunks = Chunks(context.id, int(context.created_at), include_reasoning=context.options.include_reasoning)
        self._speaker: Speaker | None = None

    async def deliver(self, delta: Delta, speaker: Speaker) -> bool:
        """Sends what the caller may see of a delta; True if anything. Raises `CallerGone` after a disconnect."""
        if speaker is not self._speaker:
            self._heard(speaker)
        data = self._chunks.delta(delta)
        if not data:
            return False
        await self._stream.write(data)
        return True

    async def reply(self, decision: Decision) -> int:
        """Ends the stream; an error becomes a whole response if nothing has been sent, else an event."""
        context, winner = self._context, decision.choice.winner
        if winner is None:
            return await self._fail(from_decision(decision), decision)
        assert winner.answer is not None
        quorum = completion.quorum_object(context, decision, self._dropped_at(winner.seat))
        usage = completion.usage(winner.usage) if self._body.include_usage else None
        self._heard(Speaker(winner.seat, len(decision.votes), winner.response_model))
        self.response = await self._stream.end(self._chunks.last(winner.answer.finish_reason, usage, quorum))
        return self.response.status

    def note(self, stage: Stage) -> None:
        """Sends a stage of the decision as soon as possible."""
        self._stream.note(self._chunks.note(to_document(stage)))

    async def _fail(self, error: ApiError, decision: Decision) -> int:
        if self._stream.response is None:
            headers = route_headers(
                self._context, plan=decision.plan, attempts=len(decision.votes), dropped=self._context.ignored
            )
            self.response = error_response(error, self._context.id, headers)
        else:  # OpenAI's SDKs raise at an `error` event; a `[DONE]` after it would mean success
            self.response = await self._stream.end(event(error.body(self._context.id)))
        return self.response.status

    def _heard(self, speaker: Speaker) -> None:
        """Records the answering seat: every chunk names its model, and the headers name both until they are sent."""
        self._speaker = speaker
        self._chunks.model = speaker.response_model or speaker.seat.model.id
        if self._stream.response is None:
            self._stream.headers = route_headers(
                self._context,
                attempts=speaker.seq,
                provider=speaker.seat.provider.id,
                model=self._chunks.model,
                dropped=self._dropped_at(speaker.seat),
            )
