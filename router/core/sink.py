"""The sink of a request: the interface through which an endpoint receives the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from adapters.types import Delta
from router.core.decision import Decision
from router.core.registry import Seat


class CallerGone(Exception):
    """The caller has disconnected or no longer reads."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """The source of a delta: a seat, in attempt number `seq` of the request.

    `response_model` is the model as its provider names it, None until the provider has named it.
    """

    seat: Seat
    seq: int
    response_model: str | None = None


Deliver = Callable[[Delta, Speaker], Awaitable[bool]]
"""Sends a delta towards the caller; True if the caller has seen any of it. Raises `CallerGone`."""


class Sink(Protocol):
    """An endpoint's side of one request; both methods raise `CallerGone`."""

    async def deliver(self, delta: Delta, speaker: Speaker) -> bool:
        """Sends what the caller may see of a delta; True if that was anything, since then failover is visible."""

    async def reply(self, decision: Decision) -> int:
        """Completes the answer or sends the error; returns the HTTP status of the response."""
