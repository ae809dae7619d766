"""Estimates token counts from the length of text: one estimate for limits, plans, prices and missing usage.

No tokenizer is used: each family of models has its own, and limits are corrected by the usage a provider reports.
"""

from __future__ import annotations

import orjson

from adapters.types import ChatRequest, Text

_BYTES_PER_TOKEN = 4  # of UTF-8; English has about as many characters per token, other scripts fewer
_TOKENS_PER_IMAGE = 1000  # about one megapixel; audio and files are counted the same


def prompt_tokens(request: ChatRequest) -> int:
    """The estimated input tokens of a request: messages, tool calls, tools, the response schema, and its images."""
    size = pictures = 0
    for message in request.messages:
        for part in message.content:
            if isinstance(part, Text):
                size += _utf8(part.text)
            else:
                pictures += 1
        for call in message.tool_calls:
            size += _utf8(call.name) + _utf8(call.arguments)
    for tool in request.tools:
        size += (
            _utf8(tool.name) + _utf8(tool.description or "") + len(orjson.dumps(tool.parameters or {}, default=dict))
        )
    if request.response_format is not None and request.response_format.schema:
        size += len(orjson.dumps(request.response_format.schema, default=dict))
    return -(-size // _BYTES_PER_TOKEN) + _TOKENS_PER_IMAGE * pictures


def text_tokens(characters: int) -> int:
    """The estimated tokens of a text of that length, rounded up."""
    return -(-characters // _BYTES_PER_TOKEN)


def _utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
