"""The wire in: a chat request's body as canonical values, checked so that every mistake gets one clear sentence."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, cast, get_args

import orjson

from adapters.types import (
    ChatRequest,
    Image,
    Message,
    Opaque,
    Part,
    ResponseFormat,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from router.api.errors import ApiError

MAX_MESSAGES = 2_000
MAX_TOOLS = 256
MAX_DEPTH = 64  # of a JSON schema or any other nested value that is passed on

ROLES = get_args(Role)
ROUTING_FIELDS = frozenset({"quorum", "strategy", "tier", "council_size"})
_OWN_FIELDS = frozenset(
    {"model", "messages", "stream", "stream_options", "tools", "tool_choice", "response_format", "n"}
    | {"max_tokens", "max_completion_tokens"}
)


# --- the parameters that pass through, and what each may be ---------------------------------------------------------


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


_PARAMS: Mapping[str, Callable[[Any], str | None]] = {
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
KNOWN_FIELDS = ROUTING_FIELDS | _OWN_FIELDS | _PARAMS.keys()


class ChatBody:
    """A parsed body: the canonical `request`, and beside it what to route by, how to stream, what was ignored."""

    __slots__ = ("dropped", "include_usage", "model", "request", "routing", "stream")

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.dropped = _unknown_fields(document)
        self.model = _typed(document, "model", str, "a string") or "auto"
        self.stream = bool(_typed(document, "stream", bool, "true or false"))
        stream_options = _typed(document, "stream_options", dict, "an object") or {}
        self.include_usage = stream_options.get("include_usage") is True
        self.routing = {name: document[name] for name in ROUTING_FIELDS if document.get(name) is not None}
        if document.get("n") not in (None, 1):
            raise invalid("n must be 1: one request gets one answer", "n")
        self.request = ChatRequest(
            messages=_messages(document.get("messages")),
            tools=_tools(document.get("tools")),
            tool_choice=_tool_choice(document.get("tool_choice")),
            response_format=_response_format(document.get("response_format")),
            params=_params(document),
        )
        choice = self.request.tool_choice
        if choice and choice.mode in ("required", "tool") and not self.request.tools:
            raise invalid("tool_choice asks for a tool, but tools is empty", "tool_choice")


def parse_chat(body: bytes) -> ChatBody:
    """Reads a request body; raises `ApiError` 400 `invalid_body` naming the field, what is allowed, and a near miss."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise invalid(f"the body is not JSON: {error.msg} at {where}" if body else "the body is empty") from None
    if not isinstance(document, dict):
        raise invalid(f"the body must be a JSON object, not {_named(document)}")
    return ChatBody(document)


def invalid(message: str, param: str | None = None) -> ApiError:
    """A 400 about the body."""
    return ApiError(400, "invalid_body", message, param=param)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?` when a known word is near, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f", did you mean '{near[0]}'?" if near else ""


def _unknown_fields(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Fields we do not know are ignored and reported, unless they look like a slip of the pen: then better say so."""
    unknown = document.keys() - KNOWN_FIELDS
    for name in sorted(unknown):
        near = difflib.get_close_matches(name, KNOWN_FIELDS, n=1, cutoff=0.85)
        if near:
            raise invalid(f"unknown field '{name[:60]}', did you mean '{near[0]}'?", name[:60])
    return tuple(sorted(unknown))


def _params(document: Mapping[str, Any]) -> Mapping[str, Any]:
    params: dict[str, Any] = {}
    for name, check in _PARAMS.items():
        value = document.get(name)
        if value is None:
            continue
        wanted = check(value)
        if wanted:
            raise invalid(f"{name} must be {wanted}, not {_named(value)}", name)
        _bounded(value, name)
        params[name] = [value] if name == "stop" and isinstance(value, str) else value
    for name in ("max_tokens", "max_completion_tokens"):
        value = document.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise invalid(f"{name} must be a whole number of at least 1, not {_named(value)}", name)
        if params.setdefault("max_tokens", value) != value:
            message = "max_tokens and max_completion_tokens differ, send one of them"
            raise ApiError(400, "conflicting_options", message, param=name)
    return MappingProxyType(params)


# --- messages ---------------------------------------------------------------------------------------------------------


def _messages(value: Any) -> tuple[Message, ...]:
    if value is None:
        raise invalid("messages is missing: send a list with at least one message", "messages")
    if not isinstance(value, list) or not value:
        raise invalid(f"messages must be a list with at least one message, not {_named(value)}", "messages")
    if len(value) > MAX_MESSAGES:
        raise invalid(f"messages has {len(value)} entries, at most {MAX_MESSAGES} are allowed", "messages")
    return tuple(_message(item, f"messages[{index}]") for index, item in enumerate(value))


def _message(item: Any, at: str) -> Message:
    if not isinstance(item, dict):
        raise invalid(f"{at} must be an object, not {_named(item)}", at)
    role = item.get("role")
    if not isinstance(role, str) or role not in ROLES:
        near = did_you_mean(role, ROLES) if isinstance(role, str) else ""
        raise invalid(f"{at}.role must be one of {', '.join(ROLES)}, not {_named(role)}{near}", f"{at}.role")
    calls = tuple(
        _tool_call(call, f"{at}.tool_calls[{index}]") for index, call in enumerate(_list(item, "tool_calls", at))
    )
    content = _content(item.get("content"), f"{at}.content")
    if not content and not calls and role != "assistant":
        raise invalid(f"{at}.content is missing", f"{at}.content")
    call_id = item.get("tool_call_id")
    if role == "tool" and not isinstance(call_id, str):
        raise invalid(f"{at}.tool_call_id must be the id of the call that this answers", f"{at}.tool_call_id")
    name = item.get("name")
    return Message(
        role=cast("Role", role),
        content=content,
        tool_calls=calls,
        tool_call_id=call_id if isinstance(call_id, str) else None,
        name=name if isinstance(name, str) else None,
    )


def _content(value: Any, at: str) -> tuple[Part, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (Text(value),)
    if not isinstance(value, list):
        raise invalid(f"{at} must be a string or a list of parts, not {_named(value)}", at)
    return tuple(_part(part, f"{at}[{index}]") for index, part in enumerate(value))


def _part(part: Any, at: str) -> Part:
    kind = part.get("type") if isinstance(part, dict) else None
    match kind:
        case "text" | "refusal":
            text = part.get(kind)
            if not isinstance(text, str):
                raise invalid(f"{at}.{kind} must be a string, not {_named(text)}", f"{at}.{kind}")
            return Text(text)
        case "image_url":
            return _image(part.get("image_url"), f"{at}.image_url")
        case "input_audio" | "file":
            _bounded(part, at)
            return Opaque(MappingProxyType(part))
        case _:
            kinds = ("text", "image_url", "input_audio", "file", "refusal")
            near = did_you_mean(kind, kinds) if isinstance(kind, str) else ""
            raise invalid(f"{at}.type must be one of {', '.join(kinds)}, not {_named(kind)}{near}", f"{at}.type")


def _image(value: Any, at: str) -> Image:
    url = value.get("url") if isinstance(value, dict) else None
    if not isinstance(url, str) or not url.startswith(("https://", "http://", "data:image/")):
        raise invalid(f"{at}.url must be an https: URL or a data:image/…;base64 URL", f"{at}.url")
    detail = value.get("detail")
    return Image(url, detail if isinstance(detail, str) else None)


def _tool_call(call: Any, at: str) -> ToolCall:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise invalid(f"{at} must be an object with id and function {{name, arguments}}", at)
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        raise invalid(f"{at}.function.arguments must be JSON as a string, not {_named(arguments)}", at)
    call_id = call.get("id")
    if not isinstance(call_id, str) or not call_id:
        raise invalid(f"{at}.id must be a string", f"{at}.id")
    return ToolCall(call_id, function["name"], arguments, _signature(call))


def _signature(call: Mapping[str, Any]) -> str | None:
    """The proof of thinking that we handed out with the call, in the form that Gemini's OpenAI surface uses."""
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) else None


# --- tools and forms --------------------------------------------------------------------------------------------------


def _tools(value: Any) -> tuple[Tool, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise invalid(f"tools must be a list, not {_named(value)}", "tools")
    if len(value) > MAX_TOOLS:
        raise invalid(f"tools has {len(value)} entries, at most {MAX_TOOLS} are allowed", "tools")
    return tuple(_tool(item, f"tools[{index}]") for index, item in enumerate(value))


def _tool(item: Any, at: str) -> Tool:
    if not isinstance(item, dict) or item.get("type") != "function":
        raise invalid(f"{at}.type must be 'function'", f"{at}.type")
    function = item.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise invalid(f"{at}.function must be an object with a name", f"{at}.function")
    parameters = function.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise invalid(f"{at}.function.parameters must be a JSON Schema object", f"{at}.function.parameters")
    _bounded(parameters, f"{at}.function.parameters")
    return Tool(
        name=function["name"],
        description=_typed(function, "description", str, "a string"),
        parameters=parameters,
        strict=_typed(function, "strict", bool, "true or false"),
    )


def _tool_choice(value: Any) -> ToolChoice | None:
    match value:
        case None:
            return None
        case "auto" | "none" | "required":
            return ToolChoice(value)
        case {"type": "function", "function": {"name": str(name)}}:
            return ToolChoice("tool", name)
        case _:
            allowed = "'auto', 'none', 'required' or {type: function, function: {name}}"
            raise invalid(f"tool_choice must be {allowed}, not {_named(value)}", "tool_choice")


def _response_format(value: Any) -> ResponseFormat | None:
    match value:
        case None:
            return None
        case {"type": "text" | "json_object" as kind}:
            return ResponseFormat(kind)
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)} as form}:
            _bounded(schema, "response_format.json_schema.schema")
            return ResponseFormat(
                "json_schema",
                name=_typed(form, "name", str, "a string") or "answer",
                schema=MappingProxyType(schema),
                strict=_typed(form, "strict", bool, "true or false"),
                description=_typed(form, "description", str, "a string"),
            )
        case {"type": "json_schema"}:
            at = "response_format.json_schema.schema"
            raise invalid(f"{at} is missing: it must be a JSON Schema object", at)
        case _:
            allowed = "{type: text}, {type: json_object} or {type: json_schema, json_schema: {name, schema}}"
            raise invalid(f"response_format must be {allowed}", "response_format")


# --- small words ------------------------------------------------------------------------------------------------------


def _typed(document: Mapping[str, Any], name: str, kind: type, word: str) -> Any:
    value = document.get(name)
    if value is not None and not isinstance(value, kind):
        raise invalid(f"{name} must be {word}, not {_named(value)}", name)
    return value


def _list(item: Mapping[str, Any], name: str, at: str) -> list[Any]:
    value = item.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise invalid(f"{at}.{name} must be a list, not {_named(value)}", f"{at}.{name}")
    return value


def _bounded(value: Any, at: str) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise invalid(f"{at} is nested deeper than {MAX_DEPTH} levels", at)


def _named(value: Any) -> str:
    """A value in words for an error: short texts and numbers as they are, everything else by its kind."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str() if len(value) <= 40:
            return repr(value)
        case int() | float():
            return str(value)[:40]
        case str():
            return f"a text of {len(value)} characters"
        case list():
            return f"a list of {len(value)}"
        case _:
            return "an object"
