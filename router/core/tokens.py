"""How many tokens a text will be, by its length: one estimate for limits, plans, prices and missing usage."""

from __future__ import annotations

import orjson

from adapters.types import ChatRequest, Text

_BYTES_PER_TOKEN = 4


_TOKENS_PER_IMAGE = 1000  # about a megapixel; audio and files are taken for one


def prompt_tokens(request: ChatRequest) -> int:
    """An estimate by the length of all that is text or becomes text for the model: messages, tools and schemas."""
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


def _utf8(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
