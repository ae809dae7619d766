"""Cloudflare Workers AI: OpenAI's format below an account's address; errors are numbers, and JSON is never streamed.

Source of the rules: developers.cloudflare.com/workers-ai (platform/errors, platform/pricing, JSON mode).
"""

from __future__ import annotations

from adapters.codec.dialect import PLATFORM_PARAMS, Dialect, WireMessages
from adapters.codec.error_rules import ErrorRule, codes, pattern
from adapters.errors import ErrorKind

DEFAULT_MAX_TOKENS = 4096  # Cloudflare's own default is 256, which cuts most answers


def with_text(messages: WireMessages) -> WireMessages:
    """The messages with a string as content in each: null is refused here, even beside tool calls."""
    return [{**message, "content": message["content"] or ""} for message in messages]


DIALECT = Dialect(
    drop=PLATFORM_PARAMS,
    defaults={"max_tokens": DEFAULT_MAX_TOKENS},
    json_streams=False,
    history=with_text,
    rules=(
        # The day's neurons, back at 00:00 UTC. 3036 is the documented number, 4006 what is sent.
        ErrorRule(ErrorKind.QUOTA_EXHAUSTED, "day", codes=codes("3036", "4006")),
        ErrorRule(ErrorKind.OVERLOADED, codes=codes("3040")),  # also a 429, but their capacity and not our quota
        ErrorRule(ErrorKind.BILLING, "model", codes=codes("5035")),  # this model needs the paid plan
        ErrorRule(ErrorKind.MODEL_GONE, codes=codes("5007", "3042", "5016")),  # 5016: its licence was not agreed to
        ErrorRule(ErrorKind.CONTEXT_LENGTH, codes=codes("3006", "5021")),
        ErrorRule(ErrorKind.SERVER_ERROR, codes=codes("3007", "3008")),  # timed out, aborted
        ErrorRule(ErrorKind.AUTH, codes=codes("10000")),
        # The model failed at its own JSON mode; another try may succeed.
        ErrorRule(ErrorKind.BAD_RESPONSE, text=pattern(r"json mode couldn.t be met")),
    ),
)

BASE_URL = ""  # holds the account: https://api.cloudflare.com/client/v4/accounts/ACCOUNT_ID/ai/v1
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
