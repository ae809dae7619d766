"""Anthropic's thinking blocks: their signatures, and the checks on blocks that come back in a tool loop."""

from __future__ import annotations

import base64
from hashlib import blake2b
from typing import Any

from router.simulator.wire import Invalid

Body = dict[str, Any]
_OURS = b"simulated thought"
_LEAST_SIGNED_BYTES = 64  # every real signature is longer
THOUGHTS = ("thinking", "redacted_thinking")


def sign(thought: str) -> str:
    """The signature of a thinking block's text: another text has another."""
    digest = blake2b(thought.encode(errors="replace"), digest_size=48).digest()
    return base64.b64encode(_OURS + digest).decode()


def check_thinking(body: Body) -> None:
    """Checks the settings, then the thinking blocks that come back. Raises Invalid."""
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int) or budget < 1024:
            raise Invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if budget >= body["max_tokens"]:
            raise Invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
        _check_last_call(body["messages"])
    for at, message in enumerate(body["messages"]):
        for index, block in enumerate(_blocks(message)):
            if block.get("type") == "thinking":
                check_signature(block.get("thinking"), block.get("signature"), f"messages.{at}.content.{index}")


def check_signature(thought: Any, signature: Any, where: str) -> None:
    """Checks that a thinking block is unchanged; a real provider's signature cannot be checked here. Raises Invalid."""
    if not isinstance(signature, str):
        raise Invalid(f"{where}.thinking.signature: Field required")
    if signature != sign(str(thought)) and not _may_be_real(signature):
        raise Invalid(f"{where}: Invalid `signature` in `thinking` block")


def _may_be_real(signature: str) -> bool:
    try:
        signed = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    return len(signed) >= _LEAST_SIGNED_BYTES and not signed.startswith(_OURS)


def unthought(at: int, found: str) -> Invalid:
    """The refusal of a tool loop whose last calls come back without the thinking blocks that led to them."""
    return Invalid(
        f"messages.{at}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When "
        "`thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost "
        "set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. "
        "To avoid this requirement, disable `thinking`."
    )


def _check_last_call(messages: list[Body]) -> None:
    spoken = [(at, _blocks(message)) for at, message in enumerate(messages) if message["role"] == "assistant"]
    at, blocks = spoken[-1] if spoken else (0, [])
    kinds = [str(block.get("type")) for block in blocks]
    if "tool_use" in kinds and kinds[0] not in THOUGHTS:
        raise unthought(at, kinds[0])


def _blocks(message: Body) -> list[Body]:
    content = message["content"]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
