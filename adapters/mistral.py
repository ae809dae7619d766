"""Mistral: OpenAI's format, but unknown fields are refused, and so are messages in an order it does not expect.

Source of the rules: Mistral's OpenAPI document (`additionalProperties: false`) and docs.mistral.ai.
"""

from __future__ import annotations

import re
from typing import Any

from adapters.codec.dialect import Dialect, ModelVariant, WireMessages
from adapters.codec.dropped_params import names_speakers
from adapters.codec.error_rules import ErrorRule, codes
from adapters.codec.json_values import short_hash
from adapters.codec.request_body import clamped, mapped
from adapters.errors import ErrorKind

_CALL_ID = re.compile(r"[A-Za-z0-9]{9}")
_BETWEEN = {"role": "assistant", "content": "OK"}


def call_id(foreign: str) -> str:
    """A tool call's id in the nine letters and digits that some models demand: the same in the call and its result."""
    return foreign if _CALL_ID.fullmatch(foreign) else short_hash(foreign)[:9]


def in_order(messages: WireMessages) -> WireMessages:
    """The messages in an order that Mistral accepts, and without `name`, which it does not know.

    Between a tool's result and the user an assistant must speak. The last message must be the user's, a tool's, or the
    beginning of an answer for the model to go on with (`prefix: true`); instructions that come last become the user's.
    """
    ordered: WireMessages = []
    for message in messages:
        if ordered and ordered[-1]["role"] == "tool" and message["role"] == "user":
            ordered.append(_BETWEEN)
        ordered.append({field: value for field, value in message.items() if field != "name"})
    return [*ordered[:-1], *map(_as_last, ordered[-1:])]


def _as_last(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, **_LAST.get(message["role"], {})}


_LAST: dict[str, dict[str, Any]] = {"assistant": {"prefix": True}, "system": {"role": "user"}}

DIALECT = Dialect(
    rename={"seed": "random_seed"},
    accepts=frozenset(
        {
            "max_tokens",
            "temperature",
            "top_p",
            "stop",
            "seed",
            "presence_penalty",
            "frequency_penalty",
            "parallel_tool_calls",
            "reasoning_effort",
        }
    ),
    convert={
        "temperature": clamped(0, 1.5),
        # It knows none and high only.
        "reasoning_effort": mapped({"minimal": "none", "low": "none", "medium": "high", "xhigh": "high"}),
    },
    variants=(ModelVariant(re.compile(r"^(?!mistral-small)"), drop=frozenset({"reasoning_effort"})),),
    usage_in_streams=False,  # it refuses stream_options, and reports usage in the last chunk anyway
    call_id=call_id,
    history=in_order,
    unsupported={"messages.name": names_speakers},
    rules=(
        # A model outside the plan answers like a full minute (code 1300); only its limit of 0 tells.
        ErrorRule(ErrorKind.MODEL_GONE, status=frozenset({429}), headers={"x-ratelimit-limit-req-minute": "0"}),
        ErrorRule(ErrorKind.OVERLOADED, codes=codes("3505")),  # service tier capacity exceeded: theirs, not ours
        # A spent month, too, looks like a full minute but for this header.
        ErrorRule(
            ErrorKind.QUOTA_EXHAUSTED,
            "month",
            status=frozenset({429}),
            headers={"x-ratelimit-remaining-tokens-month": "0"},
        ),
        ErrorRule(ErrorKind.RATE_LIMITED, codes=codes("1300")),
        ErrorRule(ErrorKind.MODEL_GONE, codes=codes("1500")),
        ErrorRule(ErrorKind.CONTEXT_LENGTH, codes=codes("3051")),
    ),
)

BASE_URL = "https://api.mistral.ai/v1"
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
