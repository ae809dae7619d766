"""Parses a request in Anthropic's format, and refuses what Anthropic refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatch
from typing import Any

import orjson

from router.simulator.conversation import Ask, Choice, Function, Picture, Turn
from router.simulator.wire import Invalid, picture
from router.simulator.wires.anthropic_thinking import check_thinking
from router.simulator.words import names

Body = dict[str, Any]
PARAMS = names(
    "model messages max_tokens system metadata stop_sequences stream temperature top_k top_p tools tool_choice "
    "thinking output_config output_format service_tier container context_management mcp_servers inference_geo "
    "cache_control"
)
COLD_MODELS = (
    "claude-opus-4-7*",
    "claude-opus-4-8*",
    "claude-opus-5*",
    "claude-opus-[6-9]*",
)  # refuse temperature, top_p and top_k
CHOICES: Mapping[str, Choice] = {"auto": "auto", "any": "required", "tool": "required", "none": "none"}
NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def read(raw: bytes) -> Ask:
    """The request as the model sees it. Raises Invalid, in Anthropic's words."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"The request body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise Invalid("Input should be a valid dictionary or object")
    for check in CHECKS:
        check(body)
    return _ask(body)


def _check_fields(body: Body) -> None:
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            raise Invalid(f"{name}: Field required")
    for name in body:
        if name not in PARAMS:
            raise Invalid(f"{name}: Extra inputs are not permitted")
    if not isinstance(body["model"], str) or not body["model"]:
        raise Invalid("model: String should have at least 1 character")
    if isinstance(body["max_tokens"], bool) or not isinstance(body["max_tokens"], int):
        raise Invalid("max_tokens: Input should be a valid integer")
    if body["max_tokens"] < 1:
        raise Invalid("max_tokens: Input should be greater than or equal to 1")


def _check_messages(body: Body) -> None:
    messages = body["messages"]
    if not isinstance(messages, list):
        raise Invalid("messages: Input should be a valid list")
    if not messages:
        raise Invalid("messages: at least one message is required")
    for at, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role == "system":
            raise Invalid(
                'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, '
                'not "system" as an input message role.'
            )
        if role not in ("user", "assistant"):
            raise Invalid(f"messages.{at}.role: Input should be 'user' or 'assistant'")
        if not isinstance(message.get("content"), str | list) or not message["content"]:
            raise Invalid(
                f"messages.{at}: all messages must have non-empty content except for the optional final assistant "
                f"message"
            )
        _check_blocks(message["content"], at)


def _check_blocks(content: str | list[Any], at: int) -> None:
    for index, block in enumerate(content if isinstance(content, list) else ()):
        kind = block.get("type") if isinstance(block, dict) else None
        if kind is None:
            raise Invalid(f"messages.{at}.content.{index}.type: Field required")
        if kind == "text" and not block.get("text"):
            raise Invalid("messages: text content blocks must be non-empty")
        if kind == "image":
            _picture(block, f"messages.{at}.content.{index}.image.source")


def _check_tool_turns(body: Body) -> None:
    """Every tool_use must be answered in the next message, and nothing else may be answered there."""
    waiting: list[str] = []
    for at, message in enumerate([*body["messages"], {"content": []}]):
        blocks = [block for block in message["content"] if isinstance(block, dict)]
        results = [str(block.get("tool_use_id")) for block in blocks if block.get("type") == "tool_result"]
        for one in results:
            if one not in waiting:
                raise Invalid(
                    f"messages.{at}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {one}. Each "
                    "`tool_result` block must have a corresponding `tool_use` block in the previous message."
                )
        missing = ", ".join(one for one in waiting if one not in results)
        if missing:
            raise Invalid(
                f"messages.{at - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{missing}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
            )
        waiting = [str(block.get("id")) for block in blocks if block.get("type") == "tool_use"]


def _check_sampling(body: Body) -> None:
    cold = any(fnmatch(body["model"], pattern) for pattern in COLD_MODELS)
    for name in ("temperature", "top_p", "top_k"):
        if cold and body.get(name) is not None:
            raise Invalid(f"{name}: not supported with this model.")
    for name in ("temperature", "top_p"):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Invalid(f"{name}: Input should be a valid number")
        if not 0 <= value <= 1:
            raise Invalid(
                f"{name}: Input should be {'less than or equal to 1' if value > 1 else 'greater than or equal to 0'}"
            )


def _check_tools(body: Body) -> None:
    for at, tool in enumerate(body.get("tools") or []):
        if not isinstance(tool, dict) or not NAME.fullmatch(str(tool.get("name", ""))):
            raise Invalid(f"tools.{at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if not isinstance(tool.get("input_schema"), dict):
            raise Invalid(f"tools.{at}.custom.input_schema: Field required")
        if tool["input_schema"].get("type") != "object":
            raise Invalid(f"tools.{at}.custom.input_schema.type: Field required")
    choice = body.get("tool_choice")
    if choice is not None and (not isinstance(choice, dict) or choice.get("type") not in CHOICES):
        raise Invalid("tool_choice: Input tag does not match any of the expected tags: 'auto', 'any', 'tool', 'none'")
    if choice is not None and not body.get("tools"):
        raise Invalid("tool_choice: may only be specified while providing tools")


def _check_format(body: Body) -> None:
    schema = _format(body).get("schema")
    if isinstance(schema, dict) and schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise Invalid(
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false"
        )


CHECKS: tuple[Callable[[Body], None], ...] = (
    _check_fields,
    _check_messages,
    _check_tool_turns,
    _check_sampling,
    check_thinking,
    _check_tools,
    _check_format,
)


def _format(body: Body) -> dict[str, Any]:
    form = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    return form if isinstance(form, dict) else {}


def _ask(body: Body) -> Ask:
    choice = body.get("tool_choice") or {}
    form = _format(body)
    system = [Turn("system", _text(body["system"]))] if body.get("system") else []
    turns = [turn for message in body["messages"] for turn in _turns(message)]
    return Ask(
        model=body["model"],
        turns=(*system, *turns),
        functions=tuple(
            Function(tool["name"], tool.get("description") or "", tool["input_schema"])
            for tool in body.get("tools") or []
        ),
        choice=CHOICES.get(choice.get("type", "auto"), "auto"),
        forced=choice.get("name"),
        form="json_schema" if form.get("type") == "json_schema" else "text",
        schema=form.get("schema") or {},
        stop=tuple(body.get("stop_sequences") or ()),
        max_tokens=body["max_tokens"],
        stream=bool(body.get("stream")),
        thinks=(body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
    )


def _turns(message: Body) -> Iterator[Turn]:
    """One turn, or two if tool results come with other content: the results first."""
    content = message["content"]
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    results = [block for block in blocks if block["type"] == "tool_result"]
    if results:
        yield Turn("tool", " ".join(_text(block.get("content")) for block in results))
    rest = [block for block in blocks if block["type"] != "tool_result"]
    if rest:
        seen = tuple(_picture(block, "image.source") for block in rest if block["type"] == "image")
        yield Turn("assistant" if message["role"] == "assistant" else "user", _text(rest), seen)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict) and part.get("type") == "text")


def _picture(block: Body, where: str) -> Picture:
    source = block.get("source") or {}
    if source.get("type") == "url":
        return Picture("image at a URL")
    seen = picture(str(source.get("media_type")), source.get("data"))
    if seen is None:
        raise Invalid(
            f"{where}.base64.data: The image was specified using the {source.get('media_type')} media type, "
            "but does not appear to be a valid image of that type"
        )
    return seen
