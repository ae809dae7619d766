"""Tables of what each provider answers in each kind of weather, and small helpers to read it."""

from __future__ import annotations

from typing import Any

from tests.simulator.speakers import Body, Speaker

Words = tuple[int, str]  # the status, and a part of the sentence
NOT_FOUND = "does not exist or your team"


def hello(speaker: Speaker, **more: Any) -> Body:
    """A small question, with these fields over it."""
    return speaker.ask("Hello", model=speaker.model) | more


def message(body: Any) -> str:
    """The provider's sentence, wherever its wire puts it."""
    if isinstance(body, list):
        return " ".join(message(one) for one in body)
    if not isinstance(body, dict):
        return str(body or "")
    if "loc" in body:
        return f"{'.'.join(map(str, body['loc']))}: {body['msg']}"
    keys = ("errors", "error", "message", "detail", "title")
    return next((message(body[key]) for key in keys if body.get(key)), "")


# The status without a key, the status with a bad one, and a part of the sentence for the bad one.
AUTH: dict[str, tuple[int, int, str]] = {
    "openai": (401, 401, "Incorrect API key provided"),
    "anthropic": (401, 401, "invalid x-api-key"),
    "gemini": (403, 400, "API key not valid"),
    "cohere": (401, 401, "Incorrect API key provided"),
    "groq": (401, 401, "Invalid API Key"),
    "xai": (401, 400, "Incorrect API key provided"),
    "mistral": (401, 401, "Invalid API Key"),
    "cerebras": (401, 401, "Wrong API Key"),
    "openrouter": (401, 401, "User not found."),
    "cloudflare": (401, 403, "Authentication error"),
    "nvidia": (401, 401, "Authorization failed"),
    "huggingface": (401, 401, "Invalid username or password."),
}

# Each provider's refusal in each weather; where it has two wordings, both, in turn.
STATUSES: dict[str, dict[str, tuple[Words, ...]]] = {
    "outage": {
        **dict.fromkeys(("openai", "anthropic", "gemini", "cohere", "groq", "xai", "mistral"), ((503, ""),)),
        "cerebras": ((503, "temporarily unavailable"),),
        "openrouter": ((503, "no available model provider"),),
        "cloudflare": ((503, "Upstream service unavailable"),),
        "nvidia": ((503, "unavailable"),),
        "huggingface": ((503, "Service Unavailable"),),
    },
    "server-error": {
        **dict.fromkeys(("openai", "anthropic", "gemini", "cohere", "groq", "xai", "mistral"), ((500, ""),)),
        "cerebras": ((500, "Encountered a server error"),),
        "openrouter": ((502, "Internal Server Error"), (502, "Provider returned error")),
        "cloudflare": ((500, "AiError"),),
        "nvidia": ((500, "Inference error"),),
        "huggingface": ((500, "Encountered a server error"),),
    },
    "timeout": {
        **dict.fromkeys(("openai", "anthropic", "gemini", "cohere", "groq", "xai", "mistral"), ((504, ""),)),
        "cerebras": ((504, "timed out"),),
        "openrouter": ((408, "timed out"),),
        "cloudflare": ((408, "Request timeout"), (408, "Request aborted")),
        "nvidia": ((504, ""),),
        "huggingface": ((504, "Gateway Timeout"),),
    },
    "overloaded": {
        "openai": ((503, "overloaded"),),
        "anthropic": ((529, "Overloaded"),),
        "gemini": ((503, "overloaded"),),
        "cohere": ((503, "overloaded"),),
        "groq": ((498, "capacity"),),
        "xai": ((503, "at capacity"),),
        "mistral": ((429, "Service tier capacity exceeded"),),
        "cerebras": ((429, "high traffic"), (503, "high traffic")),
        "openrouter": ((429, "Provider returned error"),),
        "cloudflare": ((429, "No more data centers"),),
        "nvidia": ((400, "DEGRADED function cannot be invoked"),),
        "huggingface": ((429, "high traffic"), (503, "high traffic")),
    },
    "rate-limited": {
        "openai": ((429, "requests per min (RPM)"),),
        "anthropic": ((429, "rate limit of"),),
        "gemini": ((429, "Quota exceeded"),),
        "cohere": ((429, "/ minute"),),
        "groq": ((429, "requests per minute (RPM)"),),
        "xai": ((429, "Requests per Minute (actual/limit)"),),
        "mistral": ((429, "Rate limit exceeded"),),
        "cerebras": ((429, "Requests per minute limit exceeded"),),
        "openrouter": ((429, "free-models-per-min"),),
        "cloudflare": ((429, "throttling"),),
        "nvidia": ((429, "Too Many Requests"),),
        "huggingface": ((429, "Requests per minute limit exceeded"),),
    },
    "quota-day": {
        "openai": ((429, "requests per day (RPD)"),),
        "anthropic": ((429, "monthly API usage"),),
        "gemini": ((429, "Quota exceeded"),),
        "cohere": ((429, "/ month"),),
        "groq": ((429, "requests per day (RPD)"),),
        "xai": ((429, "used all available credits"),),
        "mistral": ((429, "Monthly token limit"),),
        "cerebras": ((429, "Tokens per day limit exceeded"),),
        "openrouter": ((429, "free-models-per-day"),),
        "cloudflare": ((429, "AiError: AiError: you have used up your daily"), (429, "You have used up your daily")),
        "nvidia": ((429, "Too Many Requests"),),
        "huggingface": ((402, "exceeded your monthly included credits"),),
    },
    "billing": {
        "openai": ((429, "check your plan"),),
        "anthropic": ((400, "credit balance is too low"),),
        "gemini": ((429, "credits"),),
        "cohere": ((402, "payment method"),),
        "groq": ((402, "billing"),),
        "xai": ((403, "used all available credits"), (429, "used all available credits")),
        "mistral": ((402, "Payment required"),),
        "cerebras": ((402, "Payment required"),),
        "openrouter": ((402, "can only afford 2674"), (402, "Insufficient credits")),
        "cloudflare": ((403, "requires the Workers Paid plan"),),
        "nvidia": ((402, "credits expired"),),
        "huggingface": ((402, "exceeded your monthly included credits"),),
    },
    "bad-key": {
        "openai": ((401, "Incorrect API key"),),
        "anthropic": ((401, "invalid x-api-key"),),
        "gemini": ((400, "API key not valid"),),
        "cohere": ((401, "Incorrect API key"),),
        "groq": ((401, "Invalid API Key"),),
        "xai": ((400, "provided: ***."), (400, "provided. You can")),
        "mistral": ((401, "Invalid API Key"),),
        "cerebras": ((401, "Wrong API Key"),),
        "openrouter": ((401, "Missing Authentication header"), (401, "User not found.")),
        "cloudflare": ((401, "Authentication error"), (403, "Authentication error")),
        "nvidia": ((403, "Authorization failed"), (401, "Authorization failed")),
        "huggingface": ((401, "Invalid username or password."),),
    },
    "model-gone": {
        "openai": ((404, "has been deprecated"),),
        "anthropic": ((404, "model: claude-haiku-4-5"),),
        "gemini": ((404, "is not found"),),
        "cohere": ((404, "not found"),),
        "groq": ((400, "has been decommissioned"),),
        "xai": ((404, NOT_FOUND),),
        "mistral": ((400, "Invalid model: mistral-small-latest"),),
        "cerebras": ((404, "does not exist or you do not have access"),),
        "openrouter": ((404, "No endpoints found for google/gemini"),),
        "cloudflare": ((400, "No such model @cf/meta"), (404, "The model name is invalid")),
        "nvidia": ((410, "has reached its end of life on"),),
        "huggingface": ((400, "does not exist"),),
    },
    "no-access": {
        "openai": ((403, "does not have access to model"),),
        "anthropic": ((403, "does not have access"),),
        "gemini": ((403, "does not have permission"),),
        "cohere": ((403, "does not have access"),),
        "groq": ((403, "blocked at the organization level"),),
        "xai": ((403, "is not allowed to use"),),
        "mistral": ((429, "Rate limit exceeded"),),
        "cerebras": ((403, "does not include model"),),
        "openrouter": ((404, "matching your data policy"),),
        "cloudflare": ((403, "licence of @cf/meta"),),
        "nvidia": ((404, "Not found for account"),),
        "huggingface": ((400, "is not supported by any provider you have enabled"),),
    },
    "context-length": {
        "openai": ((400, "Input tokens exceed"),),
        "anthropic": ((400, "prompt is too long"),),
        "gemini": ((400, "input token count"),),
        "cohere": ((400, "too many tokens"),),
        "groq": ((400, "reduce the length"),),
        "xai": ((400, "maximum prompt length"),),
        "mistral": ((400, "maximum context length"),),
        "cerebras": ((400, "reduce the length"),),
        "openrouter": ((400, "maximum context length"),),
        "cloudflare": ((400, "context window limit"),),
        "nvidia": ((400, "maximum context length"),),
        "huggingface": ((400, "reduce the length"),),
    },
}
# How a full minute asks to wait seven seconds.
RETRY_HEADERS: dict[str, dict[str, str]] = {
    "openai": {"retry-after": "7", "retry-after-ms": "7000"},
    "anthropic": {"retry-after": "7"},
    "gemini": {},
    "cohere": {},
    "groq": {"retry-after": "7"},
    "xai": {"retry-after": "7"},
    "mistral": {},
    "cerebras": {"retry-after": "7"},
    "openrouter": {},
    "cloudflare": {},
    "nvidia": {},
    "huggingface": {"retry-after": "7"},
}
# The last JSON event of a stream that ends in an error: its name, and a part of it.
STREAM_ERRORS: dict[str, tuple[str, str]] = {
    "openai": ("", '"error":{'),
    "anthropic": ("error", '"overloaded_error"'),
    "gemini": ("", '"status":"INTERNAL"'),
    "cohere": ("message-end", '"finish_reason":"ERROR"'),
    "groq": ("error", '"status_code":500'),
    "xai": ("", '"error":"An internal error'),
    "mistral": ("", '"object":"error"'),
    "cerebras": ("", '"status_code":500'),
    "openrouter": ("", '"finish_reason":"error"'),
    "cloudflare": ("", '"success":false'),
    "nvidia": ("", '"code":500'),
    "huggingface": ("", '"status_code":500'),
}
