"""What happens in a daemon, as typed events; the hub of `observe.events` brings each to its subscribers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from router.core.block import Block, State
from router.core.registry import Registry

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


@dataclass(frozen=True, slots=True)
class RegistryLoaded:
    """Another registry is in force, at the start (`previous` None) or after a reload; `changes` are in words."""

    registry: Registry
    previous: Registry | None = None
    changes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RegistryReloaded:
    """The registry was read again: swapped, unchanged, or failed with `errors`; `registry` is the one in force now."""

    status: Literal["swapped", "unchanged", "failed"]
    registry: Registry
    changes: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SheddingChanged:
    """Load shedding has begun, for a `reason`, or is over after `lasted_s` seconds and so many `refused` requests."""

    reason: Literal["full", "lag", "memory"]
    refused: int
    lag_s: float
    memory_share: float
    lasted_s: float | None = None
