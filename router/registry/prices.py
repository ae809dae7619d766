"""Whether the registry's prices are near public price data, where that is installed: `pip install 'quorum[prices]'`.

The data is a hint for whoever edits the file, never the truth: what is billed by is the registry.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from router.registry.document import Document
from router.registry.problems import Finding

TOLERANCE = 0.2
_SAMPLE_TOKENS = 1_000  # small enough for the first step of prices that rise with the length of the prompt
_THEIR_NAMES: Mapping[str, str] = {"gemini": "google", "xai": "x-ai"}


class Listed(NamedTuple):
    """A public price in USD per million tokens."""

    input: float
    output: float


def findings(document: Document) -> Iterator[Finding]:
    """A warning for each price that differs from the public one by more than a fifth; nothing without the data."""
    for name, provider in document.providers.items():
        for model_id, model in provider.models.items():
            listed = public_price(name, model_id) if model.price else None
            if model.price is None or listed is None:
                continue
            for side in ("input", "output"):
                ours, theirs = getattr(model.price, side), getattr(listed, side)
                if abs(ours - theirs) > TOLERANCE * max(ours, theirs):
                    words = (
                        f"the {side} price is {ours:g}, but public price data says {theirs:g} USD per million tokens"
                    )
                    yield Finding(("providers", name, "models", model_id, "price", side), words, "warning")


def public_price(provider: str, model: str) -> Listed | None:
    """What public price data says of a model; None if it says nothing, or is not installed."""
    try:
        from genai_prices import Usage, calc_price
    except ImportError:
        return None
    try:
        usage = Usage(input_tokens=_SAMPLE_TOKENS, output_tokens=_SAMPLE_TOKENS)
        price = calc_price(usage, model_ref=model, provider_id=_THEIR_NAMES.get(provider, provider))
    except LookupError:
        return None
    per_million = 1_000_000 / _SAMPLE_TOKENS
    return Listed(float(price.input_price) * per_million, float(price.output_price) * per_million)
