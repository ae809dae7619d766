"""Calls a daemon as a service does, with the unmodified OpenAI SDK that is on the path; prints the results as JSON.

Run as `python sdk_conversation.py BASE_URL MODEL …`, in its own process: two versions cannot share one.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import openai

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
WEATHER_TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
PERSON: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name", "age"],
            "additionalProperties": False,
        },
    },
}


def chat(client: openai.OpenAI, model: str) -> dict[str, Any]:
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "What is 17+25?"}])
    assert answer.usage is not None
    return {
        "type": type(answer).__name__,
        "text": answer.choices[0].message.content,
        "finish_reason": answer.choices[0].finish_reason,
        "total_tokens": answer.usage.total_tokens,
        "model": answer.model,
    }


def stream(client: openai.OpenAI, model: str) -> dict[str, Any]:
    chunks = list(
        client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "What is 17+25?"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    usage = chunks[-1].usage
    return {
        "type": type(chunks[0]).__name__,
        "text": "".join(said),
        "finish_reason": [c.choices[0].finish_reason for c in chunks if c.choices][-1],
        "total_tokens": usage.total_tokens if usage else None,
    }


def tools(client: openai.OpenAI, model: str) -> dict[str, Any]:
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Paris? Use get_weather."}]
    first = client.chat.completions.create(
        model=model, messages=messages, tools=[WEATHER_TOOL], tool_choice="required"
    ).choices[0]
    assert first.message.tool_calls
    call: Any = first.message.tool_calls[0]
    messages.append(first.message.model_dump(exclude_none=True))
    messages.append({"role": "tool", "tool_call_id": call.id, "content": '{"temperature": "18 degrees"}'})
    second = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER_TOOL]).choices[0]
    return {
        "type": type(call).__name__,
        "finish_reason": first.finish_reason,
        "name": call.function.name,
        "arguments": json.loads(call.function.arguments),
        "text": second.message.content,
    }


def schema(client: openai.OpenAI, model: str) -> dict[str, Any]:
    answer = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Describe Ada, aged 36."}], response_format=PERSON
    )
    found: dict[str, Any] = json.loads(answer.choices[0].message.content or "")
    return found


def image(client: openai.OpenAI, model: str) -> dict[str, Any]:
    url = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    content: Any = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url}}]
    try:
        answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])
    except openai.UnprocessableEntityError as error:
        return {"refused": error.code}
    return {"text": answer.choices[0].message.content}


def errors(client: openai.OpenAI) -> dict[str, Any]:
    told: dict[str, Any] = {}
    cases: dict[str, dict[str, Any]] = {
        "unknown_model": {"model": "gpt-unheard-of"},
        "bad_strategy": {"model": "auto", "extra_body": {"quorum": {"strategy": "majority"}}},
        "bad_body": {"model": "auto", "temperature": 9},
    }
    for name, fields in cases.items():
        try:
            client.chat.completions.create(messages=[{"role": "user", "content": "hello"}], **fields)
        except openai.APIStatusError as error:
            told[name] = {"type": type(error).__name__, "status": error.status_code, "code": error.code}
    return told


def main(base_url: str, models: list[str]) -> None:
    client = openai.OpenAI(base_url=base_url, api_key="sk-demo", timeout=20)
    told: dict[str, Any] = {"version": openai.__version__, "errors": errors(client), "models": {}}
    told["listed"] = [model.id for model in client.models.list()]
    for model in models:
        told["models"][model] = {scene.__name__: scene(client, model) for scene in (chat, stream, tools, schema, image)}
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
