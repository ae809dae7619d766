"""Cohere's v2 chat API: errors with one message, finish reasons in upper case, and a plan before tool calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson

from router.simulator.conversation import Ask, Call, Choice, Form, Function, Picture, Reply, Role, Turn, pieces
from router.simulator.weather import Fault
from router.simulator.wire import HEX, Incoming, Invalid, Problem, Refusal, Row, Stamp, bearer, data_url, sse
from router.simulator.words import names

Body = dict[str, Any]
ROLES: Mapping[str, Role] = MappingProxyType(
    {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
)
CHOICES: Mapping[str | None, Choice] = MappingProxyType({None: "auto", "REQUIRED": "required", "NONE": "none"})
PARAMS = names(
    "model messages tools strict_tools documents citation_options response_format safety_mode max_tokens "
    "stop_sequences "
    "temperature seed frequency_penalty presence_penalty k p logprobs tool_choice thinking stream priority"
)
FINISH = {"stop": "COMPLETE", "stop_sequence": "STOP_SEQUENCE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL"}
PREAMBLE = 480  # tokens that Cohere counts and does not bill: its own hidden prompt
TRIAL = (
    "You are using a Trial key, which is limited to {value} API calls / {window}. You can continue to use the Trial "
    "key for free or upgrade to a Production key with higher rate limits at 'https://dashboard.cohere.com/api-keys'."
)
FAULTS: Mapping[Fault, Row] = MappingProxyType(
    {
        Fault.NO_KEY: Row(401, "no api key supplied"),
        Fault.BAD_KEY: Row(
            401,
            "Incorrect API key provided: ***********. You can find your API key at "
            "https://dashboard.cohere.com/api-keys.",
        ),
        Fault.INVALID: Row(400, "{message}"),
        Fault.TOO_LARGE: Row(413, "request body too large"),
        Fault.RATE_LIMITED: Row(429, TRIAL.replace("{value}", "{limit}").replace("{window}", "minute")),
        Fault.QUOTA_DAY: Row(429, TRIAL.replace("{value}", "1000").replace("{window}", "month")),
        Fault.BILLING: Row(
            402,
            "Please add or update your payment method at https://dashboard.cohere.com/billing?tab=payment to continue",
        ),
        Fault.MODEL_GONE: Row(
            404,
            "model '{model}' not found, make sure the correct model ID was used and that you have access to the model.",
        ),
        Fault.CONTEXT_LENGTH: Row(
            400,
            "too many tokens: size limit exceeded by 25836 tokens. Try using shorter or fewer inputs. The limit for "
            "this model is 288000 tokens.",
            "TOO_MANY_TOKENS",
        ),
        Fault.CONTENT_FILTER: Row(498, "the request was blocked"),
        Fault.SERVER_ERROR: Row(500, "internal server error, this has been reported to our developers."),
        Fault.OVERLOADED: Row(503, "the service is overloaded, please try again later"),
        Fault.OUTAGE: Row(503, "service unavailable"),
        Fault.TIMEOUT: Row(504, "the request timed out"),
        Fault.NO_ACCESS: Row(403, "your API key does not have access to model '{model}'"),
    }
)


@dataclass(frozen=True, slots=True)
class CohereWire:
    """The wire of api.cohere.com."""

    def key(self, incoming: Incoming) -> str | None:
        return bearer(incoming)

    def model(self, incoming: Incoming) -> str:
        model = incoming.peek("model")
        return model if isinstance(model, str) else ""

    def parse(self, incoming: Incoming) -> Ask:
        try:
            body = orjson.loads(incoming.body)
        except orjson.JSONDecodeError as error:
            raise Invalid(f"failed to parse request body: {error}") from error
        if not isinstance(body, dict):
            raise Invalid("failed to parse request body: expected an object")
        for check in CHECKS:
            check(body)
        return _ask(body)

    def stream_type(self, ask: Ask) -> str:
        return "text/event-stream"

    def refuse(self, problem: Problem) -> Refusal | None:
        row = FAULTS.get(problem.fault)
        if row is None:
            return None
        message = row.message.format_map(problem.words())
        kind = {"error_type": row.kind} if row.kind else {}
        status = problem.invalid.status if problem.invalid else row.status
        return Refusal(status, {"id": problem.stamp.uuid(), "message": message} | kind, self.headers(problem.stamp))

    def stream_error(self, ask: Ask, problem: Problem) -> bytes:
        """The end of the message with the finish reason ERROR: Cohere has no error event."""
        return sse({"type": "message-end", "delta": {"finish_reason": "ERROR"}}, event="message-end")

    def headers(self, stamp: Stamp) -> dict[str, str]:
        headers = {"x-debug-trace-id": stamp.ident(32, HEX, "trace")}
        if stamp.standing.quota.per_minute:
            headers["x-trial-endpoint-call-limit"] = str(stamp.standing.quota.per_minute)
            headers["x-trial-endpoint-call-remaining"] = str(stamp.standing.left_minute)
        return headers

    def models(self, names: Sequence[str], stamp: Stamp) -> Any:
        return {"models": [{"name": name, "endpoints": ["chat"], "context_length": 288_000} for name in names]}

    def whole(self, ask: Ask, reply: Reply, stamp: Stamp) -> Any:
        message: dict[str, Any] = {"role": "assistant"}
        if reply.calls:
            message["tool_plan"] = _plan(reply)
            message["tool_calls"] = [_call(call, at, stamp) for at, call in enumerate(reply.calls)]
        if not reply.calls:
            thought = [{"type": "thinking", "thinking": reply.reasoning}] if reply.reasoning else []
            said = [] if reply.finish == "nothing" else [{"type": "text", "text": reply.text}]
            message["content"] = thought + said
        finish = FINISH.get(reply.finish, "COMPLETE")
        return {"id": stamp.uuid(), "message": message, "finish_reason": finish, "usage": _usage(reply)}

    def frames(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        for event in self._events(reply, stamp):
            yield sse(event, event=event["type"])
        yield sse("[DONE]")

    def _events(self, reply: Reply, stamp: Stamp) -> Iterator[dict[str, Any]]:
        blank = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        yield {"id": stamp.uuid(), "type": "message-start", "delta": {"message": blank}}
        yield from _tool_events(reply, stamp) if reply.calls else _content_events(reply)
        ends = {"finish_reason": FINISH.get(reply.finish, "COMPLETE"), "usage": _usage(reply)}
        yield {"type": "message-end", "delta": ends}


def _tool_events(reply: Reply, stamp: Stamp) -> Iterator[dict[str, Any]]:
    for piece in pieces(_plan(reply)):
        yield {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": piece}}}
    for at, call in enumerate(reply.calls):
        opened = _call(call, at, stamp)
        opened["function"] = {"name": call.name, "arguments": ""}
        yield {"type": "tool-call-start", "index": at, "delta": {"message": {"tool_calls": opened}}}
        for piece in pieces(call.json):
            said = {"function": {"arguments": piece}}
            yield {"type": "tool-call-delta", "index": at, "delta": {"message": {"tool_calls": said}}}
        yield {"type": "tool-call-end", "index": at}


def _content_events(reply: Reply) -> Iterator[dict[str, Any]]:
    filled = [(kind, text) for kind, text in (("thinking", reply.reasoning), ("text", reply.text)) if text]
    for at, (kind, text) in enumerate(filled):
        yield {"type": "content-start", "index": at, "delta": {"message": {"content": {"type": kind, kind: ""}}}}
        for piece in pieces(text):
            yield {"type": "content-delta", "index": at, "delta": {"message": {"content": {kind: piece}}}}
        yield {"type": "content-end", "index": at}


def _call(call: Call, at: int, stamp: Stamp) -> dict[str, Any]:
    ident = f"{call.name}_{stamp.ident(12, 'abcdefghijklmnopqrstuvwxyz0123456789', ('call', at))}"
    return {"id": ident, "type": "function", "function": {"name": call.name, "arguments": call.json}}


def _plan(reply: Reply) -> str:
    return f"I will use the {reply.calls[0].name} tool and relay what it says."


def _usage(reply: Reply) -> dict[str, Any]:
    output = reply.output_tokens + reply.reasoning_tokens
    tokens = {"input_tokens": reply.input_tokens + PREAMBLE, "output_tokens": output + 4}
    thought = {"reasoning_tokens": reply.reasoning_tokens} if reply.reasoning_tokens else {}
    return {
        "billed_units": {"input_tokens": reply.input_tokens, "output_tokens": output},
        "tokens": tokens | thought,
        "cached_tokens": 0,
    }


# --- the request


def _check_fields(body: Body) -> None:
    for name in body:
        if name not in PARAMS:
            raise Invalid(f"unknown field: parameter '{name}' is not a valid field", status=422)
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise Invalid("invalid request: model is required")
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise Invalid("invalid request: messages must contain at least one message")


def _check_messages(body: Body) -> None:
    for at, message in enumerate(body["messages"]):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ROLES:
            raise Invalid(f"invalid request: messages[{at}].role must be one of: {', '.join(ROLES)}")
        if not message.get("content") and not message.get("tool_calls"):
            raise Invalid(f"invalid request: messages[{at}] must have non-empty content or tool calls")
        if role == "tool" and not message.get("tool_call_id"):
            raise Invalid(f"invalid request: messages[{at}].tool_call_id is required")
    if body["messages"][-1]["role"] not in ("user", "tool"):
        raise Invalid("invalid request: the last message must be a user or tool message")


def _check_tool_turns(body: Body) -> None:
    known: set[str] = set()
    for message in body["messages"]:
        known |= {str(call.get("id")) for call in message.get("tool_calls") or []}
        if message["role"] == "tool" and message["tool_call_id"] not in known:
            raise Invalid(f"invalid request: tool call id {message['tool_call_id']} not found in previous tool calls")


def _check_numbers(body: Body) -> None:
    for name, high in (("temperature", 1.0), ("p", 0.99), ("frequency_penalty", 1.0), ("presence_penalty", 1.0)):
        value = body.get(name)
        if value is not None and not 0 <= value <= high:
            raise Invalid(f"invalid request: {name} must be between 0 and {high} inclusive.")
    if body.get("max_tokens") is not None and body["max_tokens"] < 1:
        raise Invalid("invalid request: max_tokens must be positive")
    if len(body.get("stop_sequences") or ()) > 5:
        raise Invalid("invalid request: at most 5 stop_sequences are allowed")


def _check_tools(body: Body) -> None:
    if body.get("tool_choice") not in CHOICES:
        raise Invalid("invalid request: tool_choice must be one of: REQUIRED, NONE")
    if body.get("tool_choice") and not body.get("tools"):
        raise Invalid("invalid request: tool_choice requires tools")
    if body.get("tools") and (body.get("response_format") or {}).get("type") == "json_object":
        raise Invalid("invalid request: response_format is not supported together with tools")
    for at, tool in enumerate(body.get("tools") or []):
        name = str((tool.get("function") or {}).get("name", "")) if isinstance(tool, dict) else ""
        if not name.isidentifier() or not name.isascii():
            raise Invalid(
                f"invalid request: tools[{at}].function.name may hold letters, digits and _, not begin with a digit"
            )


CHECKS: tuple[Callable[[Body], None], ...] = (
    _check_fields,
    _check_messages,
    _check_tool_turns,
    _check_numbers,
    _check_tools,
)


def _ask(body: Body) -> Ask:
    form = body.get("response_format") or {}
    schema = form.get("json_schema")
    json_form: Form = "json_object" if form.get("type") == "json_object" else "text"
    thinking = (body.get("thinking") or {}).get("type")
    functions = [tool["function"] for tool in body.get("tools") or []]
    return Ask(
        model=body["model"],
        turns=tuple(_turn(message) for message in body["messages"]),
        functions=tuple(Function(f["name"], f.get("description") or "", f.get("parameters") or {}) for f in functions),
        choice=CHOICES[body.get("tool_choice")],
        form="json_schema" if schema else json_form,
        schema=schema or {},
        stop=tuple(body.get("stop_sequences") or ()),
        max_tokens=body.get("max_tokens"),
        stream=bool(body.get("stream")),
        thinks=None if thinking is None else thinking == "enabled",
    )


def _turn(message: Body) -> Turn:
    content = message.get("content") or ""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    text = "".join(_part_text(part) for part in parts)
    return Turn(
        ROLES[message["role"]], text, tuple(_picture(part) for part in parts if part.get("type") == "image_url")
    )


def _part_text(part: Body) -> str:
    if part.get("type") == "document":
        return orjson.dumps((part.get("document") or {}).get("data")).decode()
    return str(part.get("text", "")) if part.get("type") == "text" else ""


def _picture(part: Body) -> Picture:
    image = part.get("image_url") or {}
    seen = data_url(str(image.get("url") if isinstance(image, dict) else image))
    if seen is None:
        raise Invalid("invalid request: image_url must be an https URL or a base64 data URL of an image")
    return seen
