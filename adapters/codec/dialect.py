"""`Dialect`: a provider's variant of OpenAI's chat format as tables, and the codec that reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.codec.collect import collect
from adapters.codec.dropped import FORMS, Wishes, unsent
from adapters.codec.error_bodies import answer_document, error_of, event_document
from adapters.codec.error_rules import Rules
from adapters.codec.headers import Per, Unit, limits_seen
from adapters.codec.json_values import first_string, obj, string
from adapters.codec.openai_parts import (
    call_form,
    calls_of,
    content,
    finish_reason,
    first_choice,
    piece,
    response_format,
    short_id,
    spoken,
    tool_choice,
    tool_form,
    usage_of,
)
from adapters.codec.reasoning_details import Details, details, own
from adapters.codec.request_parts import STREAM, Convert, limited, post, same
from adapters.errors import ProviderError
from adapters.types import DONE, NOTHING, Answer, ChatRequest, Delta, Event, HttpRequest, LimitsSeen, Message, Target

PLATFORM = frozenset(
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
"""Parameters about OpenAI's own platform: elsewhere they mean nothing, or something else, and are often refused."""

_DONE = (DONE,)
Wire = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Variant:
    """What else holds for models in whose id `model` is found: parameters they refuse, and values they want changed.

    `strict_schema` is how they want a strict schema, where it is not how the provider's other models do.
    """

    model: re.Pattern[str]
    drop: frozenset[str] = frozenset()
    convert: Mapping[str, Convert] = field(default_factory=lambda: NOTHING)
    strict_schema: Convert | None = None


_PLAIN = Variant(re.compile(""))


@dataclass(frozen=True, slots=True)
class Dialect:
    """One provider's variant of OpenAI's chat format, as tables; its bound methods are what an adapter offers.

    Asking: `rename` {our parameter: theirs}, `takes` the only parameters it knows (None: any), `drop` those it
    refuses, `convert` {our parameter: how its value changes}, `defaults` sent where the request has none, `variants`
    what differs by model (the first that fits counts), `usage_in_streams` whether it takes `stream_options`,
    `json_streams` whether it can stream JSON, `developer_role` its word for the role of instructions, `call_id` how it
    wants the ids of tool calls, `history` the messages as a whole, and `strict_schema` a strict schema; `unsaid` the
    wishes beside parameters for which it has no word.

    Hearing: `rules` its errors, `periods` the windows of its limit headers, `reasoning` the fields that may hold
    thoughts, `reasoning_inside` whether its output tokens count them, where the total does not show it.

    Both: `reasoning_details` the name under which its field of that name is kept and goes back; None: it has none.
    """

    rename: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    takes: frozenset[str] | None = None
    drop: frozenset[str] = frozenset()
    convert: Mapping[str, Convert] = field(default_factory=lambda: NOTHING)
    defaults: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    variants: tuple[Variant, ...] = ()
    usage_in_streams: bool = True
    json_streams: bool = True
    developer_role: str = "system"
    call_id: Callable[[str], str] = short_id
    history: Callable[[Wire], Wire] = same
    strict_schema: Convert = same
    unsaid: Wishes = field(default_factory=lambda: NOTHING)
    rules: Rules = ()
    periods: Mapping[Unit, Per] = field(default_factory=dict)
    reasoning: tuple[str, ...] = ("reasoning_content", "reasoning", "thinking")
    reasoning_inside: bool = True
    reasoning_details: str | None = None

    # --- asking ---

    def build_request(self, target: Target, request: ChatRequest, *, stream: bool) -> HttpRequest:
        """The HTTP request that asks `target`."""
        variant = self._variant(target)
        fields = {**self._params(target, request, variant), **self._forms(request, variant)}
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
        """The names of what the request asks for and `target` is not sent."""
        variant, dropped = self._variant(target), target.quirks.drop
        forms = {name: wish for name, wish in FORMS.items() if name in dropped} if dropped else NOTHING
        known = [name for name in request.params if self._takes(name, variant)]
        return unsent(request, target, known, {**self.unsaid, **forms})

    def _params(self, target: Target, request: ChatRequest, variant: Variant) -> dict[str, Any]:
        params = request.params.items()
        taken = {name: value for name, value in params if value is not None and self._takes(name, variant)}
        convert = {**self.convert, **variant.convert}
        sent = limited({**self.defaults, **taken}, target)
        return {name: convert.get(name, same)(value) for name, value in sent.items()}

    def _variant(self, target: Target) -> Variant:
        for variant in self.variants:
            if variant.model.search(target.model):
                return variant
        return _PLAIN

    def _takes(self, name: str, variant: Variant) -> bool:
        refused = name in STREAM or name in self.drop or name in variant.drop
        return not refused and (self.takes is None or name in self.takes)

    def _forms(self, request: ChatRequest, variant: Variant) -> dict[str, Any]:
        """The tools offered and the form the answer must have, where the request speaks of them."""
        fields: dict[str, Any] = {}
        strict_schema = variant.strict_schema or self.strict_schema
        if request.tools:
            fields["tools"] = [tool_form(tool, strict_schema) for tool in request.tools]
            if request.tool_choice:
                fields["tool_choice"] = tool_choice(request.tool_choice)
        if request.response_format and request.response_format.kind != "text":
            fields["response_format"] = response_format(request.response_format, strict_schema)
        return fields

    def _message(self, message: Message) -> dict[str, Any]:
        role = self.developer_role if message.role == "developer" else message.role
        wire: dict[str, Any] = {"role": role, "content": content(message.content)}
        if message.tool_calls:
            wire["content"] = wire["content"] or None
            wire["tool_calls"] = [call_form(call, self.call_id(call.id)) for call in message.tool_calls]
        if message.tool_call_id is not None:
            wire["tool_call_id"] = self.call_id(message.tool_call_id)
        if message.name is not None and message.role != "tool":
            wire["name"] = message.name
        if thought := own(self.reasoning_details, message.reasoning_details):
            wire["reasoning_details"] = thought
        return wire

    # --- hearing ---

    def parse_response(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer in a whole response."""
        document = answer_document(status, headers, body, self.rules)
        return collect([*self._deltas(document), DONE])

    def parse_event(self, event: Event) -> Iterable[Delta]:
        """What one stream event adds to the answer."""
        if event.data.strip() == "[DONE]":
            return _DONE
        document = event_document(event, self.rules)
        return () if document is None else self._deltas(document)

    def parse_error(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """The error in a failed response."""
        return error_of(status, headers, body, self.rules)

    def parse_limits(self, headers: Mapping[str, str]) -> LimitsSeen:
        """What the rate limit headers say is left."""
        return limits_seen(headers, self.periods)

    def _deltas(self, document: Mapping[str, Any]) -> list[Delta]:
        choice = first_choice(document)
        message = obj(choice.get("message")) or obj(choice.get("delta"))
        text, thought = spoken(message.get("content"))
        calls = [piece(obj(call)) for call in calls_of(message)]
        ended = finish_reason(choice.get("finish_reason"))
        used = usage_of(document, choice, reasoning_inside=self.reasoning_inside)
        said = Delta(
            text=text,
            reasoning=first_string(message, self.reasoning) + thought,
            refusal=string(message.get("refusal")),
            finish_reason=None if calls else ended,
            usage=None if calls else used,
            response_model=string(document.get("model")),
            response_id=string(document.get("id")),
            reasoning_details=self._details(choice),
        )
        if not calls:
            return [said]
        return [said, *(Delta(tool_call=call) for call in calls), Delta(finish_reason=ended, usage=used)]

    def _details(self, choice: Mapping[str, Any]) -> Details:
        if self.reasoning_details is None:
            return ()
        whole = obj(choice.get("message"))
        held = (whole or obj(choice.get("delta"))).get("reasoning_details")
        return details(self.reasoning_details, held, whole=bool(whole))
