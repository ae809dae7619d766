"""One HTTP exchange with a provider: a request and its answer, whole or streamed, under a moving time-out."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from adapters import Adapter
from adapters.codec.collect import StreamCollector
from adapters.codec.headers import request_id
from adapters.codec.sse import SseParser
from adapters.errors import ErrorKind, ProviderError
from adapters.types import NO_USAGE, Answer, ChatRequest, Delta, LimitsSeen, ToolCallDelta
from router.attempts.deadline import Deadline
from router.core.clock import Clock
from router.core.sink import CallerGone, Deliver, Speaker
from router.upstream.transport import NotSent, Response, Transport


class Exchange:
    """An exchange in progress. Its public fields record the progress for the vote, however the exchange ends.

    With `deliver` the caller receives the answer as a stream; with `stream` the provider is asked for a stream too.
    `sent` is True once the request may have reached the provider, `leaked` if reasoning came as text, `committed` once
    the caller has seen part of the answer. `on_life` is called at the first token.
    """

    def __init__(
        self,
        speaker: Speaker,
        adapter: Adapter,
        limit: Deadline,
        clock: Clock,
        deliver: Deliver | None,
        *,
        stream: bool,
    ) -> None:
        self._seat = speaker.seat
        self._speaker = speaker
        self.response_model = speaker.response_model  # as the provider names it; None while it has not said
        self._adapter = adapter
        self._limit = limit
        self._clock = clock
        self._deliver = deliver
        self._stream = stream
        self.began = clock.monotonic()
        self.sent = False
        self.leaked = False
        self.committed = False
        self.status: int | None = None
        self.connect_ms: float | None = None
        self.first_token_ms: float | None = None
        self.provider_request_id: str | None = None
        self.usage = NO_USAGE
        self.limits_seen: LimitsSeen = ()
        self.received_chars = 0
        self.on_life: Callable[[], None] = _nothing
        self._finished: StreamCollector | None = None  # set once the stream's finish reason has arrived

    @property
    def gave_up(self) -> bool:
        """Whether it ended before its time-out, because the seat is silent for older attempts too."""
        return self._limit.gave_up

    async def run(self, transport: Transport, request: ChatRequest) -> Answer:
        """The provider's answer.

        Raises `ProviderError` for any failure of the provider, `CallerGone` if `deliver` raises it or the caller stops
        reading.
        """
        response: Response | None = None
        try:
            async with self._limit:
                response = await self._send(transport, request)
                self.status, self.connect_ms = response.status, response.connect_ms
                self.provider_request_id = request_id(response.headers) or None
                self.limits_seen = self._adapter.parse_limits(response.headers)
                if self._stream and self._deliver is not None and _is_stream(response):
                    return await self._streamed(response, self._deliver)
                return await self._whole(response)
        except NotSent:
            self.sent = False
            raise
        except TimeoutError:
            if self._finished is not None:  # the answer is complete, only the end of the stream is missing
                return self._finished.answer()
            raise self._limit.error(self.status) or CallerGone() from None
        finally:
            if response is not None:
                response.close()

    async def _send(self, transport: Transport, request: ChatRequest) -> Response:
        """Sends the request; a method of its own, so that its bytes are not kept in memory while the answer arrives."""
        seat = self._seat
        http = self._adapter.build_request(seat.target, request, stream=self._stream)
        self.sent = True
        return await transport.send(http, provider=seat.provider.id, connect_s=seat.timeouts.connect_s)

    async def _whole(self, response: Response) -> Answer:
        self._limit.until_next_piece()
        pieces = []
        while piece := await response.piece():
            pieces.append(piece)
            self._limit.until_next_piece()
        body = b"".join(pieces)
        if 300 <= response.status < 400:
            words = "answered with a redirect, which is not followed"
            raise ProviderError(ErrorKind.BAD_RESPONSE, words, status=response.status)
        if response.status >= 400:
            raise self._adapter.parse_error(response.status, response.headers, body)
        answer = self._adapter.parse_response(response.status, response.headers, body)
        self.usage = answer.usage
        if answer.response_model:
            self._name(answer.response_model)
        self.received_chars = len(answer.text) + len(answer.reasoning)
        if self._deliver is not None:
            for delta in as_deltas(answer):
                await self._hand_on(delta, self._deliver)
        return answer

    async def _streamed(self, response: Response, deliver: Deliver) -> Answer:
        collector = StreamCollector(starts_open=self._seat.model.thinks_first)
        parser = SseParser()
        ended = False
        while not ended:
            piece = await response.piece()
            events = parser.feed(piece) if piece else parser.close()
            for event in events:
                for delta in self._adapter.parse_event(event):
                    ended = ended or delta.done
                    if delta.finish_reason is not None:
                        self._finished = collector
                    self._note(delta)
                    await self._hand_on(collector.add(delta), deliver)
            if not piece:
                break
            if self._finished is not None:
                self._limit.until_last_words()
            elif self.first_token_ms is None:
                self._limit.until_first_token()  # a comment or a role is not a first token
            elif events:
                self._limit.until_next_piece()
        self.leaked = collector.leaked
        if ended:
            await response.finish()
        await self._hand_on(collector.close(), deliver)
        return collector.answer()

    def _note(self, delta: Delta) -> None:
        if delta.usage is not None:
            self.usage = self.usage.updated_by(delta.usage)
        # Most providers name the model in every chunk, and it hardly ever changes.
        if delta.response_model and delta.response_model != self.response_model:
            self._name(delta.response_model)
        if self.first_token_ms is None and (delta.commits or delta.reasoning):
            self.first_token_ms = (self._clock.monotonic() - self.began) * 1000
            self.on_life()
        self.received_chars += len(delta.text) + len(delta.reasoning)

    def _name(self, response_model: str) -> None:
        """Takes in what the provider calls the model that answers."""
        self.response_model = response_model
        self._speaker = Speaker(self._seat, self._speaker.seq, response_model)

    async def _hand_on(self, delta: Delta, deliver: Deliver) -> None:
        self._limit.until_caller_has_read()
        seen = await deliver(delta, self._speaker)
        self.committed = self.committed or seen


def _nothing() -> None:
    pass


def _is_stream(response: Response) -> bool:
    """False for a plain JSON body: a provider may answer so with an error, or if it cannot stream this request."""
    kind = response.headers.get("content-type", "")
    return response.status < 300 and ("json" not in kind or "ndjson" in kind)


def as_deltas(answer: Answer) -> Iterator[Delta]:
    """A whole answer as the deltas of a stream."""
    yield Delta(reasoning=answer.reasoning)
    yield Delta(text=answer.text, refusal=answer.refusal)
    for index, call in enumerate(answer.tool_calls):
        yield Delta(tool_call=ToolCallDelta(index, call.id, call.name, call.arguments, call.signature))
    yield Delta(reasoning_details=answer.reasoning_details)
