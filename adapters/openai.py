"""OpenAI's chat format, and `Dialect`: the tables in which the providers that copy it differ from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.collect import collect
from adapters.error_bodies import answer_document, error_of, event_document
from adapters.error_rules import Rule, Rules, codes
from adapters.errors import ErrorKind, ProviderError
from adapters.headers import Per, Unit, limits_seen
from adapters.openai_parts import (
    call_form,
    content,
    finish_reason,
    first_choice,
    piece,
    response_format,
    spoken,
    tool_choice,
    tool_form,
    usage_of,
)
from adapters.reading import items, obj, string
from adapters.types import NOTHING, Answer, ChatRequest, Delta, Event, HttpRequest, LimitsSeen, Message, Target
from adapters.writing import STREAM, Convert, limited, post, same, unsent

_DONE = (Delta(done=True),)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One provider's variant of OpenAI's chat format, as tables; its bound methods are what an adapter offers.

    `rename` {our parameter: theirs}, `drop` parameters it refuses, `convert` {our parameter: how its value changes},
    `defaults` fields sent where the request has none, `rules` its errors, `periods` the windows of its limit headers,
    `reasoning` the fields that may hold thoughts, `reasoning_inside` whether its output tokens count them,
    `usage_in_streams` whether it takes `stream_options`, `developer_role` its word for the role of instructions.
    """

    rename: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    drop: frozenset[str] = frozenset()
    convert: Mapping[str, Convert] = field(default_factory=lambda: NOTHING)
    defaults: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    rules: Rules = ()
    periods: Mapping[Unit, Per] = field(default_factory=dict)
    reasoning: tuple[str, ...] = ("reasoning_content", "reasoning")
    reasoning_inside: bool = True
    usage_in_streams: bool = True
    developer_role: str = "system"

    # --- asking ---

    def build_request(self, target: Target, request: ChatRequest, *, stream: bool) -> HttpRequest:
        """The HTTP request that asks `target`."""
        fields = {**self.defaults, **dict(self._fields(target, request))}
        if stream and self.usage_in_streams:
            fields["stream_options"] = {"include_usage": True}
        rename = {**self.rename, **target.quirks.rename}
        body = {
            "model": target.model,
            "messages": [self._message(message) for message in request.messages],
            **{rename.get(name, name): value for name, value in fields.items() if name not in target.quirks.drop},
            "stream": stream,
        }
        return post(target, "/chat/completions", body, stream=stream, key_header="authorization", headers=NOTHING)

    def unsent_params(self, target: Target, request: ChatRequest) -> frozenset[str]:
        """The names of the request's parameters that are not sent to `target`."""
        return unsent(request, target, frozenset(request.params) - self.drop - STREAM)

    def _fields(self, target: Target, request: ChatRequest) -> Iterator[tuple[str, Any]]:
        for name, value in limited(request.params, target).items():
            if value is not None and name not in self.drop and name not in STREAM:
                yield name, self.convert.get(name, same)(value)
        if request.tools:
            yield "tools", [tool_form(tool) for tool in request.tools]
        if request.tools and request.tool_choice:
            yield "tool_choice", tool_choice(request.tool_choice)
        if request.response_format and request.response_format.kind != "text":
            yield "response_format", response_format(request.response_format)

    def _message(self, message: Message) -> dict[str, Any]:
        role = self.developer_role if message.role == "developer" else message.role
        wire: dict[str, Any] = {"role": role, "content": content(message.content)}
        if message.tool_calls:
            wire["content"] = wire["content"] or None
            wire["tool_calls"] = [call_form(call) for call in message.tool_calls]
        if message.tool_call_id is not None:
            wire["tool_call_id"] = message.tool_call_id
        if message.name is not None and message.role != "tool":
            wire["name"] = message.name
        return wire

    # --- hearing ---

    def parse_response(self, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer in a whole response."""
        document = answer_document(status, headers, body, self.rules)
        return collect([*self._deltas(document), Delta(done=True)])

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
        field_thought = next(filter(None, (string(message.get(name)) for name in self.reasoning)), "")
        calls = [piece(obj(call)) for call in items(message.get("tool_calls"))]
        ended = finish_reason(choice.get("finish_reason"))
        used = usage_of(document, choice, reasoning_inside=self.reasoning_inside)
        said = Delta(
            text=text,
            reasoning=field_thought + thought,
            refusal=string(message.get("refusal")),
            finish_reason=None if calls else ended,
            usage=None if calls else used,
            response_model=string(document.get("model")),
            response_id=string(document.get("id")),
        )
        if not calls:
            return [said]
        return [said, *(Delta(tool_call=call) for call in calls), Delta(finish_reason=ended, usage=used)]


DIALECT = Dialect(
    rename={"max_tokens": "max_completion_tokens"},  # the older name is refused by every reasoning model
    rules=(
        Rule(
            ErrorKind.BILLING,
            codes=codes(
                "organization_spend_limit_exceeded",
                "project_spend_limit_exceeded",
                "organization_usage_limit_exceeded",
            ),
        ),
    ),
    periods={"tokens": "minute"},  # requests are counted per minute or, on the lowest plans, per day: it does not say
    developer_role="developer",
)

BASE_URL = "https://api.openai.com/v1"
build_request = DIALECT.build_request
unsent_params = DIALECT.unsent_params
parse_response = DIALECT.parse_response
parse_event = DIALECT.parse_event
parse_error = DIALECT.parse_error
parse_limits = DIALECT.parse_limits
