"""`quorum check --live`: what a registry's providers say of its keys and its models."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from router.registry.live_check import AT_ONCE, check_live
from router.simulator import PROVIDERS, Simulator
from router.simulator.weather import parse_script
from router.upstream.model_catalogue import list_models
from router.upstream.transport import HttpTransport
from tests.cli.test_cli import run
from tests.http.apps import served
from tests.support.rim import Providers
from tests.support.scripted import error
from tests.support.small_registry import registry
from tests.support.twelve import TWELVE, base_path

KEY = "sk-live-canary-0123456789"


def entry(name: str, url: str, *models: str, key: str = "GOOD_KEY", adapter: str = "", more: str = "") -> str:
    listed = "".join(f"      {json.dumps(model)}: {{tier: cheap}}\n" for model in models)
    return (
        f"  {name}:\n    adapter: {adapter or name}\n    base_url: {url}\n    api_key: ${{{key}}}\n{more}"
        f"    models:\n{listed}"
    )


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `quorum check --live` on providers of a registry."""
    monkeypatch.setenv("GOOD_KEY", KEY)
    monkeypatch.setenv("BAD_KEY", "bad-canary-9876543210")
    monkeypatch.delenv("NO_KEY", raising=False)
    path = tmp_path / "r.yaml"

    async def checked(providers: str, *words: str) -> tuple[int, str, str]:
        path.write_text(f"version: 1\ntiers: {{cheap: {{}}}}\nproviders:\n{providers}")
        status, out, err = await asyncio.to_thread(run, capsys, "check", str(path), "--live", *words)
        return status, out.replace(f"{path}:", ""), err

    return checked


def at(sky: Simulator, name: str, *models: str, **fields: str) -> str:
    return entry(name, sky.url + base_path(name), *models, **fields)


async def test_twelve_healthy_providers_are_ok_and_nothing_is_generated(sky: Simulator, check: Any) -> None:
    status, out, _ = await check("".join(at(sky, name, PROVIDERS[name].lists[0]) for name in TWELVE))

    assert status == 0
    for name in TWELVE:
        assert f"note: {name} is ok, it lists 1 of 1 model(s)" in out
        assert f"note: {PROVIDERS[name].lists[0]} is listed" in out
    unproven = [name for name in TWELVE if f"{name} is ok, it lists 1 of 1 model(s); anybody may see its list" in out]
    assert unproven == ["huggingface", "nvidia"]
    assert {visit.method for visit in sky.seen.requests} == {"GET"}


async def test_each_problem_is_reported_at_its_place(sky: Simulator, check: Any) -> None:
    text = (
        at(sky, "groq", "openai/gpt-oss-20b", "openai/gpt-oss-200b")
        + at(sky, "mistral", "mistral-small-latest", key="BAD_KEY")
        + at(sky, "xai", "grok-4.3", key="NO_KEY")
        + at(sky, "openai", "gpt-6-luna", key="BAD_KEY", more="    enabled: false\n")
        + entry("home", "http://127.0.0.1:1/v1", "qwen", adapter="compatible")
    )
    status, out, _ = await check(text)

    assert status == 1
    lines = out.splitlines()
    assert "4:3: note: groq is ok, it lists 1 of 2 model(s)" in lines
    assert "9:7: note: openai/gpt-oss-20b is listed" in lines
    assert (
        "10:7: warning: groq does not list openai/gpt-oss-200b among its 3 model(s), did you mean 'openai/gpt-oss-20b'?"
    ) in lines
    assert any(line.startswith("14:14: error: mistral refuses the key: ") for line in lines)
    assert any("note: NO_KEY is not set: provider 'xai' gets no requests" in line for line in lines)
    assert any("warning: home is unreachable: could not connect" in line for line in lines)
    assert not any(" openai " in line for line in lines), "what is switched off is left alone"
    assert "canary" not in out


async def test_json_and_github_formats_contain_the_findings(sky: Simulator, check: Any) -> None:
    text = at(sky, "groq", "openai/gpt-oss-20c") + at(sky, "mistral", "mistral-small-latest", key="BAD_KEY")

    status, out, _ = await check(text, "--json")
    document = json.loads(out)
    assert (status, document["ok"]) == (1, False)
    told = [(problem["line"], problem["severity"]) for problem in document["problems"]]
    assert {(4, "note"), (9, "warning"), (13, "error")} <= set(told)

    status, out, _ = await check(text, "--format", "github")
    assert status == 1
    assert {"::notice", "::warning", "::error"} == {line.split(" ")[0] for line in out.splitlines()}


async def test_warnings_alone_do_not_fail_it(sky: Simulator, check: Any) -> None:
    sky.state.set_weather(parse_script({"groq": "outage"}, PROVIDERS))
    status, out, _ = await check(at(sky, "groq", "openai/gpt-oss-20b"))
    assert status == 0
    assert "warning: groq could not be asked for its models" in out


async def test_a_provider_s_message_is_masked_and_stripped_of_control_characters(
    providers: Providers, check: Any
) -> None:
    (one,) = await providers(1)
    one.then(error(401, f"wrong key {KEY}\x1b[2J"))
    status, out, _ = await check(entry("evil", f"{one.url}/v1", "m", adapter="compatible"))
    assert status == 1
    assert "evil refuses the key" in out
    assert KEY not in out
    assert "\x1b" not in out


async def test_a_provider_without_a_list_is_a_note(providers: Providers, check: Any) -> None:
    (one,) = await providers(1)
    one.then(error(404, "no route"))
    status, out, _ = await check(entry("azure", f"{one.url}/v1", "m", adapter="compatible"))
    assert status == 0
    assert "note: azure answers, but it has no list of models" in out


async def test_a_broken_file_is_reported_and_no_provider_is_asked(sky: Simulator, check: Any) -> None:
    status, out, _ = await check(at(sky, "groq", "openai/gpt-oss-20b").replace("adapter", "adaptor"))
    assert status == 1
    assert "did you mean 'adapter'?" in out
    assert list(sky.seen.requests) == []


async def test_live_with_no_env_is_a_usage_error(sky: Simulator, check: Any) -> None:
    status, _, err = await check(at(sky, "groq", "m"), "--no-env")
    assert status == 2
    assert len(err.splitlines()) == 1


async def test_few_providers_are_asked_at_once() -> None:
    transport = HttpTransport()
    most = now = 0
    everyone = asyncio.Event()

    async def models(_: web.Request) -> web.Response:
        nonlocal most, now
        now += 1
        most = max(most, now)
        if now == AT_ONCE:
            everyone.set()
        await everyone.wait()
        now -= 1
        return web.json_response({"data": [{"id": "m"}]})

    async with served([web.get("/v1/models", models)]) as app:
        entries = "".join(
            f"  p{number}: {{adapter: compatible, base_url: '{app.url}/v1', models: {{m: {{tier: cheap}}}}}}\n"
            for number in range(3 * AT_ONCE)
        )
        checked = registry(f"version: 1\ntiers: {{cheap: {{}}}}\nproviders:\n{entries}")
        found = await check_live(checked, partial(list_models, transport=transport), str)
    await transport.close()
    assert most == AT_ONCE
    assert len([finding for finding in found if "is ok" in finding.message]) == 3 * AT_ONCE
