"""The twelve simulated providers: the paths of each one's API below its name, and its wire format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from router.simulator.wire import Wire
from router.simulator.wires.anthropic import AnthropicWire
from router.simulator.wires.cerebras import CerebrasWire
from router.simulator.wires.cloudflare import CloudflareWire
from router.simulator.wires.cohere import CohereWire
from router.simulator.wires.gemini import GeminiWire
from router.simulator.wires.groq import GroqWire
from router.simulator.wires.huggingface import HuggingFaceWire
from router.simulator.wires.mistral import MistralWire
from router.simulator.wires.nvidia import NvidiaWire
from router.simulator.wires.openai import OpenAIWire
from router.simulator.wires.openrouter import OpenRouterWire
from router.simulator.wires.xai import XaiWire


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider; `chat` and `models` are paths as aiohttp matches them, `lists` the models in its listing.

    A `public` listing needs no key. `key` is a path that answers with `standing`, the account's state, for a good key.
    `limited_by_model` counts requests per model and not per account.
    """

    name: str
    wire: Wire
    chat: str
    models: str
    lists: tuple[str, ...]
    limited_by_model: bool = False
    public: bool = False
    key: str | None = None
    standing: Mapping[str, Any] = field(default_factory=dict)


def _at(name: str, wire: Wire, base: str, *lists: str) -> Provider:
    return Provider(name, wire, f"/{name}{base}/chat/completions", f"/{name}{base}/models", lists)


_ALL = (
    _at("openai", OpenAIWire(), "/v1", "gpt-6-luna", "gpt-6.1-sol", "gpt-6.1-terra", "gpt-4.1-mini"),
    Provider(
        "anthropic",
        AnthropicWire(),
        "/anthropic/v1/messages",
        "/anthropic/v1/models",
        ("claude-haiku-5-5", "claude-haiku-4-5", "claude-sonnet-5-5", "claude-opus-5-5"),
    ),
    Provider(
        "gemini",
        GeminiWire(),
        "/gemini/v1beta/models/{model:[^:]+}:{verb:generateContent|streamGenerateContent}",
        "/gemini/v1beta/models",
        ("gemini-3.1-flash-lite", "gemini-3.5-flash-lite", "gemini-3.8-flash", "gemini-3.1-pro-preview"),
        limited_by_model=True,
    ),
    Provider(
        "cohere",
        CohereWire(),
        "/cohere/v2/chat",
        "/cohere/v1/models",
        ("command-r7b-12-2024", "command-r-08-2024", "command-a-03-2025", "command-a-reasoning-08-2025"),
    ),
    _at("groq", GroqWire(), "/openai/v1", "openai/gpt-oss-20b", "openai/gpt-oss-120b", "qwen/qwen3.8-27b"),
    _at("xai", XaiWire(), "/v1", "grok-4.3", "grok-4.20-non-reasoning", "grok-4.7"),
    _at("mistral", MistralWire(), "/v1", "mistral-small-latest", "ministral-8b-latest", "mistral-large-latest"),
    _at("cerebras", CerebrasWire(), "/v1", "gpt-oss-120b", "qwen-3.8-27b"),
    replace(
        _at(
            "openrouter",
            OpenRouterWire(),
            "/api/v1",
            "nvidia/nemotron-3-nano-30b-a3b:free",
            "openai/gpt-oss-20b:free",
            "nvidia/nemotron-3-super-120b-a12b:free",
        ),
        public=True,
        key="/openrouter/api/v1/key",
        standing={"data": {"label": "sk-or-v1-sim...sky", "limit": None, "usage": 0, "is_free_tier": True}},
    ),
    Provider(
        "cloudflare",
        CloudflareWire(),
        "/cloudflare/client/v4/accounts/{account}/ai/v1/chat/completions",
        "/cloudflare/client/v4/accounts/{account}/ai/models/search",
        ("@cf/zai-org/glm-4.7-flash", "@cf/openai/gpt-oss-120b"),
    ),
    replace(
        _at("nvidia", NvidiaWire(), "/v1", "nvidia/nemotron-3-nano-30b-a3b", "nvidia/nemotron-3-super-120b-a12b"),
        public=True,
    ),
    replace(
        _at("huggingface", HuggingFaceWire(), "/v1", "openai/gpt-oss-120b:cerebras", "Qwen/Qwen3-32B:fastest"),
        public=True,
    ),
)
PROVIDERS: Mapping[str, Provider] = MappingProxyType({provider.name: provider for provider in _ALL})
