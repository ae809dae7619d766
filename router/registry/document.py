"""registry.yaml as it is written: the shape of the file, with the sentences that editors show for each field.

`core.registry` is what these entries mean once they are resolved; a `serialization_alias` is a field's name there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, create_model, model_validator

from router.core.registry import MAX_COUNCIL_SIZE
from router.core.strategy_options import (
    CouncilOptions,
    CouncilStyle,
    FreeText,
    FusionOptions,
    OnCut,
    OnNoQuorum,
    Strategy,
    StrategyOptions,
    VoteOptions,
    WalkOptions,
)
from router.registry.placeholders import check_key_reference, check_references
from router.registry.values import (
    Amount,
    Duration,
    Header,
    HedgeAfter,
    JsonPointer,
    ModelId,
    Percent,
    Positive,
    Ratio,
    Resets,
    ShortName,
    TierRanks,
    UrlPath,
    WholeNumber,
    Words,
)
from router.strategies.table import DEFAULT_STRATEGY, STRATEGIES, StrategyFacts

UNITS = ("requests", "tokens", "neurons", "usd")


class Entry(BaseModel):
    """One mapping of the file: exactly the keys named here, each of exactly its type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def written(self) -> dict[str, Any]:
        """Only what the file says, under the names of `core.registry`."""
        return self.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)


class LimitEntry(Entry):
    """So much of one unit per window: {requests: 30, per: minute}."""

    requests: WholeNumber | None = Field(default=None, description="Requests per window.")
    tokens: WholeNumber | None = Field(default=None, description="Input and output tokens per window.")
    neurons: WholeNumber | None = Field(default=None, description="Cloudflare's unit of compute per window.")
    usd: Annotated[float, Field(gt=0)] | None = Field(default=None, description="US dollars per window.")
    per: Literal["minute", "day", "month"] = Field(description="The window.")
    resets: Resets = Field(
        default="rolling", description="When a day or month starts anew: rolling, or HH:MM and a time zone."
    )
    scope: Literal["account", "model"] | None = Field(
        default=None,
        description="One counter for the account (default), or one for each model (always so below a model).",
    )

    @property
    def unit(self) -> str:
        """The one unit that is limited."""
        return next(unit for unit in UNITS if getattr(self, unit) is not None)

    @model_validator(mode="after")
    def _one_unit(self) -> LimitEntry:
        if sum(getattr(self, unit) is not None for unit in UNITS) != 1:
            raise ValueError(f"a limit counts exactly one of {', '.join(UNITS)}")
        if self.per == "minute" and self.resets != "rolling":
            raise ValueError("a limit per minute always rolls: remove 'resets'")
        return self


class PriceEntry(Entry):
    """US dollars per million tokens."""

    input: Amount = Field(description="Per million input tokens.")
    output: Amount = Field(description="Per million output tokens.")
    cached_input: Amount | None = Field(
        default=None, description="Per million input tokens read from the provider's cache."
    )


class TimeoutsEntry(Entry):
    """How long an attempt may take; what is left out comes from the tier."""

    connect: Positive | None = Field(default=None, serialization_alias="connect_s", description="Until connected.")
    first_token: Positive | None = Field(
        default=None, serialization_alias="first_token_s", description="Until the first token."
    )
    idle: Positive | None = Field(
        default=None, serialization_alias="idle_s", description="Between two pieces of a stream."
    )
    total: Positive | None = Field(default=None, serialization_alias="total_s", description="In all.")


class TierEntry(TimeoutsEntry):
    """A class of models, and how long an attempt at one may take."""

    council_size: int = Field(
        default=3, ge=1, le=MAX_COUNCIL_SIZE, description="Seats asked where the request names no number."
    )


class BreakerEntry(Entry):
    """When a model at a provider counts as broken, and for how long."""

    failures: int | None = Field(default=None, ge=1, description="Failures in a row that open it.")
    failure_rate: Ratio | None = Field(default=None, description="Or this share of the last calls of a minute.")
    min_calls: int | None = Field(default=None, ge=1, description="Calls within the minute before the share counts.")
    open: Positive | None = Field(
        default=None, serialization_alias="open_s", description="First pause; it doubles each time."
    )
    max_open: Positive | None = Field(default=None, serialization_alias="max_open_s", description="Longest pause.")


class HealthEntry(Entry):
    """How a provider is probed."""

    mode: Literal["generate", "models", "passive"] | None = Field(
        default=None, description="By a tiny generation, by listing models, or not at all (it then serves at once)."
    )
    interval: Positive | None = Field(
        default=None, serialization_alias="interval_s", description="Between two probes of a model."
    )
    probe_share: Ratio | None = Field(default=None, description="The most of a daily limit that probes may spend.")


class QuirksEntry(Entry):
    """How an OpenAI-compatible endpoint differs from OpenAI."""

    rename: dict[str, str] = Field(default={}, description="Parameters it knows by another name: {seed: random_seed}.")
    drop: Words = Field(default=(), description="Parameters it refuses, never sent.")
    set: dict[str, Any] = Field(default={}, description="Fields always sent, whatever the request says.")
    path: UrlPath | None = Field(default=None, description="Path below base_url, if it is not /chat/completions.")
    auth_header: Header | None = Field(
        default=None, description="Header that carries the bare key instead of a bearer token."
    )


class ModelEntry(Entry):
    """One model at one provider; its key is the id that the provider knows it by."""

    tier: TierRanks = Field(description="One tier, a list of tiers, or a map of tier to rank.")
    rank: int | None = Field(default=None, ge=0, description="Place within the tier, lower first (default 100).")
    family: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = Field(
        default=None, description="Who trained it: councils ask one model per family (default: the model's id)."
    )
    context: WholeNumber | None = Field(default=None, description="Context window in tokens.")
    max_output: WholeNumber | None = Field(default=None, description="The most output tokens it can produce.")
    price: PriceEntry | None = Field(
        default=None, description="US dollars per million tokens; leave out where unknown."
    )
    supports: Words | None = Field(default=None, description="Capabilities: tools, json, json_schema, vision, seed, …")
    weight: float = Field(default=1.0, gt=0, le=100, description="Weight of its vote.")
    limits: Annotated[tuple[LimitEntry, ...], Field(strict=False)] = Field(
        default=(), description="Limits of this model alone."
    )
    thinks_first: bool = Field(
        default=False,
        description="Its text begins inside a thought that only a closing tag ends, as some chat templates have it.",
    )
    replaced_by: str | None = Field(
        default=None, description="The model of the same provider to ask once this one is gone."
    )
    enabled: bool = Field(default=True, description="False takes it out of every tier.")


class Behaviour(Entry):
    """Settings of one provider, or of all of them under `defaults`."""

    timeouts: TimeoutsEntry = Field(default_factory=TimeoutsEntry, description="Overrides of the tier's times.")
    retries: int | None = Field(
        default=None, ge=0, le=5, description="Further tries of one seat after a transport fault or a 5xx."
    )
    retry_after_max: Duration | None = Field(
        default=None, serialization_alias="retry_after_max_s", description="Longest Retry-After that is waited for."
    )
    breaker: BreakerEntry = Field(default_factory=BreakerEntry, description="When a model counts as broken.")
    health: HealthEntry = Field(default_factory=HealthEntry, description="How models are probed.")
    on_store_down: Literal["local_share", "closed"] | None = Field(
        default=None, description="Without Redis: go on with a small local share of each limit, or stop asking."
    )


class Defaults(Behaviour):
    """Defaults for requests and providers that say nothing else."""

    strategy: Strategy = Field(default=DEFAULT_STRATEGY, description="For requests that name none.")
    tier: str | None = Field(
        default=None, description="For requests that name none (default: the first tier of the file)."
    )


class ProviderEntry(Behaviour):
    """One account at a company, or one local server."""

    adapter: str = Field(description="Its wire format; compatible for any OpenAI-compatible endpoint.")
    base_url: Annotated[str, AfterValidator(check_references)] | None = Field(
        default=None, description="Where its API begins (default: the adapter's public address). May contain ${VAR}."
    )
    api_key: Annotated[str, AfterValidator(check_key_reference)] | None = Field(
        default=None, description="${VAR}, ${VAR:-default} or ${file:/path}; never the key itself."
    )
    enabled: bool = Field(default=True, description="False takes the whole provider out.")
    region: ShortName | None = Field(
        default=None, description="Where prompts are processed, as residency rules name it: eu, us."
    )
    trains_on_data: bool | None = Field(
        default=None, description="Whether it may train on prompts; leave out where unknown."
    )
    limits: Annotated[tuple[LimitEntry, ...], Field(strict=False)] = Field(
        default=(), description="What the account may use."
    )
    max_inflight: int | None = Field(default=None, ge=1, description="Requests it may have open at once.")
    quirks: QuirksEntry = Field(default_factory=QuirksEntry, description="Differences from OpenAI's wire, as data.")
    models: dict[ModelId, ModelEntry] = Field(min_length=1, description="Its models, by the id it knows them by.")


class StrategyOptionsEntry(Entry):
    """Options of every strategy."""

    on_cut: OnCut = Field(
        default="error",
        description="When a stream breaks after text was sent: tell the caller, or let another seat go on.",
    )


class HedgeEntry(Entry):
    """A second attempt beside a first one that has been silent for too long."""

    after: HedgeAfter = Field(description="3x p95: after so many times what is usual for the seat; or a duration.")
    budget: Percent = Field(default="2%", description="For so many of the last minute's requests at most.")


class WalkOptionsEntry(StrategyOptionsEntry):
    """Options of the strategies that ask one seat after another."""

    hedge: HedgeEntry | None = Field(default=None, description="Off by default.")


class VoteOptionsEntry(StrategyOptionsEntry):
    """Options of majority-vote."""

    on_no_quorum: OnNoQuorum = Field(default="degrade", description="Answer with a flag, or refuse.")
    free_text: FreeText = Field(default="reject", description="Group equal answers by a cheap call, or 422.")
    ignore: Annotated[tuple[JsonPointer, ...], Field(strict=False)] = Field(
        default=(), description="What of JSON answers does not count, as JSON pointers: /id, /meta/at."
    )
    escalate: str | None = Field(
        default=None,
        description="Where a vote without quorum or majority goes on, as tier/strategy: complex/synthesize-best.",
    )
    escalate_below: float | None = Field(
        default=None, ge=0, le=1, description="Goes on too when less than this share of the weight agrees."
    )


class FusionOptionsEntry(StrategyOptionsEntry):
    """Options of synthesize-best."""

    chair: str | None = Field(
        default=None,
        description="Who writes the answer: a tier, or a provider/model (default: complex, if there is such a tier).",
    )
    prompts: dict[ShortName, str] = Field(
        default_factory=dict, description="Other wordings of what models are told, by key: see docs/council.md."
    )


class CouncilOptionsEntry(FusionOptionsEntry):
    """Options of council."""

    on_no_quorum: OnNoQuorum = Field(default="degrade", description="Answer with a flag, or refuse.")
    style: CouncilStyle = Field(
        default="quorum", description="How members rank: each the others', balanced; or all in one order, own included."
    )


ENTRIES: Mapping[type[StrategyOptions], type[StrategyOptionsEntry]] = MappingProxyType(
    {
        WalkOptions: WalkOptionsEntry,
        VoteOptions: VoteOptionsEntry,
        FusionOptions: FusionOptionsEntry,
        CouncilOptions: CouncilOptionsEntry,
    }
)
"""How the options of each type are written in the file."""


class StrategiesEntry(Entry):
    """Options per strategy."""

    def by_name(self) -> Iterator[tuple[Strategy, StrategyOptionsEntry]]:
        """Every strategy with what the file says of it."""
        yield from ((name, getattr(self, _field(name))) for name in STRATEGIES)


def _field(name: Strategy) -> str:
    return name.replace("-", "_")


def _entry_field(facts: StrategyFacts) -> Any:
    entry = ENTRIES[facts.options]
    return entry, Field(default_factory=entry, alias=facts.name)


if TYPE_CHECKING:
    Strategies = StrategiesEntry
else:  # one field per strategy of the table
    Strategies = create_model(
        "Strategies",
        __base__=StrategiesEntry,
        __doc__=StrategiesEntry.__doc__,
        **{_field(name): _entry_field(facts) for name, facts in STRATEGIES.items()},
    )


class Document(Entry):
    """Quorum's registry: which providers and models requests are routed to, and how."""

    version: Literal[1] = Field(description="The version of this format.")
    defaults: Defaults = Field(default_factory=Defaults, description="What holds where nothing else is said.")
    tiers: dict[ShortName, TierEntry] = Field(min_length=1, description="Classes of models that a request may name.")
    strategies: Strategies = Field(default_factory=Strategies, description="Options per strategy.")
    providers: dict[ShortName, ProviderEntry] = Field(
        min_length=1, description="Accounts and servers, by the name you give them."
    )
