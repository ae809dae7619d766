"""Hugging Face's router: OpenAI's format, and behind it other providers whose errors and habits show through.

Source of the rules: huggingface.co/docs/inference-providers and recorded answers of its backends.
"""

from __future__ import annotations

from adapters import cerebras, groq
from adapters.codec.dialect import PLATFORM_PARAMS, Dialect, ModelVariant
from adapters.codec.error_rules import ErrorRule, pattern
from adapters.errors import ErrorKind

# A model pinned to a backend, as in `org/name:cerebras`, is asked as that backend wants to be asked.
_BACKENDS = {"cerebras": cerebras.DIALECT, "groq": groq.DIALECT}

DIALECT = Dialect(
    drop=PLATFORM_PARAMS,
    variants=tuple(
        ModelVariant(pattern(f":{name}$"), backend.drop, backend.convert, backend.strict_schema)
        for name, backend in _BACKENDS.items()
    ),
    rules=(
        ErrorRule(ErrorKind.BILLING, text=pattern(r"exceeded your monthly .{0,20}credits")),  # "monthly", yet no quota
        ErrorRule(ErrorKind.MODEL_GONE, text=pattern(r"not supported by any provider")),  # a 400
    ),
)

BASE_URL = "https://router.huggingface.co/v1"
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
