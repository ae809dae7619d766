"""xAI: OpenAI's format; reasoning is billed beside the completion, and only words tell billing from permission."""

from __future__ import annotations

from adapters.codec.dialect import PLATFORM, Dialect, Variant
from adapters.codec.error_rules import Rule, words
from adapters.codec.request_parts import worded
from adapters.errors import ErrorKind

_EFFORT = frozenset({"reasoning_effort"})
_SAMPLING = frozenset({"presence_penalty", "frequency_penalty", "stop"})  # refused by every model that reasons
_LOW_AT_LEAST = {"none": "low", "minimal": "low", "xhigh": "high"}

DIALECT = Dialect(
    drop=PLATFORM,
    variants=(
        Variant(words(r"non-reasoning"), drop=_EFFORT),
        Variant(
            words(r"^grok-3-mini"),
            drop=_SAMPLING,
            convert={"reasoning_effort": worded({**_LOW_AT_LEAST, "medium": "high"})},
        ),
        # think as much as they like, up to grok-4.20
        Variant(words(r"^grok-(?:[34](?:-|$)|4\.[0-2]|code)"), drop=_SAMPLING | _EFFORT),
        Variant(
            words(r"^grok-4\.3"),
            drop=_SAMPLING,
            convert={"reasoning_effort": worded({**_LOW_AT_LEAST, "none": "none"})},
        ),
        Variant(words(r""), drop=_SAMPLING, convert={"reasoning_effort": worded(_LOW_AT_LEAST)}),
    ),
    rules=(
        # a refused key is a 400, a spent balance a 403 or 429, a stopped prompt a 403: words tell, and those of keys
        # and balances are common to all providers
        Rule(ErrorKind.CONTENT_FILTER, text=words(r"violates usage guidelines|failed check: safety")),
    ),
    periods={"requests": "minute", "tokens": "minute"},
    reasoning_inside=False,
)

BASE_URL = "https://api.x.ai/v1"
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
