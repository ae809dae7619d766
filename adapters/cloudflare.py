"""Cloudflare Workers AI: OpenAI's format below an account's address; errors are numbers, and JSON is never streamed."""

from __future__ import annotations

from adapters.codec.dialect import PLATFORM, Dialect, Wire
from adapters.codec.error_rules import Rule, codes, words
from adapters.errors import ErrorKind

DEFAULT_MAX_TOKENS = 4096  # without one an answer ends after 256 tokens


def with_text(messages: Wire) -> Wire:
    """The messages with text in each, for beside tool calls too nothing is not accepted here."""
    return [{**message, "content": message["content"] or ""} for message in messages]


DIALECT = Dialect(
    drop=PLATFORM,
    defaults={"max_tokens": DEFAULT_MAX_TOKENS},
    json_streams=False,
    history=with_text,
    rules=(
        Rule(ErrorKind.QUOTA_EXHAUSTED, "day", codes=codes("3036", "4006")),  # the neurons of a day, back at 00:00 UTC
        Rule(ErrorKind.OVERLOADED, codes=codes("3040")),  # their capacity, not our quota
        Rule(ErrorKind.BILLING, "model", codes=codes("5035")),  # needs the paid plan
        Rule(ErrorKind.MODEL_GONE, codes=codes("5007", "3042", "5016")),  # 5016: its licence was not agreed to
        Rule(ErrorKind.CONTEXT_LENGTH, codes=codes("3006", "5021")),
        Rule(ErrorKind.SERVER_ERROR, codes=codes("3007", "3008")),
        Rule(ErrorKind.AUTH, codes=codes("10000")),
        Rule(ErrorKind.BAD_RESPONSE, text=words(r"json mode couldn.t be met")),
    ),
)

BASE_URL = ""  # it holds the account: https://api.cloudflare.com/client/v4/accounts/ACCOUNT_ID/ai/v1
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
