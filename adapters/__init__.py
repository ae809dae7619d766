"""The wire formats of the providers, as modules of pure functions over one vocabulary; nothing here opens a socket."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

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
from adapters.errors import POLICY, ErrorKind, ProviderError
from adapters.types import Adapter, Answer, ChatRequest, Target

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

__all__ = ["ADAPTERS", "POLICY", "Adapter", "Answer", "ChatRequest", "ErrorKind", "ProviderError", "Target"]
