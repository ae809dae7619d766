"""NVIDIA's API catalog: OpenAI's format as far as the model behind it goes, and problem documents for errors."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.codec.dialect import PLATFORM, Dialect, Variant
from adapters.codec.error_rules import Rule, words
from adapters.errors import ErrorKind


def thinking(effort: str) -> Mapping[str, bool]:
    """The switch that chat templates know, under both of the names they give it."""
    return dict.fromkeys(("enable_thinking", "thinking"), effort != "none")


DIALECT = Dialect(
    rename={"reasoning_effort": "chat_template_kwargs"},
    drop=PLATFORM | {"parallel_tool_calls"},
    convert={"reasoning_effort": thinking},
    variants=(  # other models have no such switch, and some refuse the field
        Variant(words(r"^(?!nvidia/|qwen/|deepseek-ai/|z-ai/|moonshotai/)"), drop=frozenset({"reasoning_effort"})),
    ),
    rules=(
        Rule(ErrorKind.OVERLOADED, text=words(r"degraded function")),  # a 400 that passes by itself
        Rule(ErrorKind.MODEL_GONE, text=words(r"not found for account")),  # alive, but not ours to call
    ),
)

BASE_URL = "https://integrate.api.nvidia.com/v1"
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
