"""xAI: OpenAI's format; reasoning is billed beside the completion, and only words tell billing from permission.

Source of the rules: docs.x.ai, the model profiles of pydantic-ai (profiles/grok.py) for parameters by model, and
recorded answers.
"""

from __future__ import annotations

from adapters.codec.dialect import PLATFORM_PARAMS, Dialect, ModelVariant
from adapters.codec.error_rules import ErrorRule, pattern
from adapters.codec.request_body import mapped
from adapters.errors import ErrorKind

_EFFORT = frozenset({"reasoning_effort"})
_SAMPLING = frozenset({"presence_penalty", "frequency_penalty", "stop"})  # refused by every model that reasons
_LOW_AT_LEAST = {"none": "low", "minimal": "low", "xhigh": "high"}

DIALECT = Dialect(
    drop=PLATFORM_PARAMS,
    variants=(
        ModelVariant(pattern(r"non-reasoning"), drop=_EFFORT),
        ModelVariant(
            pattern(r"^grok-3-mini"),
            drop=_SAMPLING,
            convert={"reasoning_effort": mapped({**_LOW_AT_LEAST, "medium": "high"})},  # it knows low and high only
        ),
        # grok-3, grok-4 up to 4.20 and grok-code reason as much as they like, and refuse to be told.
        ModelVariant(pattern(r"^grok-(?:[34](?:-|$)|4\.[0-2]|code)"), drop=_SAMPLING | _EFFORT),
        ModelVariant(
            pattern(r"^grok-4\.3"),
            drop=_SAMPLING,
            convert={"reasoning_effort": mapped({**_LOW_AT_LEAST, "none": "none"})},  # the only one to take none
        ),
        ModelVariant(pattern(r""), drop=_SAMPLING, convert={"reasoning_effort": mapped(_LOW_AT_LEAST)}),
    ),
    rules=(
        # A bad key is a 400, spent credits a 403 or 429, a stopped prompt a 403, and their codes have changed between
        # 2025 and 2026: the sentence decides. Those about keys and credits are among the common rules.
        ErrorRule(ErrorKind.CONTENT_FILTER, text=pattern(r"violates usage guidelines|failed check: safety")),
    ),
    limit_periods={"requests": "minute", "tokens": "minute"},
    # completion_tokens leaves reasoning out, total_tokens has it: 12 + 1 + 228 = 241 in a recorded answer.
    reasoning_in_output=False,
)

BASE_URL = "https://api.x.ai/v1"
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
