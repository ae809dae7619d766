"""OpenRouter: OpenAI's format in front of many providers; its own limits and those of the host behind it look alike.

Source of the rules: openrouter.ai/docs (errors, limits, reasoning tokens) and error bodies in public issues.
"""

from __future__ import annotations

from adapters.codec.dialect import Dialect
from adapters.codec.error_rules import ErrorRule, codes, pattern
from adapters.errors import ErrorKind

DIALECT = Dialect(
    rename={"reasoning_effort": "reasoning"},
    convert={"reasoning_effort": lambda effort: {"effort": effort}},
    reasoning_details="openrouter",
    rules=(
        # A 402 that passes by itself: requests under way have reserved the credits that are left.
        ErrorRule(ErrorKind.RATE_LIMITED, codes=codes("openrouter_in_flight_budget")),
        # One counter for all :free models and all keys of the account, until 00:00 UTC.
        ErrorRule(ErrorKind.QUOTA_EXHAUSTED, "day", text=pattern(r"free-models-per-day|openrouter_free_tier_daily")),
        ErrorRule(ErrorKind.RATE_LIMITED, "minute", text=pattern(r"free-models-per-min")),
        # The host behind it is at its limit, for all of its callers; another model has another host.
        ErrorRule(ErrorKind.RATE_LIMITED, "model", text=pattern(r"provider returned error"), status=frozenset({429})),
        ErrorRule(ErrorKind.BILLING, text=pattern(r"can only afford|key limit exceeded"), status=frozenset({402, 403})),
    ),
)

BASE_URL = "https://openrouter.ai/api/v1"
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
