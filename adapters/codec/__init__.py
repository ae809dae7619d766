"""What the wire formats share: bytes to values and back, without knowing any provider.

- Building a request: request_body, openai_chat, dropped_params.
- Parsing an answer: sse, json_values, openai_chat, reasoning (with code_spans), reasoning_details, collect.
- Parsing a failure: error_bodies, error_rules, headers.
- `dialect` puts them together for every provider that speaks a variant of OpenAI's format.
"""
