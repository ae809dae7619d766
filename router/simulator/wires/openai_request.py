"""Parses a chat request in OpenAI's format, and refuses what the given provider refuses."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from router.simulator.conversation import Ask, Choice, Form, Function, Picture, Turn
from router.simulator.wire import data_url
from router.simulator.wires.openai_checks import ROLES, Body, Manners

CHOICES: Mapping[str, Choice] = MappingProxyType({"none": "none", "required": "required", "any": "required"})
FORMS: Mapping[object, Form] = MappingProxyType({"json_object": "json_object", "json_schema": "json_schema"})


def read(raw: bytes, manners: Manners) -> Ask:
    """The request as the model sees it. Raises Invalid, in the provider's words."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise manners.complain("json") from error
    if not isinstance(body, dict):
        raise manners.complain("json")
    for check in manners.checks:
        check(body, manners)
    return _ask(body, manners)


def _ask(body: Body, manners: Manners) -> Ask:
    form = body.get("response_format") or {}
    choice = body.get("tool_choice") or "auto"
    forced = (
        choice["function"].get("name")
        if isinstance(choice, dict) and isinstance(choice.get("function"), dict)
        else None
    )
    stop = body.get("stop") or []
    usage = isinstance(body.get("stream_options"), dict) and body["stream_options"].get("include_usage")
    raw_format = body.get("reasoning_format") or "default"
    return Ask(
        model=body["model"],
        turns=tuple(_turn(message, manners) for message in body["messages"]),
        functions=tuple(_function(tool["function"]) for tool in body.get("tools") or []),
        choice="required" if forced else CHOICES.get(choice if isinstance(choice, str) else "auto", "auto"),
        forced=forced,
        form=FORMS.get(form.get("type"), "text"),
        schema=(form.get("json_schema") or {}).get("schema") or {},
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stream=bool(body.get("stream")),
        thinks=False if body.get("reasoning_effort") == "none" else None,
        asked=frozenset({"include_usage"} if usage else set()) | {f"reasoning_{raw_format}"},
    )


def _turn(message: Body, manners: Manners) -> Turn:
    content = message.get("content") or ""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    text = "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict) and part.get("type") == "text")
    return Turn(ROLES[message["role"]], text, tuple(_pictures(parts, manners)))


def _pictures(parts: list[Any], manners: Manners) -> list[Picture]:
    found = []
    for part in parts:
        if not isinstance(part, dict) or part.get("type") != "image_url":
            continue
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        seen = data_url(url) if isinstance(url, str) else None
        if seen is None:
            raise manners.complain("image")
        found.append(seen)
    return found


def _function(function: Body) -> Function:
    return Function(function["name"], function.get("description") or "", function.get("parameters") or {})
