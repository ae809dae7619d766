"""Builds the frozen `Registry` of a checked document: defaults filled in, tiers as ordered seats, options parsed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any

import orjson

from adapters.types import Quirks, Target
from router.core.duration import parse_duration
from router.core.registry import (
    Breaker,
    Health,
    Limit,
    Model,
    Price,
    Provider,
    Registry,
    Seat,
    Tier,
    Timeouts,
)
from router.core.strategy_options import Escalation, Hedge, Strategy, StrategyOptions
from router.registry.accounts import Account
from router.registry.document import (
    Behaviour,
    Document,
    FusionOptionsEntry,
    HedgeEntry,
    LimitEntry,
    ModelEntry,
    ProviderEntry,
    QuirksEntry,
    StrategyOptionsEntry,
    VoteOptionsEntry,
    WalkOptionsEntry,
)
from router.strategies.table import DEFAULT_ESCALATION, STRATEGIES

DEFAULT_RANK = 100
_CAPABILITY_PARAMS = {"seed": ("seed",), "logprobs": ("logprobs", "top_logprobs")}


def build(document: Document, written: Mapping[str, Any], accounts: Mapping[str, Account], source: str) -> Registry:
    """The registry of a document without findings.

    `written` is the plain data of the file, kept for the log; `accounts` has one entry per provider.
    """
    providers = {
        name: _provider(name, entry, document.defaults, accounts[name]) for name, entry in document.providers.items()
    }
    quirks = {name: _quirks(entry.quirks) for name, entry in document.providers.items()}
    tiers = {name: _tier(name, document, providers, quirks) for name in document.tiers}
    seats: dict[str, Seat] = {}
    for tier in tiers.values():
        for seat in tier.seats:
            seats.setdefault(seat.id, seat)
    return Registry(
        hash=content_hash(written),
        source=source,
        document=written,
        default_strategy=document.defaults.strategy,
        default_tier=document.defaults.tier or next(iter(tiers)),
        tiers=MappingProxyType(tiers),
        providers=MappingProxyType(providers),
        strategies=MappingProxyType(
            {name: _strategy(name, entry, document) for name, entry in document.strategies.by_name()}
        ),
        seats=MappingProxyType(seats),
    )


def content_hash(written: Mapping[str, Any]) -> str:
    """SHA-256 in hex of a registry's data as canonical JSON (sorted keys, no spaces): anyone can recompute it."""
    return hashlib.sha256(orjson.dumps(written, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _provider(name: str, entry: ProviderEntry, defaults: Behaviour, account: Account) -> Provider:
    said = {field: value for field in _PLAIN if (value := _first(field, entry, defaults)) is not None}
    return Provider(
        id=name,
        adapter=entry.adapter,
        base_url=account.base_url,
        api_key=account.api_key,
        missing_env=account.missing,
        enabled=entry.enabled,
        region=entry.region,
        trains_on_data=entry.trains_on_data,
        limits=tuple(_limit(limit, "account") for limit in entry.limits if limit.scope != "model"),
        timeouts=MappingProxyType(defaults.timeouts.written() | entry.timeouts.written()),
        breaker=Breaker(**(defaults.breaker.written() | entry.breaker.written())),
        health=Health(**(defaults.health.written() | entry.health.written())),
        max_inflight=entry.max_inflight,
        models=MappingProxyType({id_: _model(id_, model, entry) for id_, model in entry.models.items()}),
        **{_PLAIN[field]: value for field, value in said.items()},
    )


# Fields of Behaviour that are plain values, and what `Provider` calls them.
_PLAIN: Mapping[str, str] = MappingProxyType(
    {"retries": "retries", "retry_after_max": "retry_after_max_s", "on_store_down": "on_store_down"}
)


def _first(field: str, entry: Behaviour, defaults: Behaviour) -> Any:
    value = getattr(entry, field)
    return getattr(defaults, field) if value is None else value


def _model(id_: str, entry: ModelEntry, provider: ProviderEntry) -> Model:
    return Model(
        id=id_,
        tiers=MappingProxyType({tier: _rank(rank, entry) for tier, rank in entry.tier.items()}),
        family=entry.family or id_,
        context=entry.context,
        max_output_tokens=entry.max_output,
        price=Price(**entry.price.written()) if entry.price else None,
        supports=None if entry.supports is None else frozenset(entry.supports),
        weight=entry.weight,
        limits=_model_limits(entry, provider),
        thinks_first=entry.thinks_first,
        replaced_by=entry.replaced_by,
        enabled=entry.enabled,
    )


def _rank(rank: int | None, entry: ModelEntry) -> int:
    return next(place for place in (rank, entry.rank, DEFAULT_RANK) if place is not None)


def _model_limits(entry: ModelEntry, provider: ProviderEntry) -> tuple[Limit, ...]:
    """A model's own limits, and those the provider has for each model, unless the model says otherwise."""
    shared = {(limit.unit, limit.per): limit for limit in provider.limits if limit.scope == "model"}
    own = {(limit.unit, limit.per): limit for limit in entry.limits}
    return tuple(_limit(limit, "model") for limit in (shared | own).values())


def _limit(entry: LimitEntry, scope: Any) -> Limit:
    unit: Any = entry.unit
    return Limit(amount=float(getattr(entry, unit)), unit=unit, per=entry.per, resets=entry.resets, scope=scope)


def _quirks(entry: QuirksEntry) -> Quirks:
    return Quirks(
        rename=MappingProxyType(entry.rename),
        drop=frozenset(entry.drop),
        set=MappingProxyType(entry.set),
        path=entry.path,
        auth_header=entry.auth_header,
    )


def _tier(name: str, document: Document, providers: Mapping[str, Provider], quirks: Mapping[str, Quirks]) -> Tier:
    said = document.tiers[name].written()
    council_size = said.pop("council_size", document.tiers[name].council_size)
    timeouts = Timeouts(**said)
    seats = [
        _seat(provider, model, name, timeouts, quirks[provider.id])
        for provider in providers.values()
        for model in provider.models.values()
        if name in model.tiers
    ]
    return Tier(name, council_size, timeouts, tuple(sorted(seats, key=lambda seat: seat.rank)))


def _seat(provider: Provider, model: Model, tier: str, timeouts: Timeouts, quirks: Quirks) -> Seat:
    target = Target(
        provider=provider.id,
        model=model.id,
        adapter=provider.adapter,
        base_url=provider.base_url,
        api_key=provider.api_key,
        supports=model.supports or frozenset(),
        max_output_tokens=model.max_output_tokens,
        quirks=replace(quirks, drop=quirks.drop | _not_supported(model)),
    )
    return Seat(
        id=f"{provider.id}/{model.id}",
        provider=provider,
        model=model,
        target=target,
        tier=tier,
        rank=model.tiers[tier],
        timeouts=replace(timeouts, **provider.timeouts),
    )


def _not_supported(model: Model) -> frozenset[str]:
    """Parameters that a model is not sent, since they are not among what the registry says it supports."""
    if model.supports is None:
        return frozenset()
    return frozenset(
        param for word, params in _CAPABILITY_PARAMS.items() if word not in model.supports for param in params
    )


# --- options of strategies -------------------------------------------------------------------------------------------


def _strategy(name: Strategy, entry: StrategyOptionsEntry, document: Document) -> StrategyOptions:
    """The entry as the type that the table names for its strategy; fields of the same name are taken over."""
    kind = STRATEGIES[name].options
    said: dict[str, Any] = {field.name: getattr(entry, field.name, None) for field in fields(kind)}
    if isinstance(entry, WalkOptionsEntry) and entry.hedge is not None:
        said["hedge"] = _hedge(entry.hedge)
    if isinstance(entry, VoteOptionsEntry) and entry.escalate is not None:
        said["escalate"] = _escalation(entry.escalate, entry.escalate_below or 0.0, document)
    if isinstance(entry, FusionOptionsEntry):
        said["prompts"] = MappingProxyType(entry.prompts)
    return kind(**said)


def _hedge(entry: HedgeEntry) -> Hedge:
    """`3x p95`, or a duration; and a share in per cent."""
    share = float(entry.budget.removesuffix("%")) / 100
    times, is_multiple, _ = entry.after.partition("x p95")
    return Hedge(share, times=float(times)) if is_multiple else Hedge(share, after_s=parse_duration(entry.after))


def _escalation(onward: str, below: float, document: Document) -> Escalation:
    """`tier/strategy` or one of the two."""
    parts = onward.split("/")
    strategy = next((strategy for strategy in STRATEGIES if strategy in parts), DEFAULT_ESCALATION)
    return Escalation(strategy, next((part for part in parts if part in document.tiers), None), below)
