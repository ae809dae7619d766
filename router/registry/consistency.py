"""The rules between the parts of a registry: every name referred to exists, and nothing contradicts itself.

Each rule is a generator over the document; all run, and all their findings are reported together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from adapters import NATIVE_ADAPTERS
from router.core.strategy_options import Strategy
from router.core.text import shown, suggestion
from router.registry.document import (
    Document,
    FusionOptionsEntry,
    LimitEntry,
    ModelEntry,
    ProviderEntry,
    VoteOptionsEntry,
)
from router.registry.problems import Finding, Path
from router.strategies.table import STRATEGIES

CAPABILITIES = (
    "tools",
    "parallel_tools",
    "json",
    "json_schema",
    "vision",
    "audio",
    "seed",
    "logprobs",
    "reasoning",
    "temperature",
    "prefill",
)
REFERENCE_KEYS = ("api_key", "base_url")
RESERVED_NAMES = frozenset({"auto", *STRATEGIES})

Adapters = Mapping[str, str]
"""The adapters that exist, each with its public base URL (empty where it has none)."""

DocumentRule = Callable[[Document, Adapters], Iterator[Finding]]


def references(document: Document, adapters: Adapters) -> Iterator[Finding]:
    """Findings about the parts that are there: they hold even for a document with gaps."""
    for rule in _REFERENCE_RULES:
        yield from rule(document, adapters)


def completeness(document: Document, adapters: Adapters) -> Iterator[Finding]:
    """Findings about missing parts, which only a whole document can show."""
    if not any(provider.enabled for provider in document.providers.values()):
        yield Finding(("providers",), "no provider is enabled: there is nothing to route to", key=True)
    yield from _tiers_have_models(document)
    for name, provider in document.providers.items():
        if provider.base_url is None and adapters.get(provider.adapter) == "":
            message = f"'{name}' needs a base_url: adapter '{provider.adapter}' has no address of its own"
            yield Finding(("providers", name), message, key=True)


def stray_references(data: Any, path: Path = ()) -> Iterator[Finding]:
    """Every `${…}` of a file's plain data that stands where it would not be filled in."""
    if isinstance(data, str) and "${" in data and not (path and path[-1] in REFERENCE_KEYS):
        yield Finding(path, f"a reference is filled in only in {' and '.join(REFERENCE_KEYS)}, not here")
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, child in children:
        yield from stray_references(child, (*path, step))


def _models(document: Document) -> Iterator[tuple[Path, ProviderEntry, str, ModelEntry]]:
    for name, provider in document.providers.items():
        for id_, model in provider.models.items():
            yield ("providers", name, "models", id_), provider, id_, model


def _tier_names(document: Document, adapters: Adapters) -> Iterator[Finding]:
    for name in document.tiers:
        if name in RESERVED_NAMES:
            yield Finding(("tiers", name), f"'{name}' cannot name a tier: requests use it for something else", key=True)
        if name in document.providers:
            message = f"'{name}' names a tier as well as a provider: a request for '{name}/…' could mean either"
            yield Finding(("providers", name), message, key=True)


def _tiers_referred_to(document: Document, adapters: Adapters) -> Iterator[Finding]:
    models = {f"{provider}/{model}" for provider, entry in document.providers.items() for model in entry.models}
    chairs = {name: entry.chair for name, entry in _fusions(document) if entry.chair not in models}
    named: dict[Path, str | None] = {("defaults", "tier"): document.defaults.tier}
    named |= {("strategies", name, "chair"): chair for name, chair in chairs.items()}
    for path, tier in named.items():
        if tier is not None and tier not in document.tiers:
            yield Finding(path, _no_tier(tier, document))
    for model_path, _, _, model in _models(document):
        for tier in model.tier:
            if tier not in document.tiers:
                yield Finding((*model_path, "tier", tier), _no_tier(tier, document), key=True)


def _fusions(document: Document) -> Iterator[tuple[Strategy, FusionOptionsEntry]]:
    for name, entry in document.strategies.by_name():
        if isinstance(entry, FusionOptionsEntry):
            yield name, entry


def _escalations(document: Document, adapters: Adapters) -> Iterator[Finding]:
    for name, entry in document.strategies.by_name():
        if isinstance(entry, VoteOptionsEntry) and entry.escalate is not None:
            path: Path = ("strategies", name, "escalate")
            yield from (Finding(path, problem) for problem in _escalation_problems(name, entry.escalate, document))


def _escalation_problems(name: Strategy, onward: str, document: Document) -> Iterator[str]:
    parts = onward.split("/")
    for part in parts:
        if part not in document.tiers and part not in STRATEGIES:
            near = suggestion(part, [*document.tiers, *STRATEGIES])
            yield f"{shown(part)} is neither a tier nor a strategy{near}; write tier/strategy"
    if name in parts:
        yield "a vote cannot escalate to another vote"


def _wordings(document: Document, adapters: Adapters) -> Iterator[Finding]:
    for name, entry in _fusions(document):
        known = STRATEGIES[name].wordings
        for key in entry.prompts:
            if key not in known:
                message = f"{shown(key)} is no wording of {name}{suggestion(key, known)}; there are {', '.join(known)}"
                yield Finding(("strategies", name, "prompts", key), message, key=True)


def _no_tier(tier: str, document: Document) -> str:
    return f"no tier is called {shown(tier)}{suggestion(tier, document.tiers)}"


def _ranks(document: Document, adapters: Adapters) -> Iterator[Finding]:
    for path, _, _, model in _models(document):
        if model.rank is not None and any(rank is not None for rank in model.tier.values()):
            yield Finding((*path, "rank"), "'rank' is given twice: 'tier' already says it for each tier", key=True)


def _adapters_exist(document: Document, adapters: Adapters) -> Iterator[Finding]:
    for name, provider in document.providers.items():
        if provider.adapter not in adapters:
            message = f"no adapter is called {shown(provider.adapter)}{suggestion(provider.adapter, adapters)}"
            yield Finding(("providers", name, "adapter"), message)
        if provider.adapter in NATIVE_ADAPTERS and provider.quirks.rename:
            message = f"adapter '{provider.adapter}' renames nothing: its names are not OpenAI's"
            yield Finding(("providers", name, "quirks", "rename"), message, key=True)


def _successors(document: Document, adapters: Adapters) -> Iterator[Finding]:
    for path, provider, id_, model in _models(document):
        if model.replaced_by is None:
            continue
        if model.replaced_by not in provider.models:
            hint = suggestion(model.replaced_by, provider.models)
            message = f"this provider has no model {shown(model.replaced_by)}{hint}"
            yield Finding((*path, "replaced_by"), message)
        elif id_ in _chain(provider, model.replaced_by):
            yield Finding((*path, "replaced_by"), "the models replace each other in a circle")


def _chain(provider: ProviderEntry, first: str) -> list[str]:
    """The models that follow one another by `replaced_by`, each once."""
    chain: list[str] = []
    following: str | None = first
    while following in provider.models and following not in chain:
        chain.append(following)
        following = provider.models[following].replaced_by
    return chain


def _limits(document: Document, adapters: Adapters) -> Iterator[Finding]:
    for name, provider in document.providers.items():
        yield from _same_limits(("providers", name, "limits"), provider.limits)
    for path, _, _, model in _models(document):
        yield from _same_limits((*path, "limits"), model.limits)
        for at, limit in enumerate(model.limits):
            if limit.scope == "account":
                message = "a limit below a model counts that model alone: move it up to the provider's limits"
                yield Finding((*path, "limits", at, "scope"), message)


def _same_limits(path: Path, limits: tuple[LimitEntry, ...]) -> Iterator[Finding]:
    seen: set[tuple[str, ...]] = set()
    for at, limit in enumerate(limits):
        kind = (limit.unit, limit.per, limit.scope or "account")
        if kind in seen:
            yield Finding((*path, at), f"a second limit of {limit.unit} per {limit.per}: keep one of them")
        seen.add(kind)


def _capabilities(document: Document, adapters: Adapters) -> Iterator[Finding]:
    for path, _, _, model in _models(document):
        for at, word in enumerate(model.supports or ()):
            if word not in CAPABILITIES:
                message = f"no request ever asks for the capability {shown(word)}{suggestion(word, CAPABILITIES)}"
                yield Finding((*path, "supports", at), message, "warning")


def _tiers_have_models(document: Document) -> Iterator[Finding]:
    for tier, entry in document.tiers.items():
        members = [(path, id_, model) for path, _, id_, model in _models(document) if tier in model.tier]
        families = {model.family or id_ for _, id_, model in members}
        if not members:
            yield Finding(("tiers", tier), f"no model belongs to tier '{tier}'", key=True)
        elif len(families) < entry.council_size:
            message = (
                f"tier '{tier}' has {len(families)} model families for {entry.council_size} seats: some will repeat"
            )
            yield Finding(("tiers", tier), message, "warning", key=True)


_REFERENCE_RULES: tuple[DocumentRule, ...] = (
    _tier_names,
    _tiers_referred_to,
    _escalations,
    _wordings,
    _ranks,
    _adapters_exist,
    _successors,
    _limits,
    _capabilities,
)
