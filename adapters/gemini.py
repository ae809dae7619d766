"""Google's Gemini API (generateContent): turns made of parts, tool calls known by name, thoughts among the parts.

Source of the rules: ai.google.dev (API reference, rate limits, thought signatures) and the types of the google-genai
SDK, unless a rule names another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adapters.codec.collect import collect
from adapters.codec.dropped_params import OPENAI_FEATURES, FeatureChecks, dropped, more_stops_than
from adapters.codec.error_bodies import answer_documents, clean, event_document, read_error
from adapters.codec.error_rules import ErrorRule, codes, pattern
from adapters.codec.json_values import count, decode, items, json_text, obj, string, total, usage
from adapters.codec.request_body import (
    Convert,
    alternating_turns,
    arguments_object,
    clamped,
    convert_params,
    first,
    inline_image,
    instructions,
    path_segment,
    post,
    unchanged,
    unsupported_part,
)
from adapters.codec.sse import SseEvent
from adapters.errors import ErrorKind, ProviderError
from adapters.types import (
    DONE,
    Answer,
    ChatRequest,
    ContentPart,
    Delta,
    FinishReason,
    HttpRequest,
    Image,
    LimitsSeen,
    Message,
    Target,
    Text,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    Usage,
)

BASE_URL = "https://generativelanguage.googleapis.com/v1beta"
MAX_STOPS = 5
FOREIGN_SIGNATURE = "skip_thought_signature_validator"
"""Stands for the signature of a call that another model made.

Gemini 3 refuses a history whose function calls lack their `thoughtSignature`; this value is accepted in its place, and
a conversation that began elsewhere can go on.
"""

# A budget of 0 tokens switches thinking off; the depth of thinking is a level.
_THINKING = {
    "none": {"thinkingBudget": 0},
    "minimal": {"thinkingLevel": "MINIMAL"},
    "low": {"thinkingLevel": "LOW"},
    "medium": {"thinkingLevel": "MEDIUM"},
}
PARAMS: Mapping[str, tuple[str, Convert]] = {
    "max_tokens": ("maxOutputTokens", unchanged),
    "temperature": ("temperature", clamped(0, 2)),
    "top_p": ("topP", unchanged),
    "top_k": ("topK", unchanged),
    "stop": ("stopSequences", first(MAX_STOPS)),
    "seed": ("seed", unchanged),
    "presence_penalty": ("presencePenalty", unchanged),
    "frequency_penalty": ("frequencyPenalty", unchanged),
    "reasoning_effort": ("thinkingConfig", lambda effort: _THINKING.get(effort, {"thinkingLevel": "HIGH"})),
}
UNSUPPORTED: FeatureChecks = {**OPENAI_FEATURES, "stop": more_stops_than(MAX_STOPS)}
_FILTERED = (
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "MODEL_ARMOR",
    "JAILBREAK",
)
_FINISH: Mapping[str, FinishReason] = {"MAX_TOKENS": "length", **dict.fromkeys(_FILTERED, "content_filter")}
# With these the model broke off: what came before is no answer, and another try may succeed.
_BROKEN = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "MALFORMED_RESPONSE",
    }
)
RULES = (
    # A bad key is a 400 INVALID_ARGUMENT; only its reason tells it from a bad request.
    ErrorRule(
        ErrorKind.AUTH, text=pattern(r"API_KEY_INVALID|api key (?:not valid|expired)|user location is not supported")
    ),
    ErrorRule(
        ErrorKind.BILLING, text=pattern(r"enable billing|billing (?:is )?(?:disabled|not enabled)|prepayment credits")
    ),
    # Which quota a 429 is about stands in QuotaFailure's quotaId. For a spent day the RetryInfo beside it still speaks
    # of seconds, while the quota comes back at midnight, Pacific time (ai.google.dev/gemini-api/docs/rate-limits).
    ErrorRule(ErrorKind.QUOTA_EXHAUSTED, "day", text=pattern(r"PerDay"), status=frozenset({429}), trust_wait=False),
    ErrorRule(ErrorKind.RATE_LIMITED, "minute", text=pattern(r"PerMinute"), status=frozenset({429})),
    ErrorRule(ErrorKind.RATE_LIMITED, codes=codes("resource_exhausted")),
    ErrorRule(ErrorKind.OVERLOADED, codes=codes("unavailable")),
)


# --- building requests -----------------------------------------------------------------------------------------------


def build_request(target: Target, request: ChatRequest, *, stream: bool) -> HttpRequest:
    """The HTTP request that asks `target`."""
    names = {call.id: call.name for message in request.messages for call in message.tool_calls}
    body: dict[str, Any] = {
        "contents": alternating_turns(request.messages, "model", "parts", lambda message: _parts(message, names))
    }
    if system := instructions(request.messages):
        body["systemInstruction"] = {"parts": [{"text": system}]}
    if config := {**convert_params(request.params, PARAMS, target), **_response_format(request)}:
        body["generationConfig"] = config
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_declaration(tool) for tool in request.tools]}]
    if request.tools and request.tool_choice:
        body["toolConfig"] = {"functionCallingConfig": _calling(request.tool_choice)}
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"  # without alt=sse: one JSON array
    path = f"/models/{path_segment(target.model)}:{verb}"
    return post(target, path, body, stream=stream, key_header="x-goog-api-key", headers={})


def dropped_params(target: Target, request: ChatRequest) -> frozenset[str]:
    """What of the request `target` is not sent, by OpenAI's names."""
    return dropped(request, target, PARAMS, UNSUPPORTED)


def _parts(message: Message, names: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The parts of a message. A tool's result goes by the function's name: `names` has it by the id of the call."""
    if message.role == "tool":
        call_id = message.tool_call_id or ""
        name = names.get(call_id) or message.name or call_id
        yield {"functionResponse": {"name": name, "response": _result(message.text)}}
    for part in message.content:
        if not (isinstance(part, Text) and (message.role == "tool" or not part.text)):
            yield _part(part)
    for number, call in enumerate(message.tool_calls):
        yield _call(call, first=number == 0)


def _part(part: ContentPart) -> dict[str, Any]:
    match part:
        case Text():
            return {"text": part.text}
        case Image():
            inline = inline_image(part)
            if inline is None:
                return {"fileData": {"fileUri": part.url}}
            return {"inlineData": {"mimeType": inline[0], "data": inline[1]}}
        case _:
            raise unsupported_part("Gemini", part.raw)


def _call(call: ToolCall, *, first: bool) -> dict[str, Any]:
    """A call of an earlier turn with the signature it came with; the first of each turn must have one."""
    part = {"functionCall": {"name": call.name, "args": arguments_object(call.arguments)}}
    signature = call.signature or (FOREIGN_SIGNATURE if first else None)
    return part if signature is None else {**part, "thoughtSignature": signature}


def _result(text: str) -> Mapping[str, Any]:
    """A tool's result as the object that the API demands."""
    value = decode(text)
    return value if isinstance(value, dict) else {"result": text}


def _declaration(tool: Tool) -> dict[str, Any]:
    described = {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters}
    return {name: value for name, value in described.items() if value is not None}


_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "tool": "ANY"}


def _calling(choice: ToolChoice) -> dict[str, Any]:
    only = {"allowedFunctionNames": [choice.name]} if choice.mode == "tool" else {}
    return {"mode": _MODES[choice.mode], **only}


def _response_format(request: ChatRequest) -> dict[str, Any]:
    form = request.response_format
    if form is None or form.kind == "text":
        return {}
    schema = {"responseJsonSchema": form.schema} if form.kind == "json_schema" else {}
    return {"responseMimeType": "application/json", **schema}


# --- reading answers -------------------------------------------------------------------------------------------------


def parse_response(status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """The answer in a whole response."""
    documents = answer_documents(status, headers, body, RULES)
    return collect([*(delta for document in documents for delta in _deltas(document)), DONE])


def parse_event(event: SseEvent) -> Iterable[Delta]:
    """What one stream event adds to the answer."""
    document = event_document(event, RULES)
    return () if document is None else list(_deltas(document))


def parse_error(status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
    """The error in a failed response."""
    return read_error(status, headers, body, RULES)


def parse_limits(headers: Mapping[str, str]) -> LimitsSeen:
    """Empty: Gemini sends no rate limit headers; its 429s name the limit in the body."""
    return ()


def _deltas(document: Mapping[str, Any]) -> Iterator[Delta]:
    if blocked := string(obj(document.get("promptFeedback")).get("blockReason")):
        raise ProviderError(ErrorKind.CONTENT_FILTER, f"the provider blocked the prompt: {clean(blocked)}")
    candidate = obj(next(iter(items(document.get("candidates"))), None))
    yield Delta(response_model=string(document.get("modelVersion")), response_id=string(document.get("responseId")))
    for part in items(obj(candidate.get("content")).get("parts")):
        yield from _part_deltas(obj(part))
    yield Delta(finish_reason=_finish(candidate.get("finishReason")), usage=_usage(obj(document.get("usageMetadata"))))


def _part_deltas(part: Mapping[str, Any]) -> Iterator[Delta]:
    if call := obj(part.get("functionCall")):
        signature = string(part.get("thoughtSignature")) or None
        arguments = json_text(call.get("args") or None)
        name, call_id = string(call.get("name")), string(call.get("id"))
        yield Delta(tool_call=ToolCallDelta(None, call_id, name, arguments, signature))
    elif text := string(part.get("text")):
        yield Delta(reasoning=text) if part.get("thought") else Delta(text=text)


def _finish(value: Any) -> FinishReason | None:
    reason = string(value)
    if reason in _BROKEN:
        raise ProviderError(
            ErrorKind.BAD_RESPONSE,
            f"the provider ended the answer with the finish reason {reason!r}",
            code=reason.lower(),
        )
    return _FINISH.get(reason, "stop") if reason else None


def _usage(used: Mapping[str, Any]) -> Usage | None:
    """Usage with what Gemini counts apart: thoughts beside the candidates' tokens, tool results beside the prompt's."""
    if not used:
        return None
    thought = count(used.get("thoughtsTokenCount"))
    sent = total(count(used.get("promptTokenCount")), count(used.get("toolUsePromptTokenCount")))
    output = total(count(used.get("candidatesTokenCount")), thought)
    return usage(sent, count(used.get("cachedContentTokenCount")), output, thought)
