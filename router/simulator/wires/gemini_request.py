"""Parses a request in Gemini's format, and refuses what Gemini refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from typing import Any

import orjson

from router.simulator.conversation import Ask, Choice, Form, Function, Picture, Role, Turn
from router.simulator.wire import Incoming, Invalid, decoded, picture
from router.simulator.words import names

Body = dict[str, Any]
FIELDS = names(
    "contents systemInstruction system_instruction tools toolConfig tool_config generationConfig generation_config "
    "safetySettings cachedContent labels model"
)
CONFIG = names(
    "maxOutputTokens temperature topP topK stopSequences seed presencePenalty frequencyPenalty candidateCount "
    "responseMimeType responseSchema responseJsonSchema thinkingConfig responseModalities responseLogprobs logprobs "
    "mediaResolution speechConfig audioTimestamp enableEnhancedCivicAnswers imageConfig"
)
# Keywords of `parameters` and `responseSchema`; `parametersJsonSchema` and `responseJsonSchema` take JSON Schema.
SCHEMA = names(
    "type format title description nullable enum items properties required minItems maxItems minimum maximum minLength "
    "maxLength pattern example anyOf propertyOrdering default minProperties maxProperties"
)
MODES: Mapping[str, Choice] = {
    "AUTO": "auto",
    "ANY": "required",
    "NONE": "none",
    "VALIDATED": "auto",
    "MODE_UNSPECIFIED": "auto",
}
SIGNING = ("gemini-[3-9]*",)  # models that demand their thought signatures back


def read(incoming: Incoming) -> Ask:
    """The request as the model sees it. Raises Invalid, in Gemini's words."""
    try:
        body = orjson.loads(incoming.body)
    except orjson.JSONDecodeError as error:
        raise Invalid(f"Invalid JSON payload received. {error}") from error
    if not isinstance(body, dict):
        raise Invalid("Invalid JSON payload received. Expected an object.")
    model = incoming.path_model or ""
    for check in CHECKS:
        check(body, model)
    return _ask(body, model, incoming)


def signs(model: str) -> bool:
    """Whether this model demands its thought signatures back."""
    return any(fnmatch(model, pattern) for pattern in SIGNING)


def _unknown(name: str, where: str = "") -> Invalid:
    place = f" at '{where}'" if where else ""
    return Invalid(f'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.')


def _check_fields(body: Body, model: str) -> None:
    for name in body:
        if name not in FIELDS:
            raise _unknown(name)
    for name in body.get("generationConfig") or {}:
        if name not in CONFIG:
            raise _unknown(name, "generation_config")


def _check_contents(body: Body, model: str) -> None:
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise Invalid("* GenerateContentRequest.contents: contents is not specified\n")
    for at, content in enumerate(contents):
        if not isinstance(content, dict) or content.get("role", "user") not in ("user", "model", "function"):
            raise Invalid("Please use a valid role: user, model.")
        if not isinstance(content.get("parts"), list) or not content["parts"]:
            raise Invalid(f"* GenerateContentRequest.contents[{at}].parts: contents.parts must not be empty.\n")
        for part in content["parts"]:
            _check_part(part, at)


def _check_part(part: Any, at: int) -> None:
    if not isinstance(part, dict) or not part:
        raise Invalid(f"* GenerateContentRequest.contents[{at}].parts: must have one initialized field\n")
    if "functionResponse" in part and not isinstance(part["functionResponse"].get("response"), dict):
        raise Invalid(f"Invalid value at 'contents[{at}].parts[0].function_response.response' (Struct)")
    if "inlineData" in part and decoded(part["inlineData"].get("data")) is None:
        raise Invalid(
            f"Invalid value at 'contents[{at}].parts[0].inline_data.data' (TYPE_BYTES), Base64 decoding failed"
        )


def _check_function_turns(body: Body, model: str) -> None:
    waiting = 0
    for at, content in enumerate(body["contents"]):
        answered = sum("functionResponse" in part for part in content["parts"])
        if answered != waiting:
            raise Invalid(
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and signs(model) and not calls[0].get("thoughtSignature"):
            raise Invalid(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                "work "
                f"correctly. Additional data, function call `default_api:{calls[0]['functionCall'].get('name')}`, "
                f"position {at + 1}."
            )
        waiting = len(calls)


def _check_config(body: Body, model: str) -> None:
    config = body.get("generationConfig") or {}
    for name, snake, high in (("temperature", "temperature", 2.0), ("topP", "top_p", 1.0)):
        value = config.get(name)
        if value is not None and not 0 <= value <= high:
            raise Invalid(
                f"* GenerateContentRequest.generation_config.{snake}: {snake} must be in the range [0.0, {high}].\n"
            )
    if len(config.get("stopSequences") or ()) > 5:
        raise Invalid(
            "* GenerateContentRequest.generation_config.stop_sequences: at most 5 stop sequences are allowed.\n"
        )
    if config.get("maxOutputTokens", 1) < 1:
        raise Invalid("* GenerateContentRequest.generation_config.max_output_tokens: must be positive.\n")
    if config.get("responseSchema"):
        _check_schema(config["responseSchema"], "generation_config.response_schema")


def _check_tools(body: Body, model: str) -> None:
    for at, function in enumerate(_declared(body)):
        if not function.get("name"):
            raise Invalid(
                f"* GenerateContentRequest.tools[0].function_declarations[{at}].name: Invalid function name.\n"
            )
        if function.get("parameters"):
            _check_schema(function["parameters"], f"tools[0].function_declarations[{at}].parameters")


def _check_schema(schema: Any, where: str) -> None:
    if not isinstance(schema, dict):
        return
    for name in schema:
        if name not in SCHEMA:
            raise _unknown(name, where)
    for name, child in (schema.get("properties") or {}).items():
        _check_schema(child, f"{where}.properties[{name}]")
    _check_schema(schema.get("items"), f"{where}.items")
    for at, child in enumerate(schema.get("anyOf") or []):
        _check_schema(child, f"{where}.any_of[{at}]")


CHECKS: tuple[Callable[[Body, str], None], ...] = (
    _check_fields,
    _check_contents,
    _check_function_turns,
    _check_config,
    _check_tools,
)


def _declared(body: Body) -> list[Body]:
    return [function for tool in body.get("tools") or [] for function in tool.get("functionDeclarations") or []]


def _ask(body: Body, model: str, incoming: Incoming) -> Ask:
    config = body.get("generationConfig") or {}
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    allowed = calling.get("allowedFunctionNames") or []
    system = body.get("systemInstruction") or body.get("system_instruction")
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    thinking = config.get("thinkingConfig") or {}
    json_form: Form = "json_object" if config.get("responseMimeType") == "application/json" else "text"
    wishes = {"array": incoming.query.get("alt") != "sse", "thoughts": bool(thinking.get("includeThoughts"))}
    return Ask(
        model=model,
        turns=(*([Turn("system", _text(system["parts"]))] if system else []), *map(_turn, body["contents"])),
        functions=tuple(_function(function) for function in _declared(body)),
        choice=MODES.get(calling.get("mode", "AUTO"), "auto"),
        forced=allowed[0] if calling.get("mode") == "ANY" and len(allowed) == 1 else None,
        form="json_schema" if schema else json_form,
        schema=schema or {},
        stop=tuple(config.get("stopSequences") or ()),
        max_tokens=config.get("maxOutputTokens"),
        stream=incoming.verb == "streamGenerateContent",
        thinks=False if thinking.get("thinkingBudget") == 0 else None,
        asked=frozenset(name for name, wished in wishes.items() if wished),
    )


def _turn(content: Body) -> Turn:
    parts = content["parts"]
    results = [part["functionResponse"]["response"] for part in parts if "functionResponse" in part]
    if results:
        return Turn("tool", " ".join(_result(result) for result in results))
    role: Role = "assistant" if content.get("role") == "model" else "user"
    return Turn(
        role, _text(parts), tuple(_picture(part) for part in parts if "inlineData" in part or "fileData" in part)
    )


def _result(result: Body) -> str:
    """A tool's result as text: a string in an object of one field as itself, anything else as JSON."""
    inner = next(iter(result.values())) if len(result) == 1 else result
    return inner if isinstance(inner, str) else orjson.dumps(inner).decode()


def _text(parts: list[Body]) -> str:
    return "".join(str(part["text"]) for part in parts if "text" in part and not part.get("thought"))


def _picture(part: Body) -> Picture:
    if "fileData" in part:
        return Picture("image at a URL")
    data = part["inlineData"]
    seen = picture(str(data.get("mimeType")), data.get("data"))
    if seen is None:
        raise Invalid(
            "Unable to process input image. Please retry or report in "
            "https://developers.generativeai.google/guide/troubleshooting"
        )
    return seen


def _function(function: Body) -> Function:
    schema = function.get("parametersJsonSchema") or function.get("parameters") or {}
    return Function(function["name"], function.get("description") or "", schema)
