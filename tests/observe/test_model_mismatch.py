"""An answer from another model than the one asked for is detected; another version of the same model is not."""

from __future__ import annotations

import pytest

from router.observe.model_mismatch import is_rerouted
from tests.support.daemon import Start, registry_for
from tests.support.paths import RECORDED
from tests.support.recorded import recordings
from tests.support.rim import Providers, log_text
from tests.support.scripted import whole


@pytest.mark.parametrize(
    ("asked", "served", "rerouted"),
    [
        ("gpt-6-luna", "gpt-6-luna", False),
        ("gpt-4o", "gpt-4o-2024-08-06", False),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001", False),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku-20241022", False),
        ("grok-3-mini", "grok-3-mini-high", False),
        ("mistral-small-latest", "mistral-small-2506", False),
        ("command-r7b-12-2024", "command-r7b-12-2024", False),
        ("openai/gpt-oss-20b:cheapest", "openai/gpt-oss-20b", False),
        ("@cf/openai/gpt-oss-120b", "gpt-oss-120b", False),
        ("gemini-2.5-flash", None, False),
        ("gemini-2.5-flash", "gemini-3.5-flash-lite", True),
        ("gemini-2.5-pro", "gemini-3.8-flash", True),
        ("gpt-6.1-sol", "gpt-6.1-terra", True),
        ("claude-opus-5-5", "claude-sonnet-5-5", True),
    ],
)
def test_versions_and_aliases_are_the_same_model(asked: str, served: str | None, rerouted: bool) -> None:
    assert is_rerouted(asked, served) is rerouted


def test_recorded_answers_come_from_the_asked_model() -> None:
    """Official clients named aliases at most; so nearly none of their answers may look rerouted."""
    told = []
    for chat in recordings("openai", "anthropic", "groq", "mistral", "cerebras"):
        asked = chat.request.get("body", {}).get("model") if isinstance(chat.request.get("body"), dict) else None
        served = chat.body.partition(b'"model":')[2].strip()[1:80].partition(b'"')[0].decode("utf-8", "replace")
        if chat.status == 200 and asked and served:
            told.append((asked, served, is_rerouted(asked, served)))
    if not told:
        pytest.skip(f"no recorded exchanges at {RECORDED} (set QUORUM_RECORDED)")
    strange = {(asked, served) for asked, served, rerouted in told if rerouted}
    assert len(strange) <= 4, strange  # a preview renamed, and systems that choose among models by design


async def test_a_rerouted_model_is_logged_once(start_daemon: Start, providers: Providers) -> None:
    log = log_text()
    (one,) = await providers(1)
    one.then(whole("hello", model="another-9"))
    quorum = await start_daemon(registry_for([one]))

    first = await quorum.chat()
    await quorum.chat()

    lines = [line for line in log.getvalue().splitlines() if '"event":"rerouted"' in line]
    assert len(lines) == 1
    assert '"asked":"p1/m1"' in lines[0]
    assert '"served":"another-9"' in lines[0]
    assert (await quorum.recorded(first))["votes"][0]["response_model"] == "another-9"
