"""One request to one provider and its answer, whole or streamed, under a limit that moves as the answer comes in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager

from adapters.collect import StreamCollector
from adapters.errors import ErrorKind, ProviderError
from adapters.headers import request_id
from adapters.sse import SseParser
from adapters.types import NO_USAGE, Adapter, Answer, ChatRequest, Delta, Event, LimitsSeen, ToolCallDelta
from router.clock import Clock
from router.registry.model import Seat, Timeouts
from router.transport import NotSent, Response, Transport

# What to show the caller, whose it is, and the model as its provider names it (None while it has not said);
# returns True when the caller has seen something of it.
Deliver = Callable[[Delta, Seat, str | None], Awaitable[bool]]


_LAST_WORDS_S = 1.0


class CallerGone(Exception):
    """The caller left or no longer reads: there is nobody to answer."""


class Exchange:
    """An exchange under way. Its public fields say how far it got, so that however it ends a vote can tell.

    With `deliver` the caller gets the answer piece by piece, with `stream` the provider is asked for pieces too.
    `committed` is True once the caller has seen a part of the answer. `on_life` is called at the first token.
    """

    def __init__(
        self, seat: Seat, adapter: Adapter, timer: Timer, clock: Clock, deliver: Deliver | None, *, stream: bool
    ) -> None:
        self._seat = seat
        self._adapter = adapter
        self._timer = timer
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
        self.response_model: str | None = None
        self.usage = NO_USAGE
        self.limits_seen: LimitsSeen = ()
        self.received_chars = 0
        self.on_life: Callable[[], None] = _nothing
        self._finished: StreamCollector | None = None  # the stream's, once its finish reason has come

    async def run(self, transport: Transport, request: ChatRequest) -> Answer:
        """The provider's answer; raises `ProviderError` for whatever else it does, `CallerGone` from `deliver`."""
        http = self._adapter.build_request(self._seat.target, request, stream=self._stream)
        response: Response | None = None
        try:
            async with self._timer.running():
                self.sent = True
                response = await transport.send(
                    http, provider=self._seat.provider.id, connect_s=self._seat.timeouts.connect_s
                )
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
            if self._finished is not None:  # whole, although its provider neither says so nor hangs up
                return self._finished.answer()
            raise self._timer.error(self.status) from None
        finally:
            if response is not None:
                response.close()

    async def _whole(self, response: Response) -> Answer:
        self._timer.until_next_piece()
        pieces = []
        async with aclosing(response.pieces()) as arriving:
            async for piece in arriving:
                pieces.append(piece)
                self._timer.until_next_piece()
        body = b"".join(pieces)
        if 300 <= response.status < 400:
            words = "answered with a redirect, which is not followed"
            raise ProviderError(ErrorKind.BAD_RESPONSE, words, status=response.status)
        if response.status >= 400:
            raise self._adapter.parse_error(response.status, response.headers, body)
        answer = self._adapter.parse_response(response.status, response.headers, body)
        self.usage, self.response_model = answer.usage, answer.response_model or None
        self.received_chars = len(answer.text) + len(answer.reasoning)
        if self._deliver is not None:
            for delta in as_deltas(answer):
                await self._hand_on(delta, self._deliver)
        return answer

    async def _streamed(self, response: Response, deliver: Deliver) -> Answer:
        collector = StreamCollector(starts_open=self._seat.model.thinks_first)
        ended = False
        async with aclosing(_events(response)) as arriving:
            async for events in arriving:
                for event in events:
                    for delta in self._adapter.parse_event(event):
                        ended = ended or delta.done
                        if delta.finish_reason is not None:
                            self._finished = collector
                        self._note(delta)
                        await self._hand_on(collector.add(delta), deliver)
                if ended:
                    break
                if self._finished is not None:
                    self._timer.until_last_words()
                elif self.first_token_ms is None:
                    self._timer.until_first_token()  # a comment or a role is not yet a sign of life
                elif events:
                    self._timer.until_next_piece()
        self.leaked = collector.leaked
        if ended:
            await response.finish()
        await self._hand_on(collector.close(), deliver)
        return collector.answer()

    def _note(self, delta: Delta) -> None:
        if delta.usage is not None:
            self.usage = self.usage.updated_by(delta.usage)
        if delta.response_model:
            self.response_model = delta.response_model
        if self.first_token_ms is None and (delta.commits or delta.reasoning):
            self.first_token_ms = (self._clock.monotonic() - self.began) * 1000
            self.on_life()
        self.received_chars += len(delta.text) + len(delta.reasoning)

    async def _hand_on(self, delta: Delta, deliver: Deliver) -> None:
        self._timer.until_caller_has_read()
        seen = await deliver(delta, self._seat, self.response_model)
        self.committed = self.committed or seen


class Timer:
    """The one running limit of an exchange; it ends at `deadline` (monotonic) at the latest.

    `silence_s` bounds the wait for the first byte when others could still answer in this seat's place. Moving the limit
    is for every piece of a stream, so it only notes the new moment: the alarm looks at it when it goes off.
    """

    def __init__(
        self, timeouts: Timeouts, *, began: float, deadline: float, silence_s: float | None, stream: bool
    ) -> None:
        self._idle_s = timeouts.idle_s
        self._end = min(began + timeouts.total_s, deadline)
        # A whole answer shows nothing before it is done, so only a streamed one can be late with its first token.
        waits = [wait for wait in (silence_s, timeouts.first_token_s if stream else None) if wait is not None]
        self._first_at = began + min(waits) if waits else self._end
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = float("inf")
        self._at = self._end
        self._kind = ErrorKind.TIMEOUT

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Limits what is inside it, beginning with the wait for the first byte; raises `TimeoutError`."""
        async with self._timeout:
            self.until_first_token()
            try:
                yield
            finally:
                if self._alarm is not None:
                    self._alarm.cancel()

    def until_first_token(self) -> None:
        """Nothing of the answer has come yet."""
        self._move(self._first_at, ErrorKind.FIRST_TOKEN_TIMEOUT)

    def until_next_piece(self) -> None:
        """The answer is coming in; it may pause, but not for long."""
        self._move(self._loop.time() + self._idle_s, ErrorKind.STALLED)

    def until_last_words(self) -> None:
        """The answer is finished; its usage may follow, and at once."""
        self._move(self._loop.time() + min(_LAST_WORDS_S, self._idle_s), ErrorKind.STALLED)

    def until_caller_has_read(self) -> None:
        """The provider has done its part: until the caller has taken it, only the end counts, and is not its fault."""
        self._at, self._kind = self._end, ErrorKind.CANCELLED

    def error(self, status: int | None) -> ProviderError | CallerGone:
        """What it means that the limit was reached now."""
        if self._kind is ErrorKind.CANCELLED:
            return CallerGone()
        return ProviderError(self._kind, _TIMEOUT_WORDS[self._kind], status=status)

    def _move(self, at: float, kind: ErrorKind) -> None:
        self._at, self._kind = (at, kind) if at < self._end else (self._end, ErrorKind.TIMEOUT)
        if self._at < self._alarm_at:
            self._set_alarm()

    def _set_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = self._at
        self._alarm = self._loop.call_at(self._at, self._look)

    def _look(self) -> None:
        if self._loop.time() < self._at:
            self._set_alarm()
        else:
            self._timeout.reschedule(self._at)  # which has come, so the exchange is cancelled at once


_TIMEOUT_WORDS = {
    ErrorKind.FIRST_TOKEN_TIMEOUT: "nothing came in time",
    ErrorKind.STALLED: "the answer stalled",
    ErrorKind.TIMEOUT: "the time for this attempt ran out",
}


def _nothing() -> None:
    pass


def _is_stream(response: Response) -> bool:
    """A provider may answer a stream request with a plain JSON body: an error, or because it cannot stream this."""
    kind = response.headers.get("content-type", "")
    return response.status < 300 and ("json" not in kind or "ndjson" in kind)


async def _events(response: Response) -> AsyncGenerator[list[Event], None]:
    parser = SseParser()
    async with aclosing(response.pieces()) as arriving:
        async for piece in arriving:
            yield parser.feed(piece)
    yield parser.close()


def as_deltas(answer: Answer) -> Iterator[Delta]:
    """A whole answer as the pieces of a stream."""
    yield Delta(reasoning=answer.reasoning)
    yield Delta(text=answer.text, refusal=answer.refusal)
    for index, call in enumerate(answer.tool_calls):
        yield Delta(tool_call=ToolCallDelta(index, call.id, call.name, call.arguments, call.signature))
    yield Delta(reasoning_details=answer.reasoning_details)
