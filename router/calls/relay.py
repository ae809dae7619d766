"""Relays an answer to the caller as one stream, even if several seats wrote parts of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adapters.types import ChatRequest, Delta
from router.calls.resume import continuation_request, may_continue
from router.calls.splice import Splice
from router.core.registry import Seat
from router.core.sink import Deliver, Speaker
from router.core.vote import Vote


class Relay:
    """Passes deltas on; with `goes_on` it keeps the text sent, so that another seat can continue after a cut.

    `seams` has one entry per continuation: `at`, the characters sent before it; `overlap`, the repeated characters that
    were removed; `provider` and `model` of the seat that continued.
    """

    def __init__(self, to: Deliver | None, request: ChatRequest, *, goes_on: bool) -> None:
        self._to = to
        self._request = request
        self._goes_on = goes_on and to is not None
        self._said: list[str] = []
        self._calls_seen = False
        self._splice: Splice | None = None
        self._cut_at = 0
        self.seams: list[Mapping[str, Any]] = []

    @property
    def deliver(self) -> Deliver | None:
        """Receives a seat's deltas; None if the caller wants no stream."""
        return self._remembering if self._goes_on else self._to

    @property
    def is_cut(self) -> bool:
        """Whether the stream broke and is being continued."""
        return self._cut_at > 0

    def request_for(self, seat: Seat) -> ChatRequest:
        """The request for this seat: the caller's, or after a cut one for the rest of the answer."""
        if not self._cut_at:
            return self._request
        said, prefill = "".join(self._said), "prefill" in (seat.model.supports or ())
        self._splice = Splice(said, prefill=prefill)
        return continuation_request(self._request, said, prefill=prefill)

    def cut(self) -> bool:
        """Records that the stream broke; True if another seat may continue it."""
        said = "".join(self._said)
        if not self._goes_on or not may_continue(self._request, said, tool_calls_seen=self._calls_seen):
            return False
        self._cut_at = len(said)
        return True

    async def end(self, vote: Vote) -> Vote | None:
        """Sends what is still held back; returns the vote with the whole answer, None if its seat began a new one."""
        if self._splice is None:
            return vote
        assert vote.answer is not None
        if rest := self._splice.close():
            await self._hand_on(Delta(text=rest), Speaker(vote.seat, vote.seq, vote.response_model))
        if self._splice.strayed:
            return None
        provider, model = vote.seat.provider.id, vote.seat.model.id
        seam = {"at": self._cut_at, "overlap": self._splice.overlap, "provider": provider, "model": model}
        self.seams.append(seam)
        return replace(vote, answer=replace(vote.answer, text="".join(self._said)))

    async def _remembering(self, delta: Delta, speaker: Speaker) -> bool:
        self._calls_seen = self._calls_seen or delta.tool_call is not None
        if self._splice is not None and delta.text:
            delta = replace(delta, text=self._splice.feed(delta.text))
        return await self._hand_on(delta, speaker)

    async def _hand_on(self, delta: Delta, speaker: Speaker) -> bool:
        assert self._to is not None
        self._said.append(delta.text)
        return await self._to(delta, speaker)
