"""Parses the messages of a chat request: OpenAI's roles, content parts and tool calls, into canonical values."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast, get_args

from adapters.types import ContentPart, Image, Message, Opaque, Role, Text, ToolCall
from router.core.text import did_you_mean
from router.http.openai.reasoning_details import read_reasoning_details
from router.http.values import bounded, invalid, named, typed

MAX_MESSAGES = 2_000
ROLES = get_args(Role)
_PARTS = ("text", "image_url", "input_audio", "file", "refusal")
_IMAGE_URLS = ("https://", "http://", "data:image/")


def read_messages(value: Any) -> tuple[Message, ...]:
    """The body's `messages`; raises a 400 that names the path of the first mistake."""
    if value is None:
        raise invalid("messages is missing: send a list with at least one message", "messages")
    if not isinstance(value, list) or not value:
        raise invalid(f"messages must be a list with at least one message, not {named(value)}", "messages")
    if len(value) > MAX_MESSAGES:
        raise invalid(f"messages has {len(value)} entries, at most {MAX_MESSAGES} are allowed", "messages")
    return tuple([_message(item, f"messages[{index}]") for index, item in enumerate(value)])


def _message(item: Any, at: str) -> Message:
    if not isinstance(item, dict):
        raise invalid(f"{at} must be an object, not {named(item)}", at)
    role = item.get("role")
    if not isinstance(role, str) or role not in ROLES:
        near = did_you_mean(role, ROLES) if isinstance(role, str) else ""
        raise invalid(f"{at}.role must be one of {', '.join(ROLES)}, not {named(role)}{near}", f"{at}.role")
    calls = _tool_calls(item, at) if "tool_calls" in item else ()
    content = _content(item.get("content"), f"{at}.content")
    if not content and not calls and role != "assistant":
        raise invalid(f"{at}.content is missing", f"{at}.content")
    call_id = item.get("tool_call_id")
    if role == "tool" and not isinstance(call_id, str):
        raise invalid(f"{at}.tool_call_id must be the id of the tool call it answers", f"{at}.tool_call_id")
    name = item.get("name")
    details = item.get("reasoning_details") if role == "assistant" else None
    return Message(
        role=cast("Role", role),
        content=content,
        tool_calls=calls,
        tool_call_id=call_id if isinstance(call_id, str) else None,
        name=name if isinstance(name, str) else None,
        reasoning_details=read_reasoning_details(details, f"{at}.reasoning_details"),
    )


def _content(value: Any, at: str) -> tuple[ContentPart, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (Text(value),)
    if not isinstance(value, list):
        raise invalid(f"{at} must be a string or a list of parts, not {named(value)}", at)
    return tuple(_part(part, f"{at}[{index}]") for index, part in enumerate(value))


def _part(part: Any, at: str) -> ContentPart:
    kind = part.get("type") if isinstance(part, dict) else None
    match kind:
        case "text" | "refusal":
            text = part.get(kind)
            if not isinstance(text, str):
                raise invalid(f"{at}.{kind} must be a string, not {named(text)}", f"{at}.{kind}")
            return Text(text)
        case "image_url":
            return _image(part.get("image_url"), f"{at}.image_url")
        case "input_audio" | "file":
            bounded(part, at)
            return Opaque(MappingProxyType(part))
        case _:
            near = did_you_mean(kind, _PARTS) if isinstance(kind, str) else ""
            raise invalid(f"{at}.type must be one of {', '.join(_PARTS)}, not {named(kind)}{near}", f"{at}.type")


def _image(value: Any, at: str) -> Image:
    url = value.get("url") if isinstance(value, dict) else value  # some clients send the URL itself
    if not isinstance(url, str) or not url.startswith(_IMAGE_URLS):
        raise invalid(f"{at}.url must be an https: URL or a data:image/…;base64 URL", f"{at}.url")
    detail = value.get("detail") if isinstance(value, dict) else None
    return Image(url, detail if isinstance(detail, str) else None)


def _tool_calls(item: Mapping[str, Any], at: str) -> tuple[ToolCall, ...]:
    calls = typed(item, "tool_calls", list, "a list", f"{at}.") or ()
    return tuple(_tool_call(call, f"{at}.tool_calls[{index}]") for index, call in enumerate(calls))


def _tool_call(call: Any, at: str) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise invalid(f"{at} must be an object with id and function {{name, arguments}}", at)
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        raise invalid(
            f"{at}.function.arguments must be JSON as a string, not {named(arguments)}", f"{at}.function.arguments"
        )
    call_id = call.get("id")
    if not isinstance(call_id, str) or not call_id:
        raise invalid(f"{at}.id must be a string", f"{at}.id")
    return ToolCall(call_id, function["name"], arguments, _signature(call))


def _signature(call: Mapping[str, Any]) -> str | None:
    """The thought signature that was returned with this call, where Gemini's OpenAI-compatible endpoint has it."""
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else None
