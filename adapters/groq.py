"""Groq: OpenAI's format; its limits are per day for requests and per minute for tokens, and roll."""

from __future__ import annotations

from adapters.codec.dialect import PLATFORM, Dialect
from adapters.codec.error_rules import Rule, codes
from adapters.errors import ErrorKind

DIALECT = Dialect(
    rename={"max_tokens": "max_completion_tokens"},
    drop=PLATFORM | {"logprobs", "top_logprobs", "logit_bias"},
    rules=(
        # 413 means that this one request is larger than a whole minute's tokens: no waiting will help it
        Rule(ErrorKind.CONTEXT_LENGTH, status=frozenset({413})),
        # the model wrote what its own tool or JSON mode does not accept; it may do better next time, or another will
        Rule(ErrorKind.BAD_RESPONSE, codes=codes("tool_use_failed", "json_validate_failed")),
    ),
    periods={"requests": "day", "tokens": "minute"},
)

BASE_URL = "https://api.groq.com/openai/v1"
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
