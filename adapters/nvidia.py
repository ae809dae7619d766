"""NVIDIA's API catalog: OpenAI's format as far as the model behind it takes it, and problem documents for errors.

Source of the rules: build.nvidia.com, the tests of langchain-nvidia, and error bodies in public issues.
"""

from __future__ import annotations

from collections.abc import Mapping

from adapters.codec.dialect import PLATFORM_PARAMS, Dialect, ModelVariant
from adapters.codec.error_rules import ErrorRule, pattern
from adapters.errors import ErrorKind


def thinking_switch(effort: str) -> Mapping[str, bool]:
    """The chat template's switch for thinking, under both names that templates use for it."""
    return dict.fromkeys(("enable_thinking", "thinking"), effort != "none")


DIALECT = Dialect(
    rename={"reasoning_effort": "chat_template_kwargs"},
    drop=PLATFORM_PARAMS | {"parallel_tool_calls"},
    convert={"reasoning_effort": thinking_switch},
    variants=(  # other makers' models have no such switch, and some refuse the field
        ModelVariant(
            pattern(r"^(?!nvidia/|qwen/|deepseek-ai/|z-ai/|moonshotai/)"), drop=frozenset({"reasoning_effort"})
        ),
    ),
    rules=(
        ErrorRule(ErrorKind.OVERLOADED, text=pattern(r"degraded function")),  # a 400 that passes in seconds to hours
        ErrorRule(ErrorKind.MODEL_GONE, text=pattern(r"not found for account")),  # the model lives, but not for us
    ),
)

BASE_URL = "https://integrate.api.nvidia.com/v1"
build_request = DIALECT.build_request
dropped_params = DIALECT.dropped_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
