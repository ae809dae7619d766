"""Checks on requests in OpenAI's format, and how strict each provider of that format is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from router.simulator.conversation import Role
from router.simulator.wire import Invalid

Body = dict[str, Any]
ROLES: Mapping[str, Role] = MappingProxyType(
    {
        "system": "system",
        "developer": "system",
        "user": "user",
        "assistant": "assistant",
        "tool": "tool",
        "function": "tool",
    }
)
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Phrase(NamedTuple):
    """A provider's sentence for one failed check, with blanks for what was found, and its code and status."""

    message: str
    code: str | None = None
    status: int = 400


PHRASES: Mapping[str, Phrase] = MappingProxyType(
    {
        "json": Phrase("We could not parse the JSON body of your request.", None),
        "model": Phrase("you must provide a model parameter", None),
        "missing": Phrase("Missing required parameter: '{param}'.", "missing_required_parameter"),
        "empty": Phrase(
            "Invalid '{param}': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "empty_array",
        ),
        "type": Phrase("Invalid type for '{param}': expected {expected}.", "invalid_type"),
        "role": Phrase("Invalid value: '{value}'. Supported values are: {allowed}.", "invalid_value"),
        "high": Phrase(
            "Invalid '{param}': decimal above maximum value. Expected a value <= {bound}, but got {value} instead.",
            "decimal_above_max_value",
        ),
        "low": Phrase(
            "Invalid '{param}': decimal below minimum value. Expected a value >= {bound}, but got {value} instead.",
            "decimal_below_min_value",
        ),
        "unknown": Phrase("Unrecognized request argument supplied: {param}", None),
        "name": Phrase(
            "Invalid '{param}': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'.",
            "invalid_value",
        ),
        "orphan": Phrase(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
            "'tool_calls'.",
            None,
        ),
        "unanswered": Phrase(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: {value}",
            None,
        ),
        "stream_options": Phrase("The 'stream_options' parameter is only allowed when 'stream' is enabled.", None),
        "image": Phrase(
            "You uploaded an unsupported image. Please make sure your image has of one the following formats: "
            "['png', 'jpeg', 'gif', 'webp'].",
            "invalid_image_format",
        ),
        "json_word": Phrase(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            None,
        ),
        "strict_schema": Phrase(
            "Invalid schema for response_format '{value}': In context=(), 'additionalProperties' is required to be "
            "supplied and to be false.",
            None,
        ),
        "max_tokens": Phrase(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
            "instead.",
            "unsupported_parameter",
        ),
        "sampling": Phrase(
            "Unsupported value: '{param}' does not support {value} with this model. Only the default (1) value is "
            "supported.",
            "unsupported_value",
        ),
    }
)


BOUNDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "temperature": (0, 2),
        "top_p": (0, 1),
        "presence_penalty": (-2, 2),
        "frequency_penalty": (-2, 2),
        "max_tokens": (1, 10_000_000),
        "max_completion_tokens": (1, 10_000_000),
    }
)


Check = Callable[[Body, "Manners"], None]


@dataclass(frozen=True, slots=True)
class Manners:
    """How strict one provider of this format is, and in which words it complains.

    `params` are the parameters it knows; None if it ignores others. `bounds` are the ranges of numbers. `json_word` if
    JSON mode demands the word "json" in the messages. `spelled` turns the place of a fault, given as
    `messages[0].role`, into the provider's own notation.
    """

    phrases: Mapping[str, Phrase] = field(default_factory=lambda: PHRASES)
    params: frozenset[str] | None = None
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=lambda: BOUNDS)
    checks: tuple[Check, ...] = field(default_factory=lambda: CHECKS)
    plain_models: tuple[str, ...] = ("*",)  # models that do not reason: they take max_tokens and any temperature
    json_word: bool = False
    spelled: Callable[[str], str] = str

    def complain(self, phrase: str, param: str | None = None, **words: Any) -> Invalid:
        """The complaint called `phrase`, in the provider's words."""
        message, code, status = self.phrases[phrase]
        said = message.format(param=self.spelled(param or ""), **words)
        return Invalid(said, param=param, code=code, status=status, given=words.get("value"))


def steps(param: str) -> list[str | int]:
    """The path to a field as a list: `messages[0].role` is `messages`, 0, `role`."""
    return [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", param)]


def _check_model(body: Body, manners: Manners) -> None:
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise manners.complain("model")


def _check_messages(body: Body, manners: Manners) -> None:
    messages = body.get("messages")
    if messages is None:
        raise manners.complain("missing", "messages")
    if not isinstance(messages, list):
        raise manners.complain("type", "messages", expected="an array of objects")
    if not messages:
        raise manners.complain("empty", "messages")
    for at, message in enumerate(messages):
        _check_message(message, f"messages[{at}]", manners)


def _check_message(message: Any, where: str, manners: Manners) -> None:
    if not isinstance(message, dict):
        raise manners.complain("type", where, expected="an object")
    if message.get("role") not in ROLES:
        allowed = ", ".join(f"'{role}'" for role in ROLES)
        raise manners.complain("role", f"{where}.role", value=message.get("role"), allowed=allowed)
    content = message.get("content")
    if content is None and not (message["role"] == "assistant" and message.get("tool_calls")):
        raise manners.complain("missing", f"{where}.content")
    if not isinstance(content, str | list | None):
        raise manners.complain("type", f"{where}.content", expected="a string or an array of parts")


def _check_tool_turns(body: Body, manners: Manners) -> None:
    """Every tool message must answer a call of the assistant's last turn, and every call must be answered."""
    waiting: list[str] = []
    for at, message in enumerate(body["messages"]):
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                raise manners.complain("orphan", f"messages.[{at}].role")
            waiting.remove(message["tool_call_id"])
        elif waiting:
            raise manners.complain("unanswered", f"messages.[{at}].role", value=", ".join(waiting))
        else:
            waiting = [str(call.get("id")) for call in message.get("tool_calls") or [] if isinstance(call, dict)]
    if waiting:
        raise manners.complain("unanswered", "messages", value=", ".join(waiting))


def _check_params(body: Body, manners: Manners) -> None:
    for name, value in body.items():
        if manners.params is not None and name not in manners.params:
            raise manners.complain("unknown", name, value=value)


def _check_stream_options(body: Body, manners: Manners) -> None:
    if body.get("stream_options") is not None and not body.get("stream"):
        raise manners.complain("stream_options", "stream_options")


def _check_numbers(body: Body, manners: Manners) -> None:
    for name, (low, high) in manners.bounds.items():
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise manners.complain("type", name, expected="a number")
        if not low <= value <= high:
            raise manners.complain(
                "high" if value > high else "low", name, bound=f"{high if value > high else low:g}", value=value
            )


def _check_reasoning_model(body: Body, manners: Manners) -> None:
    if any(fnmatch(body["model"], pattern) for pattern in manners.plain_models):
        return
    if body.get("max_tokens") is not None:
        raise manners.complain("max_tokens", "max_tokens")
    free = body.get("reasoning_effort") == "none"
    for name in ("temperature", "top_p"):
        if not free and body.get(name) not in (None, 1):
            raise manners.complain("sampling", name, value=body[name])


def _check_tools(body: Body, manners: Manners) -> None:
    for at, tool in enumerate(body.get("tools") or []):
        function = tool.get("function") if isinstance(tool, dict) else None
        where = f"tools[{at}].function"
        if not isinstance(function, dict):
            raise manners.complain("missing", where)
        if not isinstance(function.get("name"), str):
            raise manners.complain("missing", f"{where}.name")
        if not NAME.fullmatch(function["name"]):
            raise manners.complain("name", f"{where}.name")


def _check_format(body: Body, manners: Manners) -> None:
    form = body.get("response_format") or {}
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "json_object" and manners.json_word and b"json" not in orjson.dumps(body["messages"]).lower():
        raise manners.complain("json_word", "messages")
    if kind != "json_schema":
        return
    described = form.get("json_schema")
    if not isinstance(described, dict) or not isinstance(described.get("schema"), dict):
        raise manners.complain("missing", "response_format.json_schema")
    if not isinstance(described.get("name"), str):
        raise manners.complain("missing", "response_format.json_schema.name")


def check_strict_schema(body: Body, manners: Manners) -> None:
    """A strict schema must have `additionalProperties: false`."""
    form = body.get("response_format")
    described = form.get("json_schema") if isinstance(form, dict) else None
    if not isinstance(described, dict):
        return
    if described.get("strict") and (described.get("schema") or {}).get("additionalProperties") is not False:
        raise manners.complain("strict_schema", "response_format", value=described.get("name"))


# Checks of every provider of this format; some add their own.
COMMON: tuple[Check, ...] = (
    _check_model,
    _check_messages,
    _check_tool_turns,
    _check_params,
    _check_numbers,
    _check_tools,
    _check_format,
)
CHECKS: tuple[Check, ...] = (*COMMON, _check_stream_options, _check_reasoning_model, check_strict_schema)
