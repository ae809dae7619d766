"""Cerebras: OpenAI's format; errors stand at the top of the body, and a full queue of theirs is no quota of ours."""

from __future__ import annotations

from adapters.codec.dialect import PLATFORM, Dialect
from adapters.codec.error_rules import Rule
from adapters.codec.request_parts import clamped, worded
from adapters.codec.schemas import closed
from adapters.errors import ErrorKind

DEFAULT_MAX_TOKENS = 8192  # what may be answered is taken off the minute's tokens beforehand, so it must be bounded

DIALECT = Dialect(
    rename={"max_tokens": "max_completion_tokens"},
    drop=PLATFORM - {"prediction"} | {"presence_penalty", "frequency_penalty"},
    convert={
        "temperature": clamped(0, 1.5),
        "reasoning_effort": worded({"minimal": "low", "xhigh": "high"}),
    },
    strict_schema=closed,
    defaults={"max_tokens": DEFAULT_MAX_TOKENS},
    rules=(
        Rule(  # beside the text, only the headers tell a spent day from a full minute
            ErrorKind.QUOTA_EXHAUSTED,
            "day",
            status=frozenset({429}),
            headers={"x-ratelimit-remaining-requests-day": "0", "x-ratelimit-remaining-tokens-day": "0"},
        ),
    ),
)

BASE_URL = "https://api.cerebras.ai/v1"
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
