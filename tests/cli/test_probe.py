"""`quorum probe`: asks every model now, and is a finding where one that could be routed to is down."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest

from router.cli.output import Screen
from router.cli.probe import _style
from router.cli.tables import render
from tests.cli.terminal import all_of, at_terminal, on_screen, open_terminal
from tests.cli.test_oncall import HOSTILE, Answer, Fake, fake, quorum

__all__ = ["fake", "quorum"]  # fixtures

UP = {
    "provider": "groq",
    "model": "openai/gpt-oss-20b",
    "verdict": "healthy",
    "state": "clear",
    "reason": "answered OK",
    "latency_ms": 412,
}
DOWN = {
    "provider": "gemini",
    "model": "gemini-3.8-flash",
    "verdict": "down",
    "state": "failing",
    "reason": "timeout: no",
    "latency_ms": 20_000,
}


async def test_every_model_is_shown_in_columns_and_one_that_is_down_is_a_finding(quorum: Answer, fake: Fake) -> None:
    fake.answers["/v1/probe"] = {"models": [UP, DOWN]}
    status, out, err = await quorum("probe")
    assert (status, err) == (1, "")
    assert out.splitlines() == [
        "provider  model               verdict     ms  why",
        "--------  ------------------  -------  -----  --------------------",
        "groq      openai/gpt-oss-20b  healthy    412  answered OK",
        "gemini    gemini-3.8-flash    down     20000  failing: timeout: no",
    ]
    assert fake.asked == [("/v1/probe", {})]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (UP, 0),
        (DOWN, 1),
        ({**DOWN, "state": "clear"}, 1),
        ({**DOWN, "verdict": "degraded"}, 0),
        ({**DOWN, "verdict": None, "state": "billing"}, 0),
        ({**DOWN, "state": "disabled"}, 0),
        ({**DOWN, "state": "no-key"}, 0),
    ],
)
async def test_only_what_could_be_routed_to_and_is_down_is_a_finding(
    row: dict[str, Any], expected: int, quorum: Answer, fake: Fake
) -> None:
    fake.answers["/v1/probe"] = {"models": [row]}
    assert (await quorum("probe"))[0] == (await quorum("probe", "--json"))[0] == expected


async def test_a_provider_shows_and_judges_its_own_models_only(quorum: Answer, fake: Fake) -> None:
    fake.answers["/v1/weather"] = {"providers": [{"provider": "groq"}, {"provider": "gemini"}, {"provider": "xai"}]}
    fake.answers["/v1/probe"] = {"models": [UP, DOWN]}
    status, out, _ = await quorum("probe", "groq", "--json")
    assert (status, json.loads(out)) == (0, {"models": [UP]})
    assert (await quorum("probe", "gemini", "--json"))[0] == 1
    status, out, _ = await quorum("probe", "xai")
    assert (status, out) == (0, "no model to ask\n")


async def test_an_unknown_provider_costs_no_probe(quorum: Answer, fake: Fake) -> None:
    fake.answers["/v1/weather"] = {"providers": [{"provider": "groq"}, {"provider": "gemini"}]}
    status, out, err = await quorum("probe", "grok")
    assert (status, out) == (2, "")
    assert err == "quorum probe: no provider 'grok', did you mean 'groq'?\n"
    assert [path for path, _ in fake.asked] == ["/v1/weather"]


async def test_what_providers_say_cannot_drive_the_terminal(quorum: Answer, fake: Fake) -> None:
    fake.answers["/v1/probe"] = {"models": [{**DOWN, "model": HOSTILE, "verdict": HOSTILE, "reason": HOSTILE}]}
    _, out, _ = await quorum("probe")
    assert len(out.splitlines()) == 3
    assert all(char.isprintable() or char == "\n" for char in out)


@pytest.mark.parametrize("answer", [{}, {"models": 7}, {"models": ["x"]}, {"models": [{}]}])
async def test_an_answer_that_is_no_report_is_one_sentence(answer: Any, quorum: Answer, fake: Fake) -> None:
    fake.answers["/v1/probe"] = answer
    status, out, err = await quorum("probe")
    assert (status, out, len(err.splitlines())) == (1, "", 1)


def test_verdicts_have_colours_on_a_terminal() -> None:
    shown = render([UP, DOWN], ("verdict",), on=Screen(tty=True, colours=True, width=80), style=_style)
    assert "\x1b[32mhealthy" in shown
    assert "\x1b[31mdown" in shown


async def test_a_terminal_shows_that_it_waits_and_wipes_it_away(fake: Fake) -> None:
    fake.answers["/v1/probe"] = {"models": [UP]}
    ours, theirs = open_terminal()
    heard = asyncio.get_running_loop().run_in_executor(None, all_of, ours)
    status, out, _ = await at_terminal("probe", "--url", fake.url, stderr=theirs)
    os.close(theirs)
    waited = (await heard).decode()
    assert status == 0
    assert "answered OK" in out
    assert "asking every model" in waited
    assert set(on_screen(waited)) == {""}, "nothing of it stays"
