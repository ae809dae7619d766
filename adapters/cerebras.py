"""Cerebras: OpenAI's format with errors at the top of the body; a full queue of theirs is not a quota of ours.

Source of the rules: inference-docs.cerebras.ai and the types of the cerebras-cloud-sdk.
"""

from __future__ import annotations

from adapters.codec.dialect import PLATFORM_PARAMS, Dialect
from adapters.codec.error_rules import ErrorRule
from adapters.codec.request_body import clamped, closed_schema, mapped
from adapters.errors import ErrorKind

# The rate limiter takes prompt + max_completion_tokens off the minute's tokens before the answer begins. Without a
# bound it reserves the model's longest answer, and a free plan's minute (30,000 tokens) is gone with one request.
DEFAULT_MAX_TOKENS = 8192

DIALECT = Dialect(
    rename={"max_tokens": "max_completion_tokens"},
    drop=PLATFORM_PARAMS - {"prediction"} | {"presence_penalty", "frequency_penalty"},
    convert={
        "temperature": clamped(0, 1.5),
        "reasoning_effort": mapped({"minimal": "low", "xhigh": "high"}),  # it knows none, low, medium and high
    },
    strict_schema=closed_schema,
    defaults={"max_tokens": DEFAULT_MAX_TOKENS},
    rules=(
        # The sentence does not always name the window. A counter of the day that stands at 0 does.
        ErrorRule(
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
