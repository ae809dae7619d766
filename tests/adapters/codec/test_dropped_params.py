"""Features that a wire cannot express are reported as dropped, and those that it can are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from adapters import ADAPTERS
from adapters.types import ChatRequest, Image, Message, ResponseFormat, Text, Tool, ToolChoice
from tests.adapters.asking import HELLO, PIXEL, SCHEMA, WEATHER, asked, dropping, said, target

FORM = ResponseFormat("json_schema", "place", SCHEMA)
AS_JSON = ChatRequest(HELLO.messages, response_format=FORM)
WITH_TOOL = ChatRequest(HELLO.messages, tools=(WEATHER,))
STOPS = ["a", "b", "c", "d", "e", "f"]


def seen(detail: str | None) -> ChatRequest:
    return ChatRequest((Message("user", (Text("What?"), Image(PIXEL, detail))),))


# each feature, and the same request without it
FEATURES: Mapping[str, tuple[ChatRequest, ChatRequest]] = {
    "image_url.detail": (seen("high"), seen(None)),
    "messages.name": (ChatRequest((said("user", "Hi", name="ann"),)), ChatRequest((said("user", "Hi"),))),
    "response_format": (replace(WITH_TOOL, response_format=FORM), WITH_TOOL),
    "response_format.description": (replace(AS_JSON, response_format=replace(FORM, description="A place.")), AS_JSON),
    "stop": (replace(HELLO, params={"stop": STOPS}), replace(HELLO, params={"stop": STOPS[:5]})),
    "tool_choice": (replace(WITH_TOOL, tool_choice=ToolChoice("required")), WITH_TOOL),
    "tools.strict": (replace(WITH_TOOL, tools=(replace(WEATHER, strict=True),)), WITH_TOOL),
}
UNSUPPORTED = {
    "anthropic": {"image_url.detail", "messages.name", "response_format.description", "tools.strict"},
    "gemini": {"image_url.detail", "messages.name", "response_format.description", "stop", "tools.strict"},
    "cohere": {"messages.name", "response_format", "response_format.description", "stop"},
    "mistral": {"messages.name"},
    "xai": {"stop"},  # its models that reason refuse the parameter itself
}


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("feature", FEATURES)
def test_a_wish_is_dropped_exactly_if_the_body_is_the_same_without_it(adapter: str, feature: str) -> None:
    request, without = FEATURES[feature]
    dropped = ADAPTERS[adapter].dropped_params(target(adapter, ""), request)
    assert dropped == ({feature} if asked(ADAPTERS[adapter], request) == asked(ADAPTERS[adapter], without) else set())
    assert (feature in dropped) == (feature in UNSUPPORTED.get(adapter, ()))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_what_changes_nothing_is_not_missed(adapter: str) -> None:
    named_tool = said("tool", "3", tool_call_id="c", name="weather")
    request = ChatRequest(
        (*seen("auto").messages, named_tool),
        tools=(replace(WEATHER, strict=False),),
        tool_choice=ToolChoice("auto"),
        response_format=ResponseFormat("text"),
    )
    assert ADAPTERS[adapter].dropped_params(target(adapter, ""), request) == set()


def test_a_named_tool_is_demanded_of_cohere_by_offering_no_other() -> None:
    choosing = replace(WITH_TOOL, tools=(WEATHER, Tool("now")), tool_choice=ToolChoice("tool", "now"))
    body = asked(ADAPTERS["cohere"], choosing)
    assert (body["tool_choice"], [tool["function"]["name"] for tool in body["tools"]]) == ("REQUIRED", ["now"])
    assert ADAPTERS["cohere"].dropped_params(target("cohere", ""), choosing) == set()


@pytest.mark.parametrize("field", ["tool_choice", "response_format", "tools"])
def test_a_field_that_the_registry_drops_is_named(field: str) -> None:
    request = replace(WITH_TOOL, tool_choice=ToolChoice("required"), response_format=FORM)
    asking = target("compatible", "", quirks=dropping(field))
    assert field not in asked(ADAPTERS["compatible"], request, quirks=asking.quirks)
    assert ADAPTERS["compatible"].dropped_params(asking, request) == {field}
