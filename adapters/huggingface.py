"""Hugging Face's router: OpenAI's format, and behind it a provider whose errors and habits show through."""

from __future__ import annotations

from adapters import cerebras, groq
from adapters.codec.dialect import PLATFORM, Dialect, Variant
from adapters.codec.error_rules import Rule, words
from adapters.errors import ErrorKind

# A model pinned to a backend, as in `org/name:cerebras`, is asked as that backend wants to be asked.
_BACKENDS = {"cerebras": cerebras.DIALECT, "groq": groq.DIALECT}

DIALECT = Dialect(
    drop=PLATFORM,
    variants=tuple(
        Variant(words(f":{name}$"), backend.drop, backend.convert, backend.strict_schema)
        for name, backend in _BACKENDS.items()
    ),
    rules=(
        Rule(ErrorKind.BILLING, text=words(r"exceeded your monthly .{0,20}credits")),
        Rule(ErrorKind.MODEL_GONE, text=words(r"not supported by any provider")),
    ),
)

BASE_URL = "https://router.huggingface.co/v1"
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
