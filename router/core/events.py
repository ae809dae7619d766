"""What happens in a daemon, as typed events; the hub of `observe.events` brings each to its subscribers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from healthcheck.verdicts import Verdict
from router.core.block import Block, State
from router.core.registry import Registry

Publish = Callable[[object], None]
"""Tells an event to its subscribers, in the call itself; never raises, never waits."""

HoldKind = Literal["wait", "stop", "drain", "new", "leak"]
"""Why a seat is held back: see `guards.holds`."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """The state of a seat or a provider has changed; `loud` asks for a warning that a person should see.

    `subject` is `provider` or `provider/model`, `until` Unix time in seconds. `by` names the guard that changed its
    mind: `breaker` is this replica's own opinion, a `hold` may come from another replica.
    """

    subject: str
    state: State
    reason: str
    until: float | None = None
    loud: bool = False
    by: Literal["hold", "breaker"] = "hold"


@dataclass(frozen=True, slots=True)
class HoldChanged:
    """This replica has placed or extended a hold, or lifted it (`block` is None); other replicas must be told.

    Never about a hold that was learned from another replica, and never about a `new` seat, since each replica waits
    for the first probe by itself.
    """

    kind: HoldKind
    subject: str
    block: Block | None


@dataclass(frozen=True, slots=True)
class VerdictFound:
    """A probe of this replica has ended in a verdict; other replicas must be told."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class VerdictHeard:
    """Another replica's probe has ended in a verdict."""

    verdict: Verdict


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
