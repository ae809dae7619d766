"""The vocabulary that every adapter and the router share: frozen values and nothing that touches the world.

Field names are those of the OpenTelemetry GenAI conventions (`input_tokens`, `finish_reason`, `response_model`);
parameter names inside `ChatRequest.params` are those of OpenAI's chat API, the wire our callers speak.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol

from adapters.errors import ProviderError

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Secret:
    """A string that never shows itself: repr, str, format and pickle give `***` or refuse."""

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
        raise TypeError("a Secret is not pickled")


# --- what is asked ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of text in a message."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a message, by `https:` URL or inline as a `data:` URL."""

    url: str
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Opaque:
    """A content part of OpenAI's wire that has no common form (audio, file); only OpenAI-form targets get it."""

    raw: Mapping[str, Any]


Part = Text | Image | Opaque


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call made by a model; `arguments` is JSON text, `signature` a provider's proof of its thinking."""

    id: str
    name: str
    arguments: str
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ReasoningDetail:
    """A part of a model's thinking that its provider wants back, unchanged, with the tool calls it led to.

    `maker` is the adapter that heard it, and the only one that may send it; `raw` is the provider's own object, of
    plain values. In a stream the same `index` continues a detail; `index` None is a whole one.
    """

    maker: str
    raw: Mapping[str, Any]
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; a `tool` message answers the call named by `tool_call_id`."""

    role: Role
    content: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    reasoning_details: tuple[ReasoningDetail, ...] = ()

    @property
    def text(self) -> str:
        """All text parts, joined."""
        return "".join(part.text for part in self.content if isinstance(part, Text))


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; `parameters` is a JSON Schema."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether tools may, must not or must be called; with `tool`, exactly the one called `name`."""

    mode: Literal["auto", "none", "required", "tool"]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The form the answer must have: free text, any JSON object, or JSON that fits `schema`."""

    kind: Literal["text", "json_object", "json_schema"]
    name: str = "answer"
    schema: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    strict: bool | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat request in canonical form.

    `params` holds the remaining parameters under OpenAI's names, already validated: `max_tokens` (the caller's
    `max_completion_tokens` is folded into it), `temperature`, `top_p`, `stop` (a list of strings), `seed`,
    `presence_penalty`, `frequency_penalty`, `parallel_tool_calls`, `reasoning_effort`, `user`, and any other
    OpenAI parameter as it came. Adapters turn them into their own wire by table.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    response_format: ResponseFormat | None = None
    params: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


# --- whom ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quirks:
    """How one endpoint differs from OpenAI's wire, as data from the registry.

    `rename` {our parameter: their name}, `drop` parameters never sent, `set` fields always sent (they win),
    `path` the path below the base URL (default `/chat/completions`), `auth_header` the header that carries the
    bare key instead of `Authorization: Bearer`.
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
    (`tools`, `json`, `json_schema`, `vision`, `seed`, …); `max_output_tokens` is the model's own cap, if it has one.
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
    """The bytes to send. Headers carry the key, so they never show in a repr."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


# --- what comes back -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as billed; None where the provider did not say.

    `input_tokens` is the whole prompt with its cached part (`cached_tokens`); `output_tokens` is everything billed as
    output with its hidden part (`reasoning_tokens`). Adapters do the arithmetic their provider needs for that.
    """

    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None

    def updated_by(self, later: Usage) -> Usage:
        """This usage with every field that `later` knows; stream usage is cumulative, so the last word counts."""
        return Usage(
            self.input_tokens if later.input_tokens is None else later.input_tokens,
            self.cached_tokens if later.cached_tokens is None else later.cached_tokens,
            self.output_tokens if later.output_tokens is None else later.output_tokens,
            self.reasoning_tokens if later.reasoning_tokens is None else later.reasoning_tokens,
        )


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered. `text` never contains its reasoning, which stands in `reasoning`.

    `reasoning_details` are what its provider wants back with the results of the `tool_calls`; without calls, none.
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
    """A piece of a tool call; the same `index` continues a call, `index` None is a whole new call."""

    index: int | None
    id: str = ""
    name: str = ""
    arguments: str = ""
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """What one stream event adds to the answer. Empty fields add nothing; `done` is the provider's end of stream."""

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
        """True when the caller would see this: from here on another seat can no longer take over unnoticed."""
        return bool(self.text or self.refusal or self.tool_call)


DONE = Delta(done=True)
"""The end of a stream that adds nothing, or of a whole answer."""


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event: its `event:` name (empty if none) and its `data:` lines joined by newlines."""

    name: str
    data: str


@dataclass(frozen=True, slots=True)
class LimitSeen:
    """What a provider's headers say of one limit. `resets_in_s` counts from the response, `resets_at` is Unix time."""

    unit: Literal["requests", "tokens", "input_tokens", "output_tokens"]
    per: Literal["second", "minute", "hour", "day", "month", ""]
    limit: float | None = None
    remaining: float | None = None
    resets_in_s: float | None = None
    resets_at: float | None = None


LimitsSeen = tuple[LimitSeen, ...]


NATIVE_ADAPTERS = frozenset({"anthropic", "cohere", "gemini"})
"""The adapters that speak a wire of their own, not a dialect of OpenAI's: what only that has cannot be sent to them."""


class Adapter(Protocol):
    """What every adapter module offers: six pure functions and the provider's public base URL.

    `dropped_params` names what of the request `build_request` does not send to `target`, by OpenAI's names, because
    this wire has no word for it or refuses it, or the registry drops it: parameters, and finer wishes such as
    `tools.strict`. `parse_response` and `parse_event` raise `ProviderError`
    for anything that is not an answer, and nothing else, whatever the bytes. Header names are lower case.
    `parse_event` keeps no state: see `adapters.codec.collect`.
    """

    BASE_URL: str

    def build_request(self, target: Target, request: ChatRequest, *, stream: bool) -> HttpRequest: ...

    def dropped_params(self, target: Target, request: ChatRequest) -> frozenset[str]: ...

    def parse_response(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer: ...

    def parse_event(self, event: Event) -> Iterable[Delta]: ...

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError: ...

    def parse_limits(self, headers: Mapping[str, str]) -> LimitsSeen: ...
