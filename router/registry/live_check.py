"""Checks a registry against its providers (`quorum check --live`): are keys accepted, are models listed?

Only lists of models are read, so that the check spends nothing. What reads them is handed in: the registry's rooms do
not open sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from adapters.errors import ErrorKind, ProviderError
from adapters.types import Target
from router.core.registry import Provider, Registry
from router.core.text import did_you_mean
from router.registry.problems import Finding, Severity

AT_ONCE = 4  # providers asked at the same time
_NO_LIST = (404, 405, 501)  # the provider answers, but has no such page


class ModelNames(Protocol):
    """The models one provider lists, as `upstream.model_catalogue` reads them."""

    @property
    def names(self) -> frozenset[str]:
        """Every listed name."""

    @property
    def proves_key(self) -> bool:
        """True if the provider listed them because of our key, not to anybody."""

    def has(self, model: str) -> bool:
        """Whether a model of the registry is among them."""


ListModels = Callable[[Target], Awaitable[ModelNames | ProviderError]]
"""Asks the provider of a target for its models; errors are returned."""


async def check_live(registry: Registry, list_models: ListModels, mask: Callable[[str], str]) -> list[Finding]:
    """Findings about every provider that is enabled and has its key; `mask` removes secrets from providers' messages.

    A refused key is an error, a model that is not listed or a provider that cannot be asked a warning, the rest notes.
    """
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(provider: Provider) -> list[Finding]:
        targets = [registry.seats[f"{provider.id}/{model}"].target for model in provider.models]
        async with slots:
            listed = await list_models(targets[0])
        if isinstance(listed, ProviderError):
            return [_refusal(provider, listed, mask(listed.message))]
        return [*_standing(provider, targets, listed), *_missing(provider, targets, listed)]

    asked = [provider for provider in registry.providers.values() if _can_be_asked(provider)]
    found = await asyncio.gather(*map(one, asked))
    return [finding for findings in found for finding in findings]


def _can_be_asked(provider: Provider) -> bool:
    return provider.enabled and not provider.missing_env and bool(provider.models)


# By the kind of failure: what it means for the registry, the field to look at, and how bad it is.
_REFUSALS: Mapping[ErrorKind, tuple[str, str, Severity]] = {
    ErrorKind.AUTH: ("refuses the key", "api_key", "error"),
    ErrorKind.CONNECTION: ("is unreachable", "base_url", "warning"),
    ErrorKind.TIMEOUT: ("is unreachable", "base_url", "warning"),
}
_OTHER_REFUSAL: tuple[str, str, Severity] = ("could not be asked for its models", "base_url", "warning")


def _refusal(provider: Provider, error: ProviderError, message: str) -> Finding:
    if error.status in _NO_LIST:
        return Finding(("providers", provider.id), f"{provider.id} answers, but {message}", "note", key=True)
    meaning, field, severity = _REFUSALS.get(error.kind, _OTHER_REFUSAL)
    return Finding(("providers", provider.id, field), f"{provider.id} {meaning}: {message}", severity)


def _standing(provider: Provider, targets: Sequence[Target], listed: ModelNames) -> Iterator[Finding]:
    there = [target.model for target in targets if listed.has(target.model)]
    proven = listed.proves_key or provider.api_key is None
    doubt = "" if proven else "; anybody may see its list, so the key is not proven"
    summary = f"{provider.id} is ok, it lists {len(there)} of {len(provider.models)} model(s)"
    yield Finding(("providers", provider.id), summary + doubt, "note", key=True)
    for model in there:
        yield Finding(("providers", provider.id, "models", model), f"{model} is listed", "note", key=True)


def _missing(provider: Provider, targets: Iterable[Target], listed: ModelNames) -> Iterator[Finding]:
    for model in (target.model for target in targets if not listed.has(target.model)):
        hint = did_you_mean(model, listed.names)
        message = f"{provider.id} does not list {model} among its {len(listed.names)} model(s){hint}"
        yield Finding(("providers", provider.id, "models", model), message, "warning", key=True)
