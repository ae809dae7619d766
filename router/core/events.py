"""What happens in a daemon, as typed events; the hub of `observe.events` brings each to whoever subscribed to its type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from router.core.block import Block, State

HoldKind = Literal["wait", "stop", "drain", "new", "leak"]


@dataclass(frozen=True, slots=True)
class StateChange:
    """A seat's or provider's state has become another; `loud` when a human should know at once.

    `subject` is `provider` or `provider/model`, `until` Unix time in seconds; `by` tells whose word it is.
    """

    subject: str
    state: State
    reason: str
    until: float | None = None
    loud: bool = False
    by: Literal["hold", "breaker"] = "hold"


@dataclass(frozen=True, slots=True)
class HoldChanged:
    """This replica has learned that something holds for a subject, or with a `block` of None that it is over."""

    kind: HoldKind
    subject: str
    block: Block | None


@dataclass(frozen=True, slots=True)
class StoreChanged:
    """A store has gone or come back; `why` says why it is away."""

    store: Literal["postgres", "redis"]
    up: bool
    why: str = ""
