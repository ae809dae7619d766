"""A small registry without faults, the adapters it refers to, and how tests look at variations of it."""

from __future__ import annotations

from collections.abc import Mapping

from router.core.registry import Registry
from router.registry.load import Checked, parse_registry

ADAPTERS: Mapping[str, str] = {
    "anthropic": "https://api.anthropic.com/v1",
    "compatible": "",
    "gemini": "https://generativelanguage.googleapis.com/v1beta",
    "groq": "https://api.groq.com/openai/v1",
}
ENV: Mapping[str, str] = {"GROQ_API_KEY": "gsk_a-real-secret"}

GOOD = """\
version: 1
defaults: {strategy: single-query, tier: cheap}
tiers:
  cheap: {council_size: 1, first_token: 10s, total: 60s}
  complex:
    council_size: 1
    total: 180s
strategies:
  council: {chair: complex}
providers:
  groq:
    adapter: groq
    api_key: ${GROQ_API_KEY}
    limits:
      - {requests: 30, per: minute}
      - {requests: 1000, per: day, resets: "00:00 UTC"}
    models:
      small: {tier: cheap, rank: 1, family: a, context: 128k, price: {input: 0.1, output: 0.5}, supports: [tools]}
      large:
        tier: complex
        rank: 1
        replaced_by: small
  local:
    adapter: compatible
    base_url: http://127.0.0.1:11434/v1
    enabled: true
    models:
      tiny: {tier: {cheap: 2, complex: 5}}
"""


def changed(*replacements: tuple[str, str]) -> str:
    """The good registry with pieces of its text replaced; each must be there exactly once."""
    text = GOOD
    for old, new in replacements:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the good registry"
        text = text.replace(old, new)
    return text


def examined(text: str | bytes, env: Mapping[str, str] | None = ENV) -> Checked:
    """What a check finds in a text."""
    content = text.encode() if isinstance(text, str) else text
    return parse_registry(content, "r.yaml", env=env, adapters=ADAPTERS)


def loaded(text: str = GOOD, env: Mapping[str, str] | None = ENV) -> Registry:
    """The registry of a text that must be without errors."""
    checked = examined(text, env)
    assert checked.registry is not None, "\n".join(map(str, checked.problems))
    return checked.registry
