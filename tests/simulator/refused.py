"""Requests that each provider refuses, with its status and wording."""

from __future__ import annotations

from tests.simulator.speakers import (
    ANTHROPIC,
    CEREBRAS,
    CLOUDFLARE,
    COHERE,
    GEMINI,
    GROQ,
    HUGGINGFACE,
    MISTRAL,
    NVIDIA,
    OPENAI,
    OPENROUTER,
    PERSON,
    XAI,
    Body,
    Speaker,
)

CALLED = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
USER = {"role": "user", "content": "Hello"}
OF_THE_FIVE: list[tuple[Speaker, Body, str]] = [
    (OPENAI, {"model": None}, "you must provide a model parameter"),
    (OPENAI, {"messages": None}, "Missing required parameter: 'messages'."),
    (OPENAI, {"messages": []}, "empty array"),
    (
        OPENAI,
        {"messages": [{"role": "robot", "content": "x"}]},
        "Invalid value: 'robot'. Supported values are: 'system'",
    ),
    (OPENAI, {"temperature": 3}, "Expected a value <= 2, but got 3"),
    (OPENAI, {"temperature": -1}, "Expected a value >= 0, but got -1"),
    (OPENAI, {"temperature": "hot"}, "Invalid type for 'temperature'"),
    (OPENAI, {"strategy": "council"}, "Unrecognized request argument supplied: strategy"),
    (OPENAI, {"stream_options": {"include_usage": True}}, "only allowed when 'stream' is enabled"),
    (OPENAI, {"model": "gpt-6-luna", "max_tokens": 9}, "Use 'max_completion_tokens' instead"),
    (OPENAI, {"model": "gpt-6-luna", "temperature": 0.2}, "does not support 0.2 with this model"),
    (
        OPENAI,
        {"messages": [USER, {"role": "tool", "tool_call_id": "x", "content": "y"}]},
        "messages with role 'tool' must",
    ),
    (
        OPENAI,
        {"messages": [{"role": "assistant", "tool_calls": [CALLED]}, USER]},
        "did not have response messages: call_1",
    ),
    (OPENAI, {"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
    (OPENAI, {"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    (OPENAI, {"tools": [{"type": "function", "function": {"name": "a b"}}]}, "does not match pattern"),
    (GROQ, {"model": None}, "property 'model' is missing"),
    (GROQ, {"temperature": 3}, "number must be at most 2"),
    (GROQ, {"quorum": {}}, "property 'quorum' is unsupported"),
    (GROQ, {"reasoning_format": "raw", **GROQ.tool}, "not supported with tools"),
    (ANTHROPIC, {"model": None}, "model"),
    (ANTHROPIC, {"max_tokens": None}, "max_tokens"),
    (ANTHROPIC, {"messages": []}, "at least one message is required"),
    (ANTHROPIC, {"messages": [{"role": "system", "content": "x"}]}, "top-level `system` parameter"),
    (ANTHROPIC, {"messages": [{"role": "robot", "content": "x"}]}, "Input should be 'user' or 'assistant'"),
    (ANTHROPIC, {"temperature": 1.5}, "less than or equal to 1"),
    (ANTHROPIC, {"model": "claude-opus-5-5", "temperature": 0.5}, "temperature: not supported with this model."),
    (ANTHROPIC, {"seed": 1}, "seed: Extra inputs are not permitted"),
    (ANTHROPIC, {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]}, "must be non-empty"),
    (ANTHROPIC, {"messages": [USER, {"role": "assistant", "content": [USE]}, USER]}, "without `tool_result` blocks"),
    (
        ANTHROPIC,
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t9", "content": "x"}]}]},
        "unexpected `tool_use_id`",
    ),
    (ANTHROPIC, {"thinking": {"type": "enabled", "budget_tokens": 2000}}, "greater than `thinking.budget_tokens`"),
    (ANTHROPIC, {"tool_choice": {"type": "auto"}}, "only be specified while providing tools"),
    (GEMINI, {"contents": []}, "contents is not specified"),
    (GEMINI, {"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "Please use a valid role: user, model."),
    (GEMINI, {"generationConfig": {"temperature": 3}}, "must be in the range [0.0, 2.0]"),
    (GEMINI, {"generationConfig": {"max_tokens": 3}}, 'Unknown name "max_tokens"'),
    (GEMINI, {"model_name": "x"}, 'Unknown name "model_name"'),
    (
        GEMINI,
        {"tools": [{"functionDeclarations": [{"name": "f", "parameters": {"additionalProperties": False}}]}]},
        'Unknown name "additionalProperties"',
    ),
    (
        GEMINI,
        {"contents": [{"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]}]},
        "equal to the number of function call parts",
    ),
    (COHERE, {"model": None}, "model is required"),
    (COHERE, {"messages": []}, "at least one message"),
    (COHERE, {"messages": [{"role": "robot", "content": "x"}]}, "role must be one of"),
    (COHERE, {"temperature": 1.5}, "temperature must be between 0 and 1.0"),
    (COHERE, {"tool_choice": "auto"}, "tool_choice must be one of: REQUIRED, NONE"),
    (COHERE, {"tools": [{"type": "function", "function": {"name": "1st"}}]}, "not begin with a digit"),
    (COHERE, {"messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]}, "not found in previous tool calls"),
]


def _called(ident: str) -> list[Body]:
    call = CALLED | {"id": ident}
    said = {"role": "assistant", "content": "", "tool_calls": [call]}
    return [USER, said, {"role": "tool", "tool_call_id": ident, "content": "y"}]


def _schema(**more: object) -> Body:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": PERSON, **more}}


ROBOT = {"messages": [{"role": "robot", "content": "x"}]}
THOUGHTFUL = {"messages": [USER, {"role": "assistant", "content": "x", "reasoning_content": "y"}, USER]}
# What each of the other seven refuses: the change to a good request, the status, and a part of the sentence.
OF_THE_SEVEN: list[tuple[Speaker, Body, int, str]] = [
    (XAI, {"model": None}, 422, "missing field `model`"),
    (XAI, {"messages": None}, 422, "messages: missing field"),
    (XAI, {"messages": []}, 400, "At least one message"),
    (XAI, ROBOT, 422, "unknown variant `robot`"),
    (XAI, {"temperature": 3}, 400, "temperature must be at most 2"),
    (XAI, {"temperature": "hot"}, 422, "temperature: invalid type"),
    (XAI, {"presence_penalty": 0}, 400, f"Model {XAI.model} does not support parameter presencePenalty."),
    (XAI, {"model": "grok-4.3", "frequency_penalty": 0.5}, 400, "does not support parameter frequencyPenalty."),
    (XAI, {"model": "grok-4.3", "stop": ["x"]}, 400, "Model grok-4.3 does not support parameter stop."),
    (MISTRAL, {"model": None}, 422, "body.model: Field required"),
    (MISTRAL, {"messages": None}, 422, "body.messages: Field required"),
    (MISTRAL, {"messages": []}, 422, "body.messages: List should have at least 1 item"),
    (MISTRAL, ROBOT, 422, "Input tag 'robot' found using 'role'"),
    (MISTRAL, {"messages": [{"role": "developer", "content": "x"}, USER]}, 422, "Input tag 'developer' found"),
    (MISTRAL, {"temperature": 1.6}, 422, "body.temperature: Input should be less than or equal to 1.5"),
    (MISTRAL, {"seed": 1}, 422, "body.seed: Extra inputs are not permitted"),
    (MISTRAL, {"max_completion_tokens": 9}, 422, "body.max_completion_tokens: Extra inputs are not permitted"),
    (MISTRAL, {"logprobs": True}, 422, "body.logprobs: Extra inputs"),
    (MISTRAL, {"user": "u"}, 422, "body.user: Extra inputs"),
    (MISTRAL, {"stream_options": {"include_usage": True}}, 422, "body.stream_options.include_usage: Extra inputs"),
    (MISTRAL, {"reasoning_effort": "low"}, 422, "body.reasoning_effort: Input should be 'high' or 'none'"),
    (MISTRAL, THOUGHTFUL, 422, "body.messages.1.assistant.reasoning_content: Extra inputs"),
    (MISTRAL, {"messages": _called("call_1")}, 400, "Tool call id was call_1 but must be a-z, A-Z, 0-9"),
    (MISTRAL, {"messages": [USER, {"role": "assistant", "content": "x"}]}, 400, "but got assistant"),
    (MISTRAL, {"messages": _called("abcdefgh1")[:2]}, 400, "Not the same number of function calls and responses"),
    (CEREBRAS, {"model": None}, 400, "body.model: Field required"),
    (CEREBRAS, {"messages": None}, 400, "body.messages: Field required"),
    (CEREBRAS, ROBOT, 400, "messages.0.role: Input tag 'robot'"),
    (CEREBRAS, {"temperature": 1.6}, 400, "body.temperature: Input should be less than or equal to 1.5"),
    (CEREBRAS, {"n": 2}, 400, "body.n: Input should be less than or equal to 1"),
    (CEREBRAS, {"frequency_penalty": 0}, 400, "property 'body.frequency_penalty' is unsupported"),
    (CEREBRAS, {"presence_penalty": 0}, 400, "property 'body.presence_penalty' is unsupported"),
    (CEREBRAS, {"thinking": {}}, 400, "body.thinking: property 'body.thinking' is unsupported"),
    (CEREBRAS, THOUGHTFUL, 400, "messages.1.assistant.reasoning_content: property"),
    (CEREBRAS, {"response_format": _schema(strict=True)}, 400, "'additionalProperties' set to false"),
    (OPENROUTER, {"model": None}, 400, "No models provided"),
    (OPENROUTER, {"messages": None}, 400, 'specify "prompt" or "messages"'),
    (OPENROUTER, ROBOT, 400, "messages[0].role: Invalid input"),
    (OPENROUTER, {"temperature": 3}, 400, "temperature: Number must be less than or equal to 2"),
    (CLOUDFLARE, {"model": None}, 400, "required properties at '/' are 'model'"),
    (CLOUDFLARE, {"messages": None}, 400, "required properties at '/messages'"),
    (CLOUDFLARE, ROBOT, 400, "at '/messages/0/role'"),
    (CLOUDFLARE, {"temperature": 6}, 400, "value at '/temperature' must be <= 5"),
    (CLOUDFLARE, {"stream": True, "response_format": _schema()}, 400, "not supported with stream mode"),
    (NVIDIA, {"model": None}, 422, "body -> model"),
    (NVIDIA, {"messages": None}, 422, "body -> messages"),
    (NVIDIA, ROBOT, 422, "body -> messages[0].role"),
    (NVIDIA, {"temperature": 3}, 422, "less_than_equal"),
    (NVIDIA, {"prompt_cache_key": "x"}, 400, "Validation: Unsupported parameter(s): `prompt_cache_key`"),
    (NVIDIA, {"model": "minimaxai/minimax-m2", "reasoning_budget": 9}, 422, "body -> reasoning_budget"),
    (NVIDIA, {"model": "google/gemma-2-2b-it", "presence_penalty": 0}, 422, "body -> presence_penalty"),
    (HUGGINGFACE, {"model": None}, 400, "model: Field required"),
    (HUGGINGFACE, {"messages": None}, 400, "messages: Field required"),
    (HUGGINGFACE, {"frequency_penalty": 0}, 400, "property 'body.frequency_penalty' is unsupported"),
    (
        HUGGINGFACE,
        {"model": "Qwen/Qwen3-32B:novita", "temperature": "hot"},
        400,
        "temperature: Input should be a number",
    ),
]
REFUSED = [*((speaker, change, 400, words) for speaker, change, words in OF_THE_FIVE), *OF_THE_SEVEN]

# What a lenient provider accepts: it ignores what it does not know, or its backend does.
TAKEN: list[tuple[Speaker, Body]] = [
    (OPENROUTER, {"strategy": "council", "logit_bias": {}, "temperature": 2}),
    (OPENROUTER, {"response_format": _schema(strict=True)}),
    (XAI, {"unheard_of": 1, "temperature": 2, "stop": ["x"]}),
    (MISTRAL, {"random_seed": 1, "temperature": 1.5, "presence_penalty": 1, "reasoning_effort": "none"}),
    (MISTRAL, {"messages": _called("abcdefgh1")}),
    (MISTRAL, {"messages": [USER, {"role": "assistant", "content": "The", "prefix": True}]}),
    (CEREBRAS, {"seed": 1, "temperature": 1.5, "response_format": _schema()}),
    (CLOUDFLARE, {"temperature": 5, "seed": 1, "unheard_of": 1}),
    (NVIDIA, {"chat_template_kwargs": {"thinking": False}, "seed": 1}),
    (HUGGINGFACE, {"model": "Qwen/Qwen3-32B", "frequency_penalty": 1, "unheard_of": 1}),
]
