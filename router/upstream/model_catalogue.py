"""Reads which models a provider lists for our key. Nothing is generated and nothing is spent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from adapters import ADAPTERS
from adapters.codec.json_values import decode, items, obj, string
from adapters.errors import ErrorKind, ProviderError
from adapters.types import ChatRequest, HttpRequest, Message, Target, Text
from router.upstream.transport import Transport

LIST_TIMEOUT_S = 10.0
_NO_LIST = (404, 405, 501)
_MAX_NAME_CHARS = 200
_ANY = ChatRequest(messages=(Message("user", (Text("hello"),)),))  # never sent: only its headers are used


@dataclass(frozen=True, slots=True)
class Listing:
    """Where a provider lists its models, and the form of the list: `{key: [{name: "<prefix><model>"}]}`.

    `path` is appended to the base URL once `above` is removed from its end. A `public` list is served to anybody, so
    it says nothing about the key; `proof` is a path that does, where the provider has one.
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
"""By adapter; one that is missing lists its models as OpenAI does."""


@dataclass(frozen=True, slots=True)
class ModelList:
    """The names of the models that a provider lists; `proves_key` is True if it listed them because of our key."""

    adapter: str
    names: frozenset[str]
    proves_key: bool

    def has(self, model: str) -> bool:
        """Whether a model is listed. Hugging Face lists models without the backend that follows their colon."""
        bare = model.partition(":")[0] if self.adapter == "huggingface" else model
        return model in self.names or bare in self.names


async def list_models(
    target: Target, transport: Transport, timeout_s: float = LIST_TIMEOUT_S
) -> ModelList | ProviderError:
    """The models of a provider, or why it does not list them; `target` is any of its models.

    Returns errors instead of raising them. An error's message may quote the key: mask it before showing or storing it.
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
        return ProviderError(ErrorKind.BAD_RESPONSE, "its answer is not a list of models")
    found = (string(obj(entry).get(listing.name)).removeprefix(listing.prefix) for entry in items(entries))
    names = frozenset(name for name in found if 0 < len(name) <= _MAX_NAME_CHARS and name.isprintable())
    return ModelList(target.adapter, names, proves_key=not listing.public or listing.proof is not None)


async def _get(target: Target, path: str, transport: Transport, *, above: str = "") -> bytes:
    adapter = ADAPTERS[target.adapter]
    asking = adapter.build_request(target, _ANY, stream=False)  # the adapter knows which header carries its key
    headers = {name: value for name, value in asking.headers.items() if name != "content-type"}
    request = HttpRequest("GET", target.base_url.removesuffix(above) + path, headers, b"")
    response = await transport.send(request, provider=target.provider, connect_s=LIST_TIMEOUT_S)
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
