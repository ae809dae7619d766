"""What providers themselves say of a registry: whether they take our keys, and which models they list.

Nothing is generated and nothing is spent: only the lists of models are read, a few at a time, none for long.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from adapters import ADAPTERS
from adapters.codec.json_values import decode, items, obj, string
from adapters.errors import ErrorKind, ProviderError
from adapters.types import ChatRequest, HttpRequest, Message, Target, Text
from router.core.registry import Provider, Registry
from router.registry.problems import Finding, Severity
from router.upstream.transport import Transport

LIST_S = 10.0
AT_ONCE = 4
_NO_LIST = (404, 405, 501)
_MAX_NAME_CHARS = 200
_ANY = ChatRequest(messages=(Message("user", (Text("hello"),)),))  # never sent: only its headers are


@dataclass(frozen=True, slots=True)
class Listing:
    """Where a provider lists its models, below its base URL without `above`, and how: `{key: [{name: …}]}`.

    `prefix` stands before each name. A `public` list is shown to anybody; then only `proof`, if there is such a path,
    tells whether the key is good.
    """

    path: str = "/models"
    above: str = ""
    key: str = "data"
    name: str = "id"
    prefix: str = ""
    public: bool = False
    proof: str | None = None


_OPENAI = Listing()
LISTINGS: Mapping[str, Listing] = {
    "anthropic": Listing("/models?limit=1000"),
    "gemini": Listing("/models?pageSize=1000", key="models", name="name", prefix="models/"),
    "cohere": Listing("/v1/models?page_size=1000", above="/v2", key="models", name="name"),
    "cloudflare": Listing("/models/search?per_page=1000", above="/v1", key="result", name="name"),
    "openrouter": Listing(public=True, proof="/key"),
    "nvidia": Listing(public=True),
    "huggingface": Listing(public=True),
}


async def list_models(
    target: Target, transport: Transport, timeout_s: float = LIST_S
) -> frozenset[str] | ProviderError:
    """The models that a provider lists for our key, or why it does not; `target` is any model of it.

    The error's message may repeat the key: mask it before it is shown or kept.
    """
    listing = LISTINGS.get(target.adapter, _OPENAI)
    try:
        async with asyncio.timeout(timeout_s):
            if listing.proof:
                await _get(target, listing.proof, transport)
            body = await _get(target, listing.path, transport, above=listing.above)
    except TimeoutError:
        return ProviderError(ErrorKind.TIMEOUT, f"no list of models came within {timeout_s:g} s")
    except ProviderError as error:
        return error
    entries = obj(decode(body)).get(listing.key)
    if not isinstance(entries, list):
        return ProviderError(ErrorKind.BAD_RESPONSE, "what it answers is no list of models")
    names = (string(obj(entry).get(listing.name)).removeprefix(listing.prefix) for entry in items(entries))
    return frozenset(name for name in names if 0 < len(name) <= _MAX_NAME_CHARS and name.isprintable())


def is_listed(target: Target, listed: frozenset[str]) -> bool:
    """Whether a model is in its provider's list; Hugging Face lists models without the backend after their colon."""
    bare = target.model.partition(":")[0] if target.adapter == "huggingface" else target.model
    return target.model in listed or bare in listed


async def _get(target: Target, path: str, transport: Transport, *, above: str = "") -> bytes:
    adapter = ADAPTERS[target.adapter]
    asking = adapter.build_request(target, _ANY, stream=False)  # the adapter knows how its key is carried
    headers = {name: value for name, value in asking.headers.items() if name != "content-type"}
    request = HttpRequest("GET", target.base_url.removesuffix(above) + path, headers, b"")
    response = await transport.send(request, provider=target.provider, connect_s=LIST_S)
    try:
        body = await response.read()
    finally:
        response.close()
    if response.status in _NO_LIST:
        raise ProviderError(ErrorKind.BAD_RESPONSE, "it has no list of models", status=response.status)
    if response.status >= 400:
        raise adapter.parse_error(response.status, response.headers, body)
    if response.status >= 300:
        raise ProviderError(ErrorKind.BAD_RESPONSE, "answered with a redirect, which is not followed")
    return body


# --- quorum check --live ----------------------------------------------------------------------------------------------


async def look(registry: Registry, transport: Transport, mask: Callable[[str], str]) -> list[Finding]:
    """Findings about every provider that is switched on and has its key; `mask` takes secrets out of their words."""
    places = asyncio.Semaphore(AT_ONCE)

    async def one(provider: Provider) -> list[Finding]:
        targets = [registry.seats[f"{provider.id}/{model}"].target for model in provider.models]
        async with places:
            listed = await list_models(targets[0], transport)
        if isinstance(listed, ProviderError):
            return [_refusal(provider, listed, mask(listed.message))]
        return [*_standing(provider, targets, listed), *_missing(provider, targets, listed)]

    asked = [provider for provider in registry.providers.values() if _can_be_asked(provider)]
    found = await asyncio.gather(*map(one, asked))
    return [finding for findings in found for finding in findings]


def _can_be_asked(provider: Provider) -> bool:
    return provider.enabled and not provider.missing_env and bool(provider.models)


def _refusal(provider: Provider, error: ProviderError, said: str) -> Finding:
    if error.status in _NO_LIST:
        return Finding(("providers", provider.id), f"{provider.id} answers, but {said}", "note", key=True)
    words, field, severity = _REFUSALS.get(error.kind, _OTHER_REFUSAL)
    return Finding(("providers", provider.id, field), f"{provider.id} {words}: {said}", severity)


# What it means that a provider does not list its models, which field of the registry to look at, and how bad it is.
_REFUSALS: Mapping[ErrorKind, tuple[str, str, Severity]] = {
    ErrorKind.AUTH: ("refuses the key", "api_key", "error"),
    ErrorKind.CONNECTION: ("is unreachable", "base_url", "warning"),
    ErrorKind.TIMEOUT: ("is unreachable", "base_url", "warning"),
}
_OTHER_REFUSAL: tuple[str, str, Severity] = ("could not be asked for its models", "base_url", "warning")


def _standing(provider: Provider, targets: Iterable[Target], listed: frozenset[str]) -> Iterator[Finding]:
    there = [target.model for target in targets if is_listed(target, listed)]
    listing = LISTINGS.get(provider.adapter, _OPENAI)
    proven = not listing.public or listing.proof is not None or provider.api_key is None
    key = "" if proven else "; anybody may see its list, so the key is not proven"
    words = f"{provider.id} is ok, it lists {len(there)} of {len(provider.models)} model(s)"
    yield Finding(("providers", provider.id), words + key, "note", key=True)
    for model in there:
        yield Finding(("providers", provider.id, "models", model), f"{model} is listed", "note", key=True)


def _missing(provider: Provider, targets: Iterable[Target], listed: frozenset[str]) -> Iterator[Finding]:
    for target in targets:
        if not is_listed(target, listed):
            near = difflib.get_close_matches(target.model, listed, n=1)
            hint = f", did you mean '{near[0]}'?" if near else ""
            words = f"{provider.id} does not list {target.model} among its {len(listed)} model(s){hint}"
            yield Finding(("providers", provider.id, "models", target.model), words, "warning", key=True)
