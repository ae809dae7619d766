"""OpenAI's wire, in and out: chat completions and models."""
