"""Structured output: asks a seat for JSON or a JSON Schema, and checks that its answer conforms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

import jsonschema_rs
import orjson

from adapters.errors import ErrorKind, ProviderError
from adapters.types import Answer, ChatRequest, Message, ResponseFormat, Text
from router.core.registry import Seat

_JSON_OBJECT = ResponseFormat("json_object")
_FENCED = re.compile(r"\s*```[A-Za-z]*\n(.*)\n```\s*", re.DOTALL)
_INSTRUCTION = "Answer with nothing but one JSON object that is valid against this JSON Schema:\n"


def request_for(seat: Seat, request: ChatRequest) -> ChatRequest:
    """The request as this seat supports it: a model with JSON mode but no schemas gets the schema as an instruction."""
    form, supports = request.response_format, seat.model.supports
    if form is None or form.kind != "json_schema" or supports is None or "json_schema" in supports:
        return request
    instruction = Message("system", (Text(_INSTRUCTION + orjson.dumps(dict(form.schema)).decode()),))
    return replace(request, messages=(instruction, *request.messages), response_format=_JSON_OBJECT)


def conforming(answer: Answer, seat: Seat, form: ResponseFormat | None) -> Answer:
    """The answer without a code fence, if it conforms; else raises `ProviderError` of kind BAD_RESPONSE (failover).

    Cut answers, refusals and tool calls are not checked. A schema is checked if it is strict, or was given only as an
    instruction; a schema that is not strict is a hint, which an answer may miss.
    """
    if form is None or form.kind == "text" or answer.tool_calls or answer.refusal or answer.finish_reason != "stop":
        return answer
    text, value = _json(answer.text)
    if not isinstance(value, dict) and form.kind == "json_object":
        _broken("the answer is JSON, but not an object")
    in_words = seat.model.supports is not None and "json_schema" not in seat.model.supports
    if form.kind == "json_schema" and (form.strict or in_words):
        _check_schema(value, form.schema)
    return answer if text == answer.text else replace(answer, text=text)


def _json(text: str) -> tuple[str, Any]:
    fenced = _FENCED.fullmatch(text)
    bare = fenced[1] if fenced else text
    try:
        return bare, orjson.loads(bare)
    except orjson.JSONDecodeError:
        _broken("the answer is not JSON, though JSON was asked for")


def _check_schema(value: Any, schema: Mapping[str, Any]) -> None:
    try:
        validator = jsonschema_rs.validator_for(dict(schema), retriever=_retrieve_nothing)
    except ValueError:
        return  # the schema is invalid here, but the provider has accepted it: its answer stands unchecked
    error = next(iter(validator.iter_errors(value)), None)
    if error is not None:
        where = "/".join(str(step) for step in error.instance_path)
        _broken(f"the answer does not fit the JSON Schema at /{where[:80]}")


def _retrieve_nothing(uri: str) -> NoReturn:
    raise ValueError(f"a schema may not refer to {uri!r}: nothing is fetched")


def _broken(words: str) -> NoReturn:
    raise ProviderError(ErrorKind.BAD_RESPONSE, words)
