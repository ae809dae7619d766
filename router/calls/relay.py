"""The answer on its way to the caller: as one stream, though several seats may speak in it one after another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from adapters.types import ChatRequest, Delta
from router.attempts.exchange import Deliver
from router.calls.resume import continuation_request, may_continue
from router.calls.splice import Seam
from router.core.registry import Seat
from router.core.vote import Vote


class Outgoing:
    """Passes an answer on. With `goes_on` it remembers what was said, so that another seat can go on after a cut.

    `seams` tell where that was: after how many characters, and how many of the second text were left out.
    """

    def __init__(self, to: Deliver | None, request: ChatRequest, *, goes_on: bool) -> None:
        self._to = to
        self._request = request
        self._goes_on = goes_on and to is not None
        self._said: list[str] = []
        self._calls_seen = False
        self._seam: Seam | None = None
        self._cut_at = 0
        self.seams: list[Mapping[str, Any]] = []

    @property
    def deliver(self) -> Deliver | None:
        """Where a seat's deltas go; None if the caller wants no stream."""
        return self._remembering if self._goes_on else self._to

    @property
    def is_cut(self) -> bool:
        """Whether a stream broke, and somebody has to go on."""
        return self._cut_at > 0

    def request_for(self, seat: Seat) -> ChatRequest:
        """What this seat is asked: the request, or after a cut the rest of the answer."""
        if not self._cut_at:
            return self._request
        said, prefill = "".join(self._said), "prefill" in (seat.model.supports or ())
        self._seam = Seam(said, prefill=prefill)
        return continuation_request(self._request, said, prefill=prefill)

    def cut(self) -> bool:
        """Takes in that the stream broke; True if somebody may go on from there."""
        said = "".join(self._said)
        if not self._goes_on or not may_continue(self._request, said, tool_calls_seen=self._calls_seen):
            return False
        self._cut_at = len(said)
        return True

    async def end(self, vote: Vote) -> Vote | None:
        """The vote with the whole answer, once all has gone out; None if its seat began another answer."""
        if self._seam is None:
            return vote
        assert vote.answer is not None
        if rest := self._seam.close():
            await self._hand_on(Delta(text=rest), vote.seat, vote.response_model)
        if self._seam.strayed:
            return None
        seat = vote.seat
        seam = {"at": self._cut_at, "overlap": self._seam.overlap, "provider": seat.provider.id, "model": seat.model.id}
        self.seams.append(seam)
        return replace(vote, answer=replace(vote.answer, text="".join(self._said)))

    async def _remembering(self, delta: Delta, seat: Seat, response_model: str | None) -> bool:
        self._calls_seen = self._calls_seen or delta.tool_call is not None
        if self._seam is not None and delta.text:
            delta = replace(delta, text=self._seam.feed(delta.text))
        return await self._hand_on(delta, seat, response_model)

    async def _hand_on(self, delta: Delta, seat: Seat, response_model: str | None) -> bool:
        assert self._to is not None
        self._said.append(delta.text)
        return await self._to(delta, seat, response_model)
