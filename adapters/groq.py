"""Groq: OpenAI's format; its limits count requests by the day and tokens by the minute, and roll.

Source of the rules: console.groq.com/docs (rate-limits, errors, reasoning) and the types of the groq SDK.
"""

from __future__ import annotations

from adapters.codec.dialect import PLATFORM_PARAMS, Dialect
from adapters.codec.error_rules import ErrorRule, codes
from adapters.errors import ErrorKind

DIALECT = Dialect(
    rename={"max_tokens": "max_completion_tokens"},
    drop=PLATFORM_PARAMS | {"logprobs", "top_logprobs", "logit_bias"},
    rules=(
        # A 413 has the code of a rate limit, but means that this one request exceeds a whole minute's tokens: waiting
        # does not help, a provider with more room does.
        ErrorRule(ErrorKind.CONTEXT_LENGTH, status=frozenset({413})),
        # A 400, but not the request's fault: the model wrote what Groq's tool or JSON mode does not accept.
        ErrorRule(ErrorKind.BAD_RESPONSE, codes=codes("tool_use_failed", "json_validate_failed")),
    ),
    limit_periods={"requests": "day", "tokens": "minute"},
)

BASE_URL = "https://api.groq.com/openai/v1"
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
