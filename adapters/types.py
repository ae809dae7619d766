"""The values that pass between the router and an adapter: a request, a target, an answer, and the pieces of both.

Everything here is frozen and touches nothing outside: an adapter may keep, share and compare these values freely, and
a request that is tried at a second provider is the same object, not a copy that somebody may have changed.

Names follow the OpenTelemetry GenAI conventions (`input_tokens`, `finish_reason`, `response_model`), because logs,
metrics and spans use them too. Names inside `ChatRequest.params` are those of OpenAI's chat API, the wire most callers
speak, so that a parameter has one name from the caller's body to the adapter's table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
LimitUnit = Literal["requests", "tokens", "input_tokens", "output_tokens"]
LimitPer = Literal["second", "minute", "hour", "day", "month", ""]
"""The window of a limit; empty where the provider's header does not name one."""

NOTHING: Mapping[str, Any] = MappingProxyType({})
"""The empty mapping, read-only: a default that no one can fill by mistake."""


class Secret:
    """A string that does not show itself: `repr`, `str` and `format` give `***`, and pickling raises TypeError.

    Keys end up in log lines through f-strings, dataclass reprs and tracebacks. A type that cannot be printed stops all
    three at once.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The plain value, for the one place that puts it on a header."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a Secret cannot be pickled: its value would be written in plain text")


# --- the request -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text in a message."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a message, at an `https:` URL or inline as a `data:` URL."""

    url: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Opaque:
    """A content part of OpenAI's wire without a common form (audio, a file), kept as it came.

    It can be sent only where that wire is spoken; a native adapter refuses it instead of dropping what was asked about.
    """

    raw: Mapping[str, Any]


ContentPart = Text | Image | Opaque


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call that a model made.

    `arguments` is JSON text, as the model wrote it. `signature` is the provider's proof of the thinking behind the call
    (Gemini's `thoughtSignature`), which it wants back with the call.
    """

    id: str
    name: str
    arguments: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ReasoningDetail:
    """A part of a model's thinking that its provider wants back, unchanged, with the tool calls it led to.

    `maker` is the adapter that parsed it and the only one that may send it: providers refuse what others signed. `raw`
    is the provider's own object, its values plain. In a stream, pieces with the same `index` continue one detail;
    `index` None marks a whole one.
    """

    maker: str
    raw: Mapping[str, Any]
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; a `tool` message answers the call named by `tool_call_id`."""

    role: Role
    content: tuple[ContentPart, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    reasoning_details: tuple[ReasoningDetail, ...] = ()

    @property
    def text(self) -> str:
        """All text parts, joined without a separator."""
        return "".join(part.text for part in self.content if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; `parameters` is a JSON Schema, `strict` asks that arguments always fit it."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether tools may, must not or must be called; with mode `tool`, exactly the one called `name`."""

    mode: Literal["auto", "none", "required", "tool"]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The form of the answer: free text, any JSON object, or JSON that fits `schema`."""

    kind: Literal["text", "json_object", "json_schema"]
    name: str = "answer"
    schema: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    strict: bool | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat request in canonical form, validated before it comes here.

    `params` holds the remaining parameters under OpenAI's names: `max_tokens` (the caller's `max_completion_tokens` is
    folded into it), `temperature`, `top_p`, `stop` (a list of strings), `seed`, `presence_penalty`,
    `frequency_penalty`, `parallel_tool_calls`, `reasoning_effort`, `user`, and any other OpenAI parameter as it came.
    Each adapter maps them to its own wire by table.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    response_format: ResponseFormat | None = None
    params: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


# --- the target ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quirks:
    """How one endpoint differs from its adapter's wire, as data from the registry.

    `rename` {our parameter: their name} (only where OpenAI's format is spoken), `drop` parameters never sent, `set`
    fields always sent (they win over the request's), `path` the path below the base URL (default: the adapter's own),
    `auth_header` the header that carries the bare key instead of the adapter's usual one.
    """

    rename: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    drop: frozenset[str] = frozenset()
    set: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    path: str | None = None
    auth_header: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """One model at one provider, with all that its adapter needs to build a request.

    `base_url` has no trailing slash and ends where the adapter's own path begins. `supports` names capabilities
    (`tools`, `json`, `json_schema`, `vision`, `seed`, …). `max_output_tokens` is the model's own cap in tokens, None if
    it is not known: providers refuse a request above it, so adapters lower `max_tokens` to it.
    """

    provider: str
    model: str
    adapter: str
    base_url: str
    api_key: Secret | None = None
    supports: frozenset[str] = frozenset()
    max_output_tokens: int | None = None
    quirks: Quirks = Quirks()


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request ready to send; headers carry the key and the body the prompt, so neither shows in a repr."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


# --- the answer ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as billed; None where the provider did not say.

    `input_tokens` is the whole prompt, its cached part (`cached_tokens`) included; `output_tokens` is all that is
    billed as output, hidden reasoning (`reasoning_tokens`) included. Providers count differently (Anthropic leaves
    cached tokens out, Gemini and xAI reasoning): adapters do the arithmetic, so that two providers can be compared.
    """

    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None

    def updated_by(self, later: Usage) -> Usage:
        """This usage with every field that `later` knows: usage in streams is cumulative, so the last number counts."""
        return Usage(
            self.input_tokens if later.input_tokens is None else later.input_tokens,
            self.cached_tokens if later.cached_tokens is None else later.cached_tokens,
            self.output_tokens if later.output_tokens is None else later.output_tokens,
            self.reasoning_tokens if later.reasoning_tokens is None else later.reasoning_tokens,
        )


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered; `text` never contains its reasoning, which is in `reasoning`.

    `reasoning_details` are the parts of the thinking that the provider wants back with the results of `tool_calls`;
    empty where there are no calls.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason = "stop"
    usage: Usage = NO_USAGE
    response_model: str = ""
    response_id: str = ""
    reasoning_details: tuple[ReasoningDetail, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call; pieces with the same `index` continue one call, `index` None is a whole new call."""

    index: int | None
    id: str = ""
    name: str = ""
    arguments: str = ""
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """What one stream event adds to the answer; empty fields add nothing.

    `done` marks the provider's own end of stream (`[DONE]`, `message_stop`), after which nothing counts.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_call: ToolCallDelta | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    response_model: str = ""
    response_id: str = ""
    reasoning_details: tuple[ReasoningDetail, ...] = ()
    done: bool = False

    @property
    def commits(self) -> bool:
        """True when the caller would see this: from here on another model cannot take over unnoticed."""
        return bool(self.text or self.refusal or self.tool_call)


DONE = Delta(done=True)
"""The end of a stream that adds nothing more, or the end of a whole answer."""


@dataclass(frozen=True, slots=True)
class LimitSeen:
    """One rate limit as the provider's headers report it; None where they do not say.

    `resets_in_s` counts seconds from the response, `resets_at` is Unix time in seconds; a provider sends one or none.
    """

    unit: LimitUnit
    per: LimitPer
    limit: float | None = None
    remaining: float | None = None
    resets_in_s: float | None = None
    resets_at: float | None = None


LimitsSeen = tuple[LimitSeen, ...]
