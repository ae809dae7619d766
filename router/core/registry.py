"""The registry as the router uses it: frozen, fully resolved, safe to share between requests and reloads.

`registry.document` describes the file, this module its meaning: durations in seconds, keys as secrets, tiers as
ordered seats.
A reload builds a whole new `Registry`; a request keeps the one it began with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from adapters.types import NOTHING, Secret, Target
from router.core.strategy_options import Strategy, StrategyOptions

MAX_COUNCIL_SIZE = 8


@dataclass(frozen=True, slots=True)
class Limit:
    """So much of a unit per window; `resets` is `rolling` or a local time and its zone, `00:00 Europe/Berlin`."""

    amount: float
    unit: Literal["requests", "tokens", "neurons", "usd"]
    per: Literal["minute", "day", "month"]
    resets: str = "rolling"
    scope: Literal["account", "model"] = "account"


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens."""

    input: float = 0.0
    output: float = 0.0
    cached_input: float | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds an attempt may take: to connect, to the first token, between two pieces of a stream, in all."""

    connect_s: float = 5.0
    first_token_s: float = 10.0
    idle_s: float = 20.0
    total_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """When a seat counts as broken: `failures` in a row, or a `failure_rate` of at least the last `min_calls`."""

    failures: int = 5
    failure_rate: float = 0.5
    min_calls: int = 20
    open_s: float = 10.0
    max_open_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Health:
    """How a provider is probed: by a tiny generation, by listing models, or not at all."""

    mode: Literal["generate", "models", "passive"] = "generate"
    interval_s: float = 300.0
    probe_share: float = 0.05


@dataclass(frozen=True, slots=True)
class Model:
    """One model at one provider, as the registry describes it. `tiers` maps a tier's name to the rank in it.

    `supports` None means that the registry does not say: then the model is tried for anything.
    """

    id: str
    tiers: Mapping[str, int]
    family: str
    context: int | None = None
    max_output_tokens: int | None = None
    price: Price | None = None
    supports: frozenset[str] | None = None
    weight: float = 1.0
    limits: tuple[Limit, ...] = ()
    thinks_first: bool = False
    replaced_by: str | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Provider:
    """One account at a company, or a local server. `missing_env` names the variables its key still needs."""

    id: str
    adapter: str
    base_url: str
    api_key: Secret | None = None
    missing_env: tuple[str, ...] = ()
    enabled: bool = True
    region: str | None = None
    trains_on_data: bool | None = None
    limits: tuple[Limit, ...] = ()
    timeouts: Mapping[str, float] = field(default_factory=lambda: NOTHING)  # those fields of Timeouts it overrides
    retries: int = 1
    retry_after_max_s: float = 2.0
    breaker: Breaker = Breaker()
    health: Health = Health()
    on_store_down: Literal["local_share", "closed"] = "local_share"
    max_inflight: int | None = None
    models: Mapping[str, Model] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class Seat:
    """One model at one provider, placed in one tier; `id` is `provider/model`."""

    id: str
    provider: Provider
    model: Model
    target: Target
    tier: str
    rank: int
    timeouts: Timeouts

    @property
    def routable(self) -> bool:
        """False while a human has to do something first: it is switched off, or its key is not set."""
        return self.provider.enabled and self.model.enabled and not self.provider.missing_env


@dataclass(frozen=True, slots=True)
class Tier:
    """A named class of models and how long one may take; `seats` are ordered by rank, then as written."""

    name: str
    council_size: int
    timeouts: Timeouts
    seats: tuple[Seat, ...] = ()


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything that is routed to. `hash` is the SHA-256 of the document, in hex; `document` holds no secret."""

    hash: str
    source: str
    document: Mapping[str, Any]
    default_strategy: Strategy
    default_tier: str
    tiers: Mapping[str, Tier]
    providers: Mapping[str, Provider]
    strategies: Mapping[Strategy, StrategyOptions]  # all of them, each of the type that `strategies.table` names
    seats: Mapping[str, Seat]  # by `provider/model`, in the first tier that names it: for pinned requests
    warnings: tuple[str, ...] = ()

    @property
    def short_hash(self) -> str:
        """The eight characters that are shown to people."""
        return self.hash[:8]
