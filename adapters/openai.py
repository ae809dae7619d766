"""OpenAI: the format itself, with its newer name for the length of an answer and its own spend limits.

Source of the rules: OpenAI's API reference and its Python SDK.
"""

from __future__ import annotations

from adapters.codec.dialect import Dialect
from adapters.codec.error_rules import ErrorRule, codes
from adapters.errors import ErrorKind

DIALECT = Dialect(
    rename={"max_tokens": "max_completion_tokens"},  # every model takes it; reasoning models refuse the older name
    developer_role="developer",
    rules=(
        # A 429 like any rate limit, but only the owner of the account can raise these.
        ErrorRule(
            ErrorKind.BILLING,
            codes=codes(
                "organization_spend_limit_exceeded",
                "project_spend_limit_exceeded",
                "organization_usage_limit_exceeded",
            ),
        ),
    ),
    # Requests are counted by the minute or, on the lowest usage tiers, by the day, and the headers do not say which.
    limit_periods={"tokens": "minute"},
)

BASE_URL = "https://api.openai.com/v1"
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
