"""Compares the registry's prices with public price data, if installed: `pip install 'quorum-router[prices]'`.

The data is a hint to whoever edits the file: costs are computed from the registry's prices alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from router.registry.document import Document
from router.registry.problems import Finding

TOLERANCE = 0.2  # relative to the higher of the two prices
_SAMPLE_TOKENS = 1_000  # few enough for the lowest step of prices that rise with the length of the prompt
_THEIR_NAMES: Mapping[str, str] = {"gemini": "google", "xai": "x-ai"}


class PublicPrice(NamedTuple):
    """A public price, in US dollars per million tokens."""

    input: float
    output: float


def findings(document: Document) -> Iterator[Finding]:
    """A warning for each price that differs from the public one by more than a fifth; none without the data."""
    for name, provider in document.providers.items():
        for model_id, model in provider.models.items():
            listed = public_price(name, model_id) if model.price else None
            if model.price is None or listed is None:
                continue
            for side in ("input", "output"):
                ours, theirs = getattr(model.price, side), getattr(listed, side)
                if abs(ours - theirs) > TOLERANCE * max(ours, theirs):
                    message = (
                        f"the {side} price is {ours:g}, but public price data says {theirs:g} USD per million tokens"
                    )
                    yield Finding(("providers", name, "models", model_id, "price", side), message, "warning")


def public_price(provider: str, model: str) -> PublicPrice | None:
    """The public price of a model; None if it is unknown, or the data is not installed."""
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
    return PublicPrice(float(price.input_price) * per_million, float(price.output_price) * per_million)
