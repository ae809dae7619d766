"""The registry.yaml that Quorum comes with."""

from __future__ import annotations

import re

import pytest

from router.core.registry import Model, Registry
from router.registry.load import Checked, check
from tests.support.paths import ROOT

KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "xai": "XAI_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "cohere": "COHERE_API_KEY",
    "groq": "GROQ_API_KEY",
    "cerebras": "CEREBRAS_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "cloudflare": "CLOUDFLARE_API_TOKEN",
    "nvidia": "NVIDIA_API_KEY",
    "huggingface": "HF_TOKEN",
}
ENV = dict.fromkeys((*KEYS.values(), "CLOUDFLARE_ACCOUNT_ID"), "x")


def shipped(env: dict[str, str]) -> Checked:
    return check(ROOT / "registry.yaml", env=env)


@pytest.fixture(name="registry")
def _registry() -> Registry:
    registry = shipped(ENV).registry
    assert registry is not None
    return registry


def test_it_has_no_findings_once_every_key_is_set(registry: Registry) -> None:
    assert shipped(ENV).problems == ()
    assert all(seat.routable for seat in registry.seats.values())
    assert registry.providers["cloudflare"].base_url.endswith("/accounts/x/ai/v1")


def test_it_loads_without_any_key() -> None:
    checked = shipped({})
    assert {problem.severity for problem in checked.problems} == {"note"}
    assert checked.registry
    for name, key in KEYS.items():
        assert key in checked.registry.providers[name].missing_env


def test_it_has_the_twelve_providers_and_both_tiers(registry: Registry) -> None:
    assert set(registry.providers) == set(KEYS)
    assert set(registry.tiers) == {"cheap", "complex"}
    for tier in registry.tiers.values():
        assert len({seat.model.family for seat in tier.seats}) >= 8
        assert len({seat.provider.id for seat in tier.seats}) >= 10


def models(registry: Registry) -> list[tuple[str, Model]]:
    return [(name, model) for name, provider in registry.providers.items() for model in provider.models.values()]


def test_every_model_is_described(registry: Registry) -> None:
    lines = (ROOT / "registry.yaml").read_text().splitlines()
    for provider, model in models(registry):
        assert model.family != model.id, model.id
        assert model.price or any(model.id in line and "# price:" in line for line in lines), f"{provider}/{model.id}"
        assert model.weight == 1


def test_free_quota_is_asked_before_money_is_spent(registry: Registry) -> None:
    for tier in registry.tiers.values():
        assert {seat.provider.id for seat in tier.seats if seat.rank == 1} <= {
            "groq",
            "cerebras",
            "gemini",
            "cloudflare",
        }
        assert all(seat.rank > 1 for seat in tier.seats if seat.provider.id in {"openai", "anthropic", "xai"})


def test_daily_quotas_reset_where_the_provider_says(registry: Registry) -> None:
    providers = registry.providers
    days = {
        name: {
            limit.resets
            for limit in (*provider.limits, *(limit for model in provider.models.values() for limit in model.limits))
            if limit.per == "day"
        }
        for name, provider in providers.items()
    }
    assert days["gemini"] == {"00:00 America/Los_Angeles"}
    assert days["cloudflare"] == days["openrouter"] == {"00:00 UTC"}
    assert days["groq"] == days["cerebras"] == {"rolling"}


def test_each_provider_has_its_traps_in_a_comment() -> None:
    text = (ROOT / "registry.yaml").read_text()
    for name in KEYS:
        assert re.search(rf"^  # .+\n  {name}:$", text, re.MULTILINE), name
