"""Where an answer goes: what a door offers to whoever answers its request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from adapters.types import Delta
from router.core.decision import Decision
from router.core.registry import Seat


class CallerGone(Exception):
    """The caller left or no longer reads: there is nobody to answer."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Whose words a delta is: a seat's, in its request's attempt number `seq`.

    `response_model` is the model as its provider names it, None while it has not said.
    """

    seat: Seat
    seq: int
    response_model: str | None = None


Deliver = Callable[[Delta, Speaker], Awaitable[bool]]
"""Takes a delta on its way to the caller; True if the caller has seen anything of it."""


class Sink(Protocol):
    """A door's side of one request. All of it raises `CallerGone` when nobody is there to read."""

    async def deliver(self, delta: Delta, speaker: Speaker) -> bool:
        """Sends on what the caller may see of a delta; True if that was anything."""

    async def reply(self, decision: Decision) -> int:
        """Ends the answer, or tells why there is none; returns the HTTP status that the caller got."""
