"""OpenAI: the format itself, with its newer name for the length of an answer and its own spend limits."""

from __future__ import annotations

from adapters.codec.dialect import Dialect
from adapters.codec.error_rules import Rule, codes
from adapters.errors import ErrorKind

DIALECT = Dialect(
    rename={"max_tokens": "max_completion_tokens"},  # the older name is refused by every reasoning model
    developer_role="developer",
    rules=(
        Rule(
            ErrorKind.BILLING,
            codes=codes(
                "organization_spend_limit_exceeded",
                "project_spend_limit_exceeded",
                "organization_usage_limit_exceeded",
            ),
        ),
    ),
    periods={"tokens": "minute"},  # requests are counted per minute or, on the lowest plans, per day: it does not say
)

BASE_URL = "https://api.openai.com/v1"
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
