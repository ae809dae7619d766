"""The wire formats of the providers, as modules of pure functions over one vocabulary; nothing here opens a socket."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from adapters import anthropic, cohere, compatible, gemini, groq, openai
from adapters.errors import POLICY, ErrorKind, ProviderError
from adapters.types import Adapter, Answer, ChatRequest, Target

ADAPTERS: Mapping[str, Adapter] = MappingProxyType(
    {
        "anthropic": anthropic,
        "cohere": cohere,
        "compatible": compatible,
        "gemini": gemini,
        "groq": groq,
        "openai": openai,
    }
)

__all__ = ["ADAPTERS", "POLICY", "Adapter", "Answer", "ChatRequest", "ErrorKind", "ProviderError", "Target"]
