"""Weather scripts: what they may contain, and how a mistake is reported."""

from __future__ import annotations

import pytest

from router.simulator import PROVIDERS, Quota, Spell, WeatherError, WeatherScript, parse_script
from router.simulator.weather import chance, parse_header


def test_short_and_long_forms() -> None:
    script = parse_script({"groq": "outage", "gemini": [{"weather": "slow", "delay_s": 2}, "stall"]}, PROVIDERS)
    assert script.spells["groq"] == (Spell("outage"),)
    assert script.spells["gemini"] == (Spell("slow", delay_s=2), Spell("stall"))
    assert script.document() == {
        "groq": [{"weather": "outage"}],
        "gemini": [{"weather": "slow", "delay_s": 2}, {"weather": "stall"}],
    }
    assert parse_script(script.document(), PROVIDERS) == script


def test_the_first_spell_that_covers_a_request_wins_and_everyone_comes_last() -> None:
    script = parse_script({"groq": {"weather": "slow", "model": "a"}, "*": "outage"}, PROVIDERS)
    assert script.spell("groq", "a", age_s=0, chance=0).weather == "slow"
    assert script.spell("groq", "b", age_s=0, chance=0).weather == "outage"
    assert WeatherScript().spell("groq", "a", age_s=0, chance=0).weather == "clear"


def test_limits() -> None:
    script = parse_script({"limits": {"groq": {"per_minute": 30, "per_day": 1000}}}, PROVIDERS)
    assert script.quotas == {"groq": Quota(30, 1000)}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("outage", "the weather must be a JSON object with providers as keys"),
        ({"grok": "outage"}, "there is no provider 'grok'; did you mean 'groq'?"),
        ({"groq": "outtage"}, "groq: there is no weather 'outtage'; did you mean 'outage'?"),
        ({"groq": "snow"}, "groq: there is no weather 'snow'; "),
        ({"groq": {"weather": "slow", "delay": 1}}, "groq: there is no key 'delay'; did you mean 'delay_s'?"),
        ({"groq": 7}, "groq: a weather must be a name or an object with the key 'weather', not int"),
        ({"groq": {"weather": "slow", "share": 2}}, "groq: share must be a number from 0 to 1, not 2"),
        ({"groq": {"weather": "slow", "delay_s": "long"}}, "groq: delay_s must be a number from 0 up, not 'long'"),
        ({"groq": {"weather": "slow", "model": 3}}, "groq: model must be the name of a model"),
        ({"limits": []}, "limits must be an object with providers as keys"),
        ({"limits": {"grok": {}}}, "limits: there is no provider 'grok'; did you mean 'groq'?"),
        ({"limits": {"groq": {"per_hour": 3}}}, "limits of groq: there is no key 'per_hour'"),
        (
            {"limits": {"groq": {"per_minute": -1}}},
            "limits of groq: per_minute must be a number from 0 to 1e+06, not -1",
        ),
        ({"limits": {"groq": 30}}, "limits of groq must be an object"),
    ],
)
def test_mistakes_are_told_in_one_sentence(document: object, words: str) -> None:
    with pytest.raises(WeatherError) as caught:
        parse_script(document, PROVIDERS)
    assert words in str(caught.value)


def test_header() -> None:
    assert parse_header("rate-limited; retry_after_s=7;share=0.5") == Spell("rate-limited", retry_after_s=7, share=0.5)
    assert parse_header("rate-limited;retry_after_s=none").wait_s is None
    assert parse_header("rerouted;to=other-model").to == "other-model"
    with pytest.raises(WeatherError, match="'retry_after_s' has no value"):
        parse_header("rate-limited;retry_after_s")


def test_usual_waits_depend_on_the_window() -> None:
    assert Spell("rate-limited").wait_s == 5
    assert Spell("quota-day").wait_s == 3_600


def test_chance_is_even_and_repeatable() -> None:
    draws = [chance(1, "groq", ordinal) for ordinal in range(2_000)]
    assert draws == [chance(1, "groq", ordinal) for ordinal in range(2_000)]
    assert draws != [chance(2, "groq", ordinal) for ordinal in range(2_000)]
    assert abs(sum(draws) / len(draws) - 0.5) < 0.03
