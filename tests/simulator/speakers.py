"""One small client (speaker) for each of the twelve simulated providers."""

from __future__ import annotations

from tests.simulator.compatible import (
    CEREBRAS,
    CLOUDFLARE,
    GROQ,
    HUGGINGFACE,
    MISTRAL,
    NVIDIA,
    OPENAI,
    OPENROUTER,
    XAI,
)
from tests.simulator.native import ANTHROPIC, COHERE, GEMINI
from tests.simulator.speaking import PERSON, WEATHER_TOOL, Body, Said, Speaker, documents, events

SPEAKERS = (
    OPENAI,
    ANTHROPIC,
    GEMINI,
    COHERE,
    GROQ,
    XAI,
    MISTRAL,
    CEREBRAS,
    OPENROUTER,
    CLOUDFLARE,
    NVIDIA,
    HUGGINGFACE,
)

__all__ = [
    "ANTHROPIC",
    "CEREBRAS",
    "CLOUDFLARE",
    "COHERE",
    "GEMINI",
    "GROQ",
    "HUGGINGFACE",
    "MISTRAL",
    "NVIDIA",
    "OPENAI",
    "OPENROUTER",
    "PERSON",
    "SPEAKERS",
    "WEATHER_TOOL",
    "XAI",
    "Body",
    "Said",
    "Speaker",
    "documents",
    "events",
]
