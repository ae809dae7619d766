"""Parameters of a chat request that pass through to the model, with the values that OpenAI's API reference allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from router.http.errors import ApiError
from router.http.values import bounded, invalid, named


def read_params(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The known parameters of a body, under the names of `ChatRequest.params`; raises a 400 for an invalid value.

    OpenAI replaced `max_tokens` by `max_completion_tokens`; both become `max_tokens`, and may not differ.
    """
    params: dict[str, Any] = {}
    for name, check in _CHECKS.items():
        if name not in document or (value := document[name]) is None:
            continue
        wanted = check(value)
        if wanted:
            raise invalid(f"{name} must be {wanted}, not {named(value)}", name)
        bounded(value, name)
        params[name] = [value] if name == "stop" and isinstance(value, str) else value
    for name in _MAX_TOKENS:
        if name not in document or (value := document[name]) is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise invalid(f"{name} must be a whole number of at least 1, not {named(value)}", name)
        if params.setdefault("max_tokens", value) != value:
            message = "max_tokens and max_completion_tokens differ, send one of them"
            raise ApiError(400, "conflicting_options", message, param=name)
    return MappingProxyType(params)


# --- one check per parameter: None for a valid value, else the expected value in words -------------------------------


def _number(low: float, high: float) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        good = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        return None if good else f"a number from {low:g} to {high:g}"

    return check


def _integer(low: int, high: int) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        good = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if good else f"a whole number from {low} to {high}"

    return check


def _a(kind: type, word: str) -> Callable[[Any], str | None]:
    return lambda value: None if isinstance(value, kind) else word


def _stop(value: Any) -> str | None:
    texts = [value] if isinstance(value, str) else value
    good = isinstance(texts, list) and 0 < len(texts) <= 16 and all(isinstance(text, str) for text in texts)
    return None if good else "a string or a list of 1 to 16 strings"


_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "temperature": _number(0, 2),
    "top_p": _number(0, 1),
    "presence_penalty": _number(-2, 2),
    "frequency_penalty": _number(-2, 2),
    "seed": _integer(-(2**63), 2**63 - 1),
    "stop": _stop,
    "logit_bias": _a(dict, "an object"),
    "logprobs": _a(bool, "true or false"),
    "top_logprobs": _integer(0, 20),
    "parallel_tool_calls": _a(bool, "true or false"),
    "reasoning_effort": _a(str, "a string"),
    "verbosity": _a(str, "a string"),
    "service_tier": _a(str, "a string"),
    "user": _a(str, "a string"),
    "safety_identifier": _a(str, "a string"),
    "prompt_cache_key": _a(str, "a string"),
    "metadata": _a(dict, "an object"),
    "store": _a(bool, "true or false"),
    "modalities": _a(list, "a list"),
    "prediction": _a(dict, "an object"),
}
_MAX_TOKENS = ("max_tokens", "max_completion_tokens")
PARAMS = frozenset({*_CHECKS, *_MAX_TOKENS})
