"""A good registry, loaded: models, tiers, limits, fallbacks and options as the router uses them."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import orjson
import pytest

from adapters.types import Quirks
from router.core.registry import Breaker, Health, Limit, Price, Timeouts
from router.core.strategy_options import (
    CouncilOptions,
    Escalation,
    FusionOptions,
    Hedge,
    StrategyOptions,
    VoteOptions,
    WalkOptions,
)
from router.registry.load import load_registry, parse_registry
from router.registry.problems import RegistryError
from router.strategies.table import STRATEGIES
from tests.registry.good import ADAPTERS, ENV, GOOD, changed, examined, loaded


def test_the_good_registry_has_no_findings() -> None:
    assert examined(GOOD).problems == ()


def test_models_are_resolved() -> None:
    groq = loaded().providers["groq"]
    small, large = groq.models["small"], groq.models["large"]
    assert (small.context, small.price, small.family) == (128_000, Price(0.1, 0.5), "a")
    assert (small.supports, large.supports) == (frozenset({"tools"}), None)
    assert (large.family, large.replaced_by, large.tiers) == ("large", "small", {"complex": 1})
    assert groq.limits == (
        Limit(30, "requests", "minute"),
        Limit(1000, "requests", "day", resets="00:00 UTC"),
    )


def test_tiers_are_seats_by_rank_then_as_written() -> None:
    registry = loaded(changed(("tier: {cheap: 2, complex: 5}", "tier: [cheap, complex], rank: 1")))
    assert [seat.id for seat in registry.tiers["cheap"].seats] == ["groq/small", "local/tiny"]
    assert [seat.id for seat in registry.tiers["complex"].seats] == ["groq/large", "local/tiny"]
    assert [(seat.tier, seat.rank) for seat in registry.seats.values()] == [("cheap", 1), ("cheap", 1), ("complex", 1)]


def test_a_model_without_a_rank_comes_last() -> None:
    registry = loaded(changed(("{tier: {cheap: 2, complex: 5}}", "{tier: cheap}"), ("rank: 1, family: a", "family: a")))
    assert [seat.rank for seat in registry.tiers["cheap"].seats] == [100, 100]


def test_a_target_has_all_that_its_adapter_needs() -> None:
    text = changed(
        ("enabled: true", "quirks: {rename: {seed: random_seed}, drop: [user], set: {a: {b: 1}}, path: /chat}"),
        ("{tier: {cheap: 2, complex: 5}}", "{tier: cheap, max_output: 4k, supports: [json, seed, logprobs]}"),
    )
    target = loaded(text).seats["local/tiny"].target
    assert (target.provider, target.model, target.adapter) == ("local", "tiny", "compatible")
    assert (target.base_url, target.api_key) == ("http://127.0.0.1:11434/v1", None)
    assert (target.max_output_tokens, target.supports) == (4000, frozenset({"json", "seed", "logprobs"}))
    assert target.quirks == Quirks({"seed": "random_seed"}, frozenset({"user"}), {"a": {"b": 1}}, "/chat")


@pytest.mark.parametrize(
    ("supports", "unsent"),
    [
        ("", set()),
        (", supports: [tools]", {"seed", "logprobs", "top_logprobs"}),
        (", supports: [tools, seed]", {"logprobs", "top_logprobs"}),
        (", supports: [logprobs, seed]", set()),
    ],
)
def test_a_model_is_not_sent_what_its_list_of_capabilities_lacks(supports: str, unsent: set[str]) -> None:
    registry = loaded(changed(("{tier: {cheap: 2, complex: 5}}", f"{{tier: cheap{supports}}}")))
    assert registry.seats["local/tiny"].target.quirks.drop == unsent


def test_times_come_from_the_provider_then_its_defaults_then_the_tier() -> None:
    text = changed(
        ("tier: cheap}\n", "tier: cheap, timeouts: {idle: 7s, connect: 250ms}}\n"),
        ("    enabled: true\n", "    timeouts: {idle: 3s, total: 5m}\n"),
    )
    registry = loaded(text)
    assert registry.seats["local/tiny"].timeouts == Timeouts(0.25, 10, 3, 300)
    assert registry.seats["groq/large"].timeouts == Timeouts(0.25, 10, 7, 180)


def test_behaviour_falls_back_field_by_field() -> None:
    text = changed(
        ("tier: cheap}\n", "tier: cheap, retries: 3, on_store_down: closed, breaker: {failures: 9, open: 1m}}\n"),
        (
            "    enabled: true\n",
            "    retries: 0\n    breaker: {failures: 2}\n    health: {mode: passive, interval: 2h}\n",
        ),
    )
    providers = loaded(text).providers
    assert (providers["local"].retries, providers["groq"].retries) == (0, 3)
    assert {provider.on_store_down for provider in providers.values()} == {"closed"}
    assert providers["local"].breaker == Breaker(failures=2, open_s=60)
    assert providers["groq"].breaker == Breaker(failures=9, open_s=60)
    assert providers["local"].health == Health("passive", 7200)
    assert providers["groq"].health == Health()


def test_every_strategy_has_its_options() -> None:
    strategies = loaded().strategies
    assert {name: type(options) for name, options in strategies.items()} == {
        name: facts.options for name, facts in STRATEGIES.items()
    }
    assert strategies["council"] == CouncilOptions(chair="complex")
    assert strategies["majority-vote"] == VoteOptions()


def with_options(strategy: str, options: str) -> StrategyOptions:
    text = changed(("  council: {chair: complex}\n", f"  {strategy}: {{{options}}}\n"))
    return next(found for name, found in loaded(text).strategies.items() if name == strategy)


@pytest.mark.parametrize(
    ("strategy", "written", "options"),
    [
        ("ranked-fallback", "on_cut: continue", WalkOptions(on_cut="continue")),
        ("single-query", 'hedge: {after: 2.5x p95, budget: "10%"}', WalkOptions(hedge=Hedge(0.1, times=2.5))),
        ("single-query", "hedge: {after: 800ms}", WalkOptions(hedge=Hedge(0.02, after_s=0.8))),
        (
            "majority-vote",
            "on_no_quorum: fail, free_text: cluster, ignore: [/id]",
            VoteOptions(on_no_quorum="fail", free_text="cluster", ignore=("/id",)),
        ),
        ("majority-vote", "escalate: complex/council", VoteOptions(escalate=Escalation("council", "complex"))),
        ("majority-vote", "escalate: council", VoteOptions(escalate=Escalation("council"))),
        (
            "majority-vote",
            "escalate: complex, escalate_below: 0.7",
            VoteOptions(escalate=Escalation("synthesize-best", "complex", below=0.7)),
        ),
        (
            "synthesize-best",
            "chair: groq/large, prompts: {synthesize: Fuse.}",
            FusionOptions(chair="groq/large", prompts={"synthesize": "Fuse."}),
        ),
        ("council", "style: karpathy", CouncilOptions(style="karpathy")),
    ],
)
def test_options_are_parsed_when_the_registry_is_loaded(strategy: str, written: str, options: StrategyOptions) -> None:
    assert with_options(strategy, written) == options


def test_limits_stand_where_they_are_counted() -> None:
    text = changed(
        ("- {requests: 30, per: minute}", "- {requests: 30, per: minute, scope: model}"),
        ("supports: [tools]", "limits: [{requests: 15, per: minute}, {usd: 0.5, per: month}]"),
    )
    groq = loaded(text).providers["groq"]
    assert [(limit.amount, limit.scope) for limit in groq.limits] == [(1000, "account")]
    assert groq.models["small"].limits == (
        Limit(15, "requests", "minute", scope="model"),
        Limit(0.5, "usd", "month", scope="model"),
    )
    assert groq.models["large"].limits == (Limit(30, "requests", "minute", scope="model"),)


def test_the_first_tier_is_the_default_where_none_is_named() -> None:
    registry = loaded(changed(("defaults: {strategy: single-query, tier: cheap}\n", "")))
    assert (registry.default_strategy, registry.default_tier) == ("single-query", "cheap")


def test_the_hash_is_that_of_the_content_and_can_be_recomputed() -> None:
    registry = loaded()
    canonical = orjson.dumps(registry.document, option=orjson.OPT_SORT_KEYS)
    assert registry.hash == hashlib.sha256(canonical).hexdigest()
    assert loaded("# a comment\n" + GOOD.replace("enabled: true", "enabled:   True")).hash == registry.hash
    assert loaded(changed(("rank: 1, ", "rank: 2, "))).hash != registry.hash


def test_the_document_can_be_loaded_again() -> None:
    registry = loaded()
    again = parse_registry(orjson.dumps(registry.document), "r.yaml", env=ENV, adapters=ADAPTERS).registry
    assert again == registry


def test_warnings_advise_and_do_not_refuse() -> None:
    checked = examined(changed(("council_size: 1,", "council_size: 3,"), ("[tools]", "[tolls]")))
    assert [str(problem) for problem in checked.problems] == [
        "r.yaml:4:3: warning: tier 'cheap' has 2 model families for 3 seats: some will repeat",
        "r.yaml:18:108: warning: no request ever asks for the capability 'tolls', did you mean 'tools'?",
    ]
    assert checked.registry
    assert checked.registry.warnings == tuple(problem.message for problem in checked.problems)


def test_rebase_points_every_provider_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text(GOOD)
    seen: dict[str, str] = {}

    def rebase(provider: str, base_url: str) -> str:
        seen[provider] = base_url
        return f"http://127.0.0.1:9000/{provider}"

    registry = load_registry(path, env=ENV, adapters=ADAPTERS, rebase=rebase)
    assert seen == {"groq": "https://api.groq.com/openai/v1", "local": "http://127.0.0.1:11434/v1"}
    assert registry.seats["groq/small"].target.base_url == "http://127.0.0.1:9000/groq"


def test_load_raises_with_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text(changed(("enabled: true", "enabled: no"), ("adapter: groq", "adapter: grok")))
    with pytest.raises(RegistryError) as caught:
        load_registry(path, env=ENV, adapters=ADAPTERS)
    assert [problem.line for problem in caught.value.problems] == [12, 26]
    assert str(caught.value).count("\n") == 1


def test_a_registry_cannot_be_changed() -> None:
    registry = loaded()
    with pytest.raises(dataclasses.FrozenInstanceError):
        registry.default_tier = "complex"  # type: ignore[misc]
    with pytest.raises(TypeError):
        registry.tiers["cheap"] = registry.tiers["complex"]  # type: ignore[index]
