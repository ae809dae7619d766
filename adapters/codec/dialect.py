"""`Dialect`: a provider's variant of OpenAI's chat format as a set of tables, and the codec that applies them.

A dialect is data and not a subclass: what a provider does differently can then be read in one place, compared with
another's, and checked by tests that know no provider.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.codec.collect import collect
from adapters.codec.dropped_params import BODY_FIELDS, FeatureChecks, dropped
from adapters.codec.error_bodies import answer_document, event_document, read_error
from adapters.codec.error_rules import ErrorRules
from adapters.codec.headers import limits_seen
from adapters.codec.json_values import first_string, obj, string
from adapters.codec.openai_chat import (
    read_choice,
    read_content,
    read_finish_reason,
    read_tool_call,
    read_tool_calls,
    read_usage,
    short_call_id,
    write_content,
    write_response_format,
    write_tool,
    write_tool_call,
    write_tool_choice,
)
from adapters.codec.reasoning_details import ReasoningDetails, details_for, read_details
from adapters.codec.request_body import ROUTER_PARAMS, Convert, capped, post, unchanged
from adapters.codec.sse import SseEvent
from adapters.errors import ProviderError
from adapters.types import (
    DONE,
    NOTHING,
    Answer,
    ChatRequest,
    Delta,
    HttpRequest,
    LimitPer,
    LimitsSeen,
    LimitUnit,
    Message,
    Target,
)

PLATFORM_PARAMS = frozenset(
    {
        "metadata",
        "modalities",
        "prediction",
        "prompt_cache_key",
        "safety_identifier",
        "service_tier",
        "store",
        "verbosity",
    }
)
"""Parameters about OpenAI's own platform: elsewhere they mean nothing or something else, and are often refused."""

WireMessages = list[dict[str, Any]]

_DONE = (DONE,)


@dataclass(frozen=True, slots=True)
class ModelVariant:
    """What else holds for the models of a provider whose id matches `model` (a search, not a full match).

    `drop` and `convert` add to those of the dialect. `strict_schema` replaces the dialect's if it is given.
    """

    model: re.Pattern[str]
    drop: frozenset[str] = frozenset()
    convert: Mapping[str, Convert] = field(default_factory=lambda: NOTHING)
    strict_schema: Convert | None = None


_PLAIN = ModelVariant(re.compile(""))


@dataclass(frozen=True, slots=True)
class Dialect:
    """One provider's variant of OpenAI's chat format, as tables; its bound methods are what an adapter module offers.

    Building requests:

    - `rename` {our parameter: theirs}, applied last; the registry's `quirks.rename` wins.
    - `accepts` the only parameters it knows; None if it ignores what it does not know.
    - `drop` parameters that it refuses.
    - `convert` {our parameter: how its value changes}.
    - `defaults` {our parameter: value} sent where the request has none.
    - `variants` what differs by model; the first that matches counts.
    - `usage_in_streams` whether it takes `stream_options`, without which OpenAI reports no usage in streams.
    - `json_streams` whether it can stream an answer in JSON mode; else such a request is asked whole.
    - `developer_role` its name for the role of instructions.
    - `call_id` how the ids of tool calls from other providers are made acceptable.
    - `history` a change to the messages as a whole, such as their order.
    - `strict_schema` a change to schemas that are meant strictly.
    - `unsupported` features beside parameters that it cannot express (see `dropped_params`).

    Reading answers:

    - `rules` how its errors are classified, before the rules common to all.
    - `limit_periods` the window of each unit whose rate limit header does not name one.
    - `reasoning_fields` the message fields that may hold reasoning; the first that is not empty counts, since some
      servers send the same text twice.
    - `reasoning_in_output` whether its count of output tokens includes reasoning, where no total shows it.
    - `reasoning_details` the adapter's own name if its provider wants reasoning details back, else None.
    """

    rename: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    accepts: frozenset[str] | None = None
    drop: frozenset[str] = frozenset()
    convert: Mapping[str, Convert] = field(default_factory=lambda: NOTHING)
    defaults: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    variants: tuple[ModelVariant, ...] = ()
    usage_in_streams: bool = True
    json_streams: bool = True
    developer_role: str = "system"
    call_id: Callable[[str], str] = short_call_id
    history: Callable[[WireMessages], WireMessages] = unchanged
    strict_schema: Convert = unchanged
    unsupported: FeatureChecks = field(default_factory=lambda: NOTHING)
    rules: ErrorRules = ()
    limit_periods: Mapping[LimitUnit, LimitPer] = field(default_factory=dict)
    reasoning_fields: tuple[str, ...] = ("reasoning_content", "reasoning", "thinking")
    reasoning_in_output: bool = True
    reasoning_details: str | None = None

    # --- building requests ---

    def build_request(self, target: Target, request: ChatRequest, *, stream: bool) -> HttpRequest:
        """The HTTP request that asks `target`."""
        variant = self._variant(target)
        fields = {**self._params(target, request, variant), **self._body_fields(request, variant)}
        stream = stream and (self.json_streams or "response_format" not in fields)
        if stream and self.usage_in_streams:
            fields["stream_options"] = {"include_usage": True}
        rename = {**self.rename, **target.quirks.rename}
        body = {
            "model": target.model,
            "messages": self.history([self._message(message) for message in request.messages]),
            **{rename.get(name, name): value for name, value in fields.items() if name not in target.quirks.drop},
            "stream": stream,
        }
        return post(target, "/chat/completions", body, stream=stream, key_header="authorization", headers=NOTHING)

    def dropped_params(self, target: Target, request: ChatRequest) -> frozenset[str]:
        """What of the request `target` is not sent, by OpenAI's names."""
        variant, dropping = self._variant(target), target.quirks.drop
        fields = {name: uses for name, uses in BODY_FIELDS.items() if name in dropping} if dropping else NOTHING
        known = [name for name in request.params if self._accepts(name, variant)]
        return dropped(request, target, known, {**self.unsupported, **fields})

    def _params(self, target: Target, request: ChatRequest, variant: ModelVariant) -> dict[str, Any]:
        params = request.params.items()
        accepted = {name: value for name, value in params if value is not None and self._accepts(name, variant)}
        convert = {**self.convert, **variant.convert}
        sent = capped({**self.defaults, **accepted}, target)
        return {name: convert.get(name, unchanged)(value) for name, value in sent.items()}

    def _variant(self, target: Target) -> ModelVariant:
        for variant in self.variants:
            if variant.model.search(target.model):
                return variant
        return _PLAIN

    def _accepts(self, name: str, variant: ModelVariant) -> bool:
        refused = name in ROUTER_PARAMS or name in self.drop or name in variant.drop
        return not refused and (self.accepts is None or name in self.accepts)

    def _body_fields(self, request: ChatRequest, variant: ModelVariant) -> dict[str, Any]:
        """The tools offered and the form of the answer, where the request has them."""
        fields: dict[str, Any] = {}
        strict_schema = variant.strict_schema or self.strict_schema
        if request.tools:
            fields["tools"] = [write_tool(tool, strict_schema) for tool in request.tools]
            if request.tool_choice:
                fields["tool_choice"] = write_tool_choice(request.tool_choice)
        if request.response_format and request.response_format.kind != "text":
            fields["response_format"] = write_response_format(request.response_format, strict_schema)
        return fields

    def _message(self, message: Message) -> dict[str, Any]:
        role = self.developer_role if message.role == "developer" else message.role
        wire: dict[str, Any] = {"role": role, "content": write_content(message.content)}
        if message.tool_calls:
            wire["content"] = wire["content"] or None  # null, as OpenAI itself writes a message of calls alone
            wire["tool_calls"] = [write_tool_call(call, self.call_id(call.id)) for call in message.tool_calls]
        if message.tool_call_id is not None:
            wire["tool_call_id"] = self.call_id(message.tool_call_id)
        if message.name is not None and message.role != "tool":
            wire["name"] = message.name
        if details := details_for(self.reasoning_details, message.reasoning_details):
            wire["reasoning_details"] = details
        return wire

    # --- reading answers ---

    def parse_response(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer in a whole response."""
        document = answer_document(status, headers, body, self.rules)
        return collect([*self._deltas(document), DONE])

    def parse_event(self, event: SseEvent) -> Iterable[Delta]:
        """What one stream event adds to the answer."""
        if event.data.strip() == "[DONE]":
            return _DONE
        document = event_document(event, self.rules)
        return () if document is None else self._deltas(document)

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """The error in a failed response."""
        return read_error(status, headers, body, self.rules)

    def parse_limits(self, headers: Mapping[str, str]) -> LimitsSeen:
        """The rate limits that the headers report."""
        return limits_seen(headers, self.limit_periods)

    def _deltas(self, document: Mapping[str, Any]) -> list[Delta]:
        """What a whole answer or an event says; one delta for nearly every event, since a stream has thousands."""
        choice = read_choice(document)
        message = obj(choice.get("message")) or obj(choice.get("delta"))
        text, thought = read_content(message.get("content"))
        calls = [read_tool_call(obj(call)) for call in read_tool_calls(message)]
        finish = read_finish_reason(choice.get("finish_reason"))
        used = read_usage(document, choice, reasoning_in_output=self.reasoning_in_output)
        said = Delta(
            text=text,
            reasoning=first_string(message, self.reasoning_fields) + thought,
            refusal=string(message.get("refusal")),
            finish_reason=None if calls else finish,
            usage=None if calls else used,
            response_model=string(document.get("model")),
            response_id=string(document.get("id")),
            reasoning_details=self._details(choice),
        )
        if not calls:
            return [said]
        return [said, *(Delta(tool_call=call) for call in calls), Delta(finish_reason=finish, usage=used)]

    def _details(self, choice: Mapping[str, Any]) -> ReasoningDetails:
        if self.reasoning_details is None:
            return ()
        whole = obj(choice.get("message"))
        held = (whole or obj(choice.get("delta"))).get("reasoning_details")
        return read_details(self.reasoning_details, held, whole=bool(whole))
