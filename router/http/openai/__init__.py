"""OpenAI's wire format, in and out: chat completions and models."""
