"""OpenRouter's reasoning: the text twice, as a string and as a typed list that must come back unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from router.simulator.wire import Invalid
from router.simulator.wires.anthropic_thinking import check_signature, sign, unthought

Fields = dict[str, Any]
SIGNED = "anthropic-claude-v1"


def wanted(wish: Any) -> bool | None:
    """Whether a request's `reasoning` switches reasoning on or off; None if it leaves that to the model."""
    return not (wish.get("effort") == "none" or wish.get("enabled") is False) if isinstance(wish, dict) else None


def hides(wish: Any) -> bool:
    """Whether the reasoning is left out of the answer."""
    return isinstance(wish, dict) and bool(wish.get("exclude"))


def signs(model: str) -> bool:
    """Whether the maker of this model signs its reasoning."""
    return model.startswith("anthropic/")


def reasoning(model: str, text: str) -> Fields:
    """Reasoning as a string and as a typed list, still without the signature, which comes last."""
    detail = {"type": "reasoning.text", "text": text, "format": SIGNED if signs(model) else "unknown", "index": 0}
    return {"reasoning": text, "reasoning_details": [detail]} if text else {}


def signature(model: str, text: str) -> tuple[Fields, ...]:
    """The delta that signs the reasoning before it, as a tuple of one; empty if it is not signed."""
    detail = {"type": "reasoning.text", "signature": sign(text), "format": SIGNED, "index": 0}
    return ({"reasoning_details": [detail]},) if text and signs(model) else ()


def signed(model: str, text: str) -> Fields:
    """The reasoning of a whole answer, signed if its maker signs."""
    fields = reasoning(model, text)
    for piece in signature(model, text):
        fields["reasoning_details"] = [fields["reasoning_details"][0] | piece["reasoning_details"][0]]
    return fields


def check_details(messages: Any, wish: Any, model: str) -> None:
    """Checks that signed details are unchanged, and present beside the last tool call if the model reasons.

    Raises Invalid.
    """
    spoken = [(at, message) for at, message in enumerate(messages) if message["role"] == "assistant"]
    for at, message in spoken:
        for index, detail in enumerate(_details(message, at)):
            if detail.get("format") == SIGNED and detail["type"] == "reasoning.text":
                check_signature(detail.get("text"), detail.get("signature"), f"messages.{at}.content.{index}")
    must_sign = wanted(wish) and not hides(wish) and signs(model)
    if must_sign and spoken and spoken[-1][1].get("tool_calls"):
        at, message = spoken[-1]
        if not any(detail.get("format") == SIGNED for detail in _details(message, at)):
            raise unthought(at, "tool_use")


def _details(message: Fields, at: int) -> Iterator[Fields]:
    for index, detail in enumerate(message.get("reasoning_details") or ()):
        if not isinstance(detail, dict) or not str(detail.get("type")).startswith("reasoning."):
            raise Invalid(f"messages.{at}.reasoning_details.{index}.type: Invalid input")
        yield detail
