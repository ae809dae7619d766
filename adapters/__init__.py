"""The wire formats of the LLM providers, as modules of pure functions over the values in `adapters.types`.

No module here opens a socket, reads a clock or keeps state. That makes every adapter testable with recorded bytes
alone, and lets the router call it again for a retry without asking what the first call left behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Protocol

from adapters import (
    anthropic,
    cerebras,
    cloudflare,
    cohere,
    compatible,
    gemini,
    groq,
    huggingface,
    mistral,
    nvidia,
    openai,
    openrouter,
    xai,
)
from adapters.codec.sse import SseEvent
from adapters.errors import POLICY, ErrorKind, ProviderError
from adapters.types import Answer, ChatRequest, Delta, HttpRequest, LimitsSeen, Target


class Adapter(Protocol):
    """What every adapter module offers: six pure functions and the provider's public base URL.

    Header names are lower case in both directions. `BASE_URL` is empty where only the registry can know it.
    """

    BASE_URL: str

    def build_request(self, target: Target, request: ChatRequest, *, stream: bool) -> HttpRequest:
        """The HTTP request that asks `target`; raises `ProviderError(INVALID_REQUEST)` for what this wire cannot carry.

        It never changes `request`, which is asked of another provider if this one fails.
        """
        ...

    def dropped_params(self, target: Target, request: ChatRequest) -> frozenset[str]:
        """What of the request `build_request` does not send to `target`, by OpenAI's names.

        A parameter is dropped where this wire has no field for it or the model refuses it, or where the registry says
        so. Finer features are named by their path, such as `tools.strict`. Callers are told: a silent drop would look
        like a model that ignores its parameters.
        """
        ...

    def parse_response(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer in a whole response; raises `ProviderError`, and nothing else, for any other bytes."""
        ...

    def parse_event(self, event: SseEvent) -> Iterable[Delta]:
        """What one stream event adds to the answer; raises `ProviderError`, and nothing else, for an error inside.

        It keeps no state between events: `codec.collect` puts the answer together. For the same call, collecting the
        deltas of a stream gives what `parse_response` gives for the whole body.
        """
        ...

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """The error in a response with a failing status; returned, not raised."""
        ...

    def parse_limits(self, headers: Mapping[str, str]) -> LimitsSeen:
        """The rate limits that the headers report, on any response; empty where the provider sends none."""
        ...


ADAPTERS: Mapping[str, Adapter] = MappingProxyType(
    {
        "anthropic": anthropic,
        "cerebras": cerebras,
        "cloudflare": cloudflare,
        "cohere": cohere,
        "compatible": compatible,
        "gemini": gemini,
        "groq": groq,
        "huggingface": huggingface,
        "mistral": mistral,
        "nvidia": nvidia,
        "openai": openai,
        "openrouter": openrouter,
        "xai": xai,
    }
)
"""Every adapter by the name that `adapter:` has in a registry."""

NATIVE_ADAPTERS = frozenset({"anthropic", "cohere", "gemini"})
"""Adapters with a wire of their own; all others speak a dialect of OpenAI's, and can be sent what only that has."""

__all__ = [
    "ADAPTERS",
    "NATIVE_ADAPTERS",
    "POLICY",
    "Adapter",
    "Answer",
    "ChatRequest",
    "ErrorKind",
    "ProviderError",
    "Target",
]
