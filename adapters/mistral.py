"""Mistral: OpenAI's format, but unknown fields are refused, and so are messages in an order it does not like."""

from __future__ import annotations

import re
from typing import Any

from adapters.codec.dialect import Dialect, Variant, Wire
from adapters.codec.dropped import speakers_named
from adapters.codec.error_rules import Rule, codes
from adapters.codec.json_values import hashed
from adapters.codec.request_parts import clamped, worded
from adapters.errors import ErrorKind

_ID = re.compile(r"[A-Za-z0-9]{9}")
_BETWEEN = {"role": "assistant", "content": "OK"}


def call_id(foreign: str) -> str:
    """The id of a tool call in the nine letters and digits allowed here; always the same for the same."""
    return foreign if _ID.fullmatch(foreign) else hashed(foreign)[:9]


def in_order(messages: Wire) -> Wire:
    """The messages with the assistant speaking between a tool and the user, and with a last one that may stand last.

    No message has a `name`.
    """
    ordered: Wire = []
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
    takes=frozenset(
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
        "reasoning_effort": worded({"minimal": "none", "low": "none", "medium": "high", "xhigh": "high"}),
    },
    variants=(Variant(re.compile(r"^(?!mistral-small)"), drop=frozenset({"reasoning_effort"})),),
    usage_in_streams=False,  # it knows no stream_options, and tells the usage in the last chunk anyway
    call_id=call_id,
    history=in_order,
    unsaid={"messages.name": speakers_named},
    rules=(
        # a limit of 0 means that the plan does not have this model; a month that is spent looks like a full minute
        Rule(ErrorKind.MODEL_GONE, status=frozenset({429}), headers={"x-ratelimit-limit-req-minute": "0"}),
        Rule(ErrorKind.OVERLOADED, codes=codes("3505")),
        Rule(
            ErrorKind.QUOTA_EXHAUSTED,
            "month",
            status=frozenset({429}),
            headers={"x-ratelimit-remaining-tokens-month": "0"},
        ),
        Rule(ErrorKind.RATE_LIMITED, codes=codes("1300")),
        Rule(ErrorKind.MODEL_GONE, codes=codes("1500")),
        Rule(ErrorKind.CONTEXT_LENGTH, codes=codes("3051")),
    ),
)

BASE_URL = "https://api.mistral.ai/v1"
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
