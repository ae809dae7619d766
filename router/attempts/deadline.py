"""Time-outs of one exchange, first token, idle and total, as a single limit that moves as the answer arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from adapters.errors import ErrorKind, ProviderError
from router.core.registry import Timeouts

_LAST_WORDS_S = 1.0  # for usage and the end of the stream, once the answer is complete
_LOOK_AGAIN_S = 0.1  # long enough for this process to read what arrived while it was busy


@dataclass(slots=True)
class Patience:
    """When the wait for a first token ends early, because another seat could answer.

    After `late_s` seconds, and every tenth of a second from then on, `in_vain` tells whether the seat is silent for
    older requests too, and `may_leave` whether the retry budget allows another call.
    """

    late_s: float
    in_vain: Callable[[], bool]
    may_leave: Callable[[], bool]
    _was_in_vain: bool = field(default=False, init=False)

    def is_over(self) -> bool:
        """True once two checks in a row found the wait in vain.

        One check is not enough: an answer may have arrived that this process was too busy to read.
        """
        was_in_vain, self._was_in_vain = self._was_in_vain, self.in_vain()
        return was_in_vain and self._was_in_vain and self.may_leave()


class Deadline:
    """The running time-out of an exchange, at `deadline` (monotonic seconds) at the latest.

    `silence_s` bounds the wait for the first byte while other seats could answer instead; `patience` may end that wait
    even earlier, and then `gave_up` is True. The limit moves with every piece of a stream. To keep that cheap, a move
    only stores the new time, and no timer is rescheduled: the alarm checks the stored time when it fires.
    """

    def __init__(
        self,
        timeouts: Timeouts,
        *,
        began: float,
        deadline: float,
        silence_s: float | None,
        stream: bool,
        patience: Patience | None = None,
    ) -> None:
        self._idle_s = timeouts.idle_s
        self._end = min(began + timeouts.total_s, deadline)
        # An unstreamed answer shows nothing before it is complete, so only a stream has a first-token limit.
        waits = [wait for wait in (silence_s, timeouts.first_token_s if stream else None) if wait is not None]
        self._first_at = began + min(waits) if waits else self._end
        self._patience = patience
        self._look_at = float("inf") if patience is None else began + patience.late_s
        self._loop = asyncio.get_running_loop()
        self._timeout = asyncio.timeout(None)
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = float("inf")
        self._at = self._end
        self._kind = ErrorKind.TIMEOUT
        self._unheard = False
        self.gave_up = False

    async def __aenter__(self) -> None:
        """Starts with the wait for the first byte; the block raises `TimeoutError` when a limit is reached."""
        await self._timeout.__aenter__()
        self.until_first_token()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def until_first_token(self) -> None:
        """Nothing of the answer has arrived: the first-token limit applies."""
        if self._look_at < self._alarm_at:
            self._set_alarm(self._look_at)
        self._move(self._first_at, ErrorKind.FIRST_TOKEN_TIMEOUT)
        self._unheard = True

    def until_next_piece(self) -> None:
        """The answer is arriving: the idle limit applies from now."""
        self._move(self._loop.time() + self._idle_s, ErrorKind.STALLED)

    def until_last_words(self) -> None:
        """The answer is complete: usage and the end of the stream have to follow within a second."""
        self._move(self._loop.time() + min(_LAST_WORDS_S, self._idle_s), ErrorKind.STALLED)

    def until_caller_has_read(self) -> None:
        """The caller has to read a delta: only the end of the exchange applies, and is not the provider's fault."""
        self._at, self._kind, self._unheard = self._end, ErrorKind.CANCELLED, False
        if self.gave_up:  # the answer arrived just before the exchange was cancelled: take the decision back
            self.gave_up = False
            self._timeout.reschedule(None)
            self._set_alarm(self._end)

    def error(self, status: int | None) -> ProviderError | None:
        """The error for reaching the present limit; None if the caller did not read in time."""
        if self.gave_up:
            return ProviderError(ErrorKind.FIRST_TOKEN_TIMEOUT, _GAVE_UP_WORDS, status=status)
        if self._kind is ErrorKind.CANCELLED:
            return None
        return ProviderError(self._kind, _TIMEOUT_WORDS[self._kind], status=status)

    def _move(self, at: float, kind: ErrorKind) -> None:
        self._at, self._kind = (at, kind) if at < self._end else (self._end, ErrorKind.TIMEOUT)
        self._unheard = False
        if self._at < self._alarm_at:
            self._set_alarm(self._at)

    def _set_alarm(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = at
        self._alarm = self._loop.call_at(at, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        if now >= self._at:
            self._timeout.reschedule(self._at)  # in the past, so the exchange is cancelled at once
        elif self._patience is None or not self._unheard:
            self._set_alarm(self._at)
        elif self._patience.is_over():
            self.gave_up = True
            self._timeout.reschedule(now)
        else:
            self._look_at = now + _LOOK_AGAIN_S
            self._set_alarm(min(self._at, self._look_at))


_TIMEOUT_WORDS = {
    ErrorKind.FIRST_TOKEN_TIMEOUT: "no first token within the time limit",
    ErrorKind.STALLED: "the stream stalled: no data within the idle limit",
    ErrorKind.TIMEOUT: "no complete answer within the time limit",
}
_GAVE_UP_WORDS = "no first token, and requests that have waited longer at this seat got none either"
