"""A block: why a seat cannot be asked now, as a state, a sentence for people and the moment it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from adapters.errors import ErrorKind

State = Literal[
    "clear",
    "leaking",
    "limited",
    "quota-spent",
    "failing",
    "down",
    "model-gone",
    "billing",
    "bad-key",
    "no-key",
    "drained",
    "new",
    "disabled",
]
"""How a seat stands; `quorum weather` shows these words, metrics and the vote log carry them."""


STATE_OF: Mapping[ErrorKind, State] = {
    ErrorKind.RATE_LIMITED: "limited",
    ErrorKind.QUOTA_EXHAUSTED: "quota-spent",
    ErrorKind.SERVER_ERROR: "failing",
    ErrorKind.OVERLOADED: "failing",
    ErrorKind.BILLING: "billing",
    ErrorKind.AUTH: "bad-key",
    ErrorKind.MODEL_GONE: "model-gone",
}


@dataclass(frozen=True, slots=True)
class Block:
    """Why a seat cannot be asked now. `until` is Unix time in seconds; None means until a person acts."""

    state: State
    reason: str
    until: float | None = None

    @property
    def kind(self) -> ErrorKind:
        """The kind of failure that a request to the seat would most likely end in."""
        return next((kind for kind, state in STATE_OF.items() if state == self.state), ErrorKind.OVERLOADED)


LEAKING = Block("leaking", "reasoning leaked into streamed text: only whole answers are requested")
"""Not a block in the strict sense: the seat is asked, but never for a stream."""
