"""OpenRouter: OpenAI's format before many providers; its own limits and those of the provider behind it look alike."""

from __future__ import annotations

from adapters.codec.dialect import Dialect
from adapters.codec.error_rules import Rule, codes, words
from adapters.errors import ErrorKind

DIALECT = Dialect(
    rename={"reasoning_effort": "reasoning"},
    convert={"reasoning_effort": lambda effort: {"effort": effort}},
    reasoning_details="openrouter",
    rules=(
        # a 402 that passes by itself: other requests of ours have reserved the credits
        Rule(ErrorKind.RATE_LIMITED, codes=codes("openrouter_in_flight_budget")),
        Rule(ErrorKind.QUOTA_EXHAUSTED, "day", text=words(r"free-models-per-day|openrouter_free_tier_daily")),
        Rule(ErrorKind.RATE_LIMITED, "minute", text=words(r"free-models-per-min")),
        # the provider behind it is at its limit, for all of its callers: another model is not
        Rule(ErrorKind.RATE_LIMITED, "model", text=words(r"provider returned error"), status=frozenset({429})),
        Rule(ErrorKind.BILLING, text=words(r"can only afford|key limit exceeded"), status=frozenset({402, 403})),
    ),
)

BASE_URL = "https://openrouter.ai/api/v1"
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
