"""Parses `tools`, `tool_choice` and `response_format` of a chat request into canonical values."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from adapters.types import ResponseFormat, Tool, ToolChoice
from router.core.text import did_you_mean
from router.http.values import bounded, invalid, named, quoted, typed

MAX_TOOLS = 256


def read_tools(value: Any) -> tuple[Tool, ...]:
    """The body's `tools`; raises a 400 that names the path of the first mistake."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise invalid(f"tools must be a list, not {named(value)}", "tools")
    if len(value) > MAX_TOOLS:
        raise invalid(f"tools has {len(value)} entries, at most {MAX_TOOLS} are allowed", "tools")
    return tuple(_tool(item, f"tools[{index}]") for index, item in enumerate(value))


def _tool(item: Any, at: str) -> Tool:
    if not isinstance(item, dict) or item.get("type", "function") != "function":
        raise invalid(f"{at}.type must be 'function'", f"{at}.type")
    function = item.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise invalid(f"{at}.function must be an object with a name", f"{at}.function")
    parameters = function.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise invalid(f"{at}.function.parameters must be a JSON Schema object", f"{at}.function.parameters")
    bounded(parameters, f"{at}.function.parameters")
    return Tool(
        name=function["name"],
        description=typed(function, "description", str, "a string", f"{at}.function."),
        parameters=parameters,
        strict=typed(function, "strict", bool, "true or false", f"{at}.function."),
    )


def read_tool_choice(value: Any, tools: tuple[Tool, ...]) -> ToolChoice | None:
    """The body's `tool_choice`; raises a 400 if it requires a tool that `tools` does not have."""
    match value:
        case None:
            return None
        case "auto" | "none":
            return ToolChoice(value)
        case "required" if tools:
            return ToolChoice(value)
        case {"type": "function", "function": {"name": str(name)}} if tools:
            return ToolChoice("tool", _one_of(tools, name))
        case "required" | {"type": "function", "function": {"name": str()}}:
            raise invalid("tool_choice asks for a tool, but tools is empty", "tool_choice")
        case _:
            allowed = "'auto', 'none', 'required' or {type: function, function: {name}}"
            raise invalid(f"tool_choice must be {allowed}, not {named(value)}", "tool_choice")


def _one_of(tools: tuple[Tool, ...], name: str) -> str:
    names = [tool.name for tool in tools]
    if name not in names:
        near = did_you_mean(name, names)
        raise invalid(f"tool_choice names {quoted(name)}, which is not in tools{near}", "tool_choice.function.name")
    return name


def read_response_format(value: Any) -> ResponseFormat | None:
    """The body's `response_format`; raises a 400 for an unknown type or a missing schema."""
    match value:
        case None:
            return None
        case {"type": "text" | "json_object" as kind}:
            return ResponseFormat(kind)
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)} as form}:
            at = "response_format.json_schema."
            bounded(schema, f"{at}schema")
            return ResponseFormat(
                "json_schema",
                name=typed(form, "name", str, "a string", at) or "answer",
                schema=MappingProxyType(schema),
                strict=typed(form, "strict", bool, "true or false", at),
                description=typed(form, "description", str, "a string", at),
            )
        case {"type": "json_schema"}:
            at = "response_format.json_schema.schema"
            raise invalid(f"{at} is missing: it must be a JSON Schema object", at)
        case _:
            allowed = "{type: text}, {type: json_object} or {type: json_schema, json_schema: {name, schema}}"
            raise invalid(f"response_format must be {allowed}", "response_format")
