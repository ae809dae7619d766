"""The verbs for three in the morning, against small servers that answer as the daemon does."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from aiohttp import web

from router.cli import provider_table
from router.cli.client import Client, ClientError, DaemonAway
from router.cli.output import Screen
from router.cli.weather import frame, watch
from tests.cli.test_cli import run
from tests.http.apps import served
from tests.support.paths import ROOT
from tests.support.rim import Providers
from tests.support.scripted import HANG, Step

Answer = Callable[..., Awaitable[tuple[int, str, str]]]
NOW = time.time()
HOSTILE = "\x1b[31mred\x1b[2J\r\n\u202eback" + "x" * 300


def ahead(seconds: float) -> str:
    """A moment as the daemon writes it."""
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat(timespec="seconds")


def model(name: str, state: str = "clear", **fields: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "tiers": {"cheap": 1},
        "reason": "",
        "until": None,
        "breaker": "closed",
        "limits": [],
        "doubt": None,
    }
    probe = {"verdict": "unknown", "at": None, "reason": "not looked at yet", "latency_ms": None}
    return {"model": name, "state": state, "probe": probe, **usual, **fields}


def limit(name: str, amount: float, used: float) -> dict[str, Any]:
    return {"limit": name, "amount": amount, "used": used, "left": amount - used, "resets_at": None}


def report(*models: dict[str, Any], provider: str = "groq") -> dict[str, Any]:
    return {"registry": "3f9c2a1b", "providers": [{"provider": provider, "models": list(models)}]}


class Fake:
    """A daemon that answers what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, Any]] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((str(request.rel_url), await request.json() if request.can_read_body else None))
        answer = self.answers.get(request.path)
        return answer if isinstance(answer, web.Response) else web.json_response(answer)


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    daemon = Fake()
    async with served([web.route("*", "/{path:.*}", daemon.handle)]) as app:
        daemon.url = app.url
        yield daemon


@pytest.fixture
def quorum(fake: Fake, capsys: pytest.CaptureFixture[str]) -> Answer:
    """Runs the command in this process against the fake daemon."""

    async def call(*words: str) -> tuple[int, str, str]:
        return await asyncio.to_thread(run, capsys, *words, "--url", fake.url)

    return call


def rows(out: str) -> list[list[str]]:
    """The cells of a table's rows."""
    lines = out.splitlines()
    rule = next(number for number, line in enumerate(lines) if line.startswith("---"))
    ends = [at for at, char in enumerate(lines[rule] + " ") if char == " " and (lines[rule] + " ")[at - 1] == "-"]
    starts = [0, *(end + 2 for end in ends[:-1])]
    return [
        [line[start : start + end - start].strip() for start, end in zip(starts, ends, strict=True)]
        for line in lines[rule + 1 :]
        if line
    ]


# --- weather ----------------------------------------------------------------------------------------------------------


async def test_weather_tells_the_worst_first_in_words(quorum: Answer, fake: Fake) -> None:
    minute, day = limit("requests/minute", 30, 18), limit("requests/day", 1000, 160)
    probe = {"verdict": "healthy", "at": ahead(-130), "reason": "answered OK", "latency_ms": 210}
    fake.answers["/v1/weather"] = report(
        model("well", limits=[minute, day], probe=probe),
        model("tired", doubt="answers 25 times slower than it did"),
        model("full", "limited", reason="30 of 30 requests a minute are used", until=ahead(175)),
        model("held", "drained", reason="their status page"),
        model("off", "disabled", reason="switched off in the registry"),
        model("refused", "bad-key", reason="invalid key"),
    )

    status, out, _ = await quorum("weather")

    assert status == 0
    assert rows(out) == [
        ["groq", "refused", "bad-key", "needs a person", "-", "-", "invalid key"],
        ["groq", "full", "limited", "in 3 min", "-", "-", "30 of 30 requests a minute are used"],
        ["groq", "held", "drained", "undrained", "-", "-", "their status page"],
        ["groq", "tired", "clear", "-", "-", "-", "answers 25 times slower than it did"],
        ["groq", "well", "clear", "-", "12/30 rpm, 840/1k day", "ok 3 min ago", "-"],
        ["groq", "off", "disabled", "needs a person", "-", "-", "switched off in the registry"],
    ]
    assert "\x1b" not in out, "colours are for terminals"
    assert json.loads((await quorum("weather", "--json"))[1]) == fake.answers["/v1/weather"]


async def test_changes_are_listed_as_the_daemon_tells_them(quorum: Answer, fake: Fake) -> None:
    change = {
        "created_at": ahead(-60),
        "provider": "groq",
        "model": None,
        "state": "bad-key",
        "reason": "no",
        "until": None,
    }
    fake.answers["/v1/weather/changes"] = {"object": "list", "data": [change]}
    status, out, _ = await quorum("weather", "--changes", "--since", "2h")
    assert (status, rows(out)[0][1:]) == (0, ["groq", "-", "bad-key", "-", "no"])
    assert fake.asked[-1][0] == "/v1/weather/changes?since=2h"
    fake.answers["/v1/weather/changes"] = {"object": "list", "data": []}
    assert (await quorum("weather", "--changes"))[1] == "no changes\n"


@pytest.mark.parametrize("verb", [("weather",), ("weather", "--changes"), ("explain",), ("drain", "groq")])
async def test_what_providers_say_cannot_drive_the_terminal(quorum: Answer, fake: Fake, verb: tuple[str, ...]) -> None:
    hostile = model(HOSTILE, HOSTILE, reason=HOSTILE, doubt=HOSTILE)
    held = {**hostile, "provider": HOSTILE, "created_at": HOSTILE}
    seat = {**held, "tier": HOSTILE, "rank": 1, "family": HOSTILE, "headroom": 1.0, "dropped": [HOSTILE]}
    fake.answers = {
        "/v1/weather": report(hostile, provider=HOSTILE),
        "/v1/weather/changes": {"data": [held]},
        "/v1/drain": {"provider": HOSTILE, "model": None, "models": [held]},
        "/v1/plan": {**plan(seats=[seat], excluded=[held]), "strategy": HOSTILE, "tier": HOSTILE},
    }
    status, out, _ = await quorum(*verb)
    assert status == 0
    assert all(char.isprintable() or char == "\n" for char in out)
    table = [line for line in out.splitlines() if "red" in line and "  " in line]
    assert table
    assert all(len(line) < 8 * 64 for line in table), "long texts are cut"


async def test_an_error_of_the_daemon_cannot_either(quorum: Answer, fake: Fake) -> None:
    fake.answers["/v1/weather"] = web.json_response({"error": {"message": HOSTILE, "code": "x"}}, status=500)
    status, out, err = await quorum("weather")
    assert (status, out) == (1, "")
    assert all(char.isprintable() or char == "\n" for char in err)


def test_states_have_colours_on_a_terminal_only() -> None:
    assert provider_table.tint(True)("state", "bad-key  ") == "\x1b[31mbad-key  \x1b[0m"
    assert provider_table.tint(True)("state", "clear") == "\x1b[32mclear\x1b[0m"
    assert provider_table.tint(True)("why", "clear") == "clear"
    assert provider_table.tint(False)("state", "clear") == "clear"


async def on_terminal(fake: Fake, *words: str, **env: str) -> str:
    """What a process shows on a terminal of 80 columns, until it ends."""
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router", *words, "--url", fake.url,
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", "COLUMNS": "80", **env}, stdout=theirs,
    )  # fmt: skip
    os.close(theirs)
    try:
        async with asyncio.timeout(60):
            await process.wait()
        return os.read(ours, 65536).decode()
    finally:
        os.close(ours)


async def test_a_terminal_gets_colours_and_lines_that_fit(fake: Fake) -> None:
    fake.answers["/v1/weather"] = report(model("a-model-with-a-long-name", "limited", reason="long words " * 20))
    shown = await on_terminal(fake, "weather")
    assert "\x1b[33mlimited\x1b[0m" in shown
    assert all(len(line.replace("\x1b[33m", "").replace("\x1b[0m", "")) <= 80 for line in shown.splitlines())
    assert "\x1b" not in await on_terminal(fake, "weather", NO_COLOR="1")


# --- weather --watch --------------------------------------------------------------------------------------------------


async def test_watching_goes_on_while_the_daemon_is_away_and_ends_with_ctrl_c(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake, loop = Fake(), asyncio.get_running_loop()
    fake.answers["/v1/weather"] = report(model("well"))
    arguments, on = argparse.Namespace(json=False), Screen(tty=True, colours=False, width=80)
    pauses: list[float] = []
    go, done = asyncio.Event(), asyncio.Event()

    async def server() -> None:
        routes = [web.route("*", "/{path:.*}", fake.handle)]
        async with served(routes) as app:
            fake.url = app.url
            done.set()
            await go.wait()
        go.clear()
        done.set()
        await go.wait()
        async with served(routes, port=int(fake.url.rsplit(":", 1)[1])):
            done.set()
            await asyncio.Event().wait()

    async def next_scene() -> None:
        done.clear()
        go.set()
        await done.wait()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt
        asyncio.run_coroutine_threadsafe(next_scene(), loop).result(30)

    stage = asyncio.create_task(server())
    await done.wait()
    try:
        client = Client(fake.url, None, 30.0)
        status = await asyncio.to_thread(watch, lambda: frame(arguments, client, on), pause)
    finally:
        stage.cancel()
        await asyncio.wait([stage])

    first, away, back = capsys.readouterr().out.split("\x1b[H\x1b[2J")[1:]
    assert (status, pauses) == (0, [2.0, 2.0, 2.0])
    assert "registry 3f9c2a1b" in first
    assert rows(first) == rows(back) == [["groq", "well", "clear", "-", "-", "-", "-"]]
    assert "no daemon answers at" in away
    assert "well" not in away


@pytest.mark.parametrize("words", [(), ("--json",)])
async def test_ctrl_c_is_the_good_end_of_watching(fake: Fake, words: tuple[str, ...]) -> None:
    fake.answers["/v1/weather"] = report(model("well"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router", "weather", "--watch", *words, "--url", fake.url,
        cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # it is ignored where tests run in background
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(60):
        seen = await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert b"well" in seen + rest
    assert not words or json.loads(seen) == fake.answers["/v1/weather"]


# --- explain ----------------------------------------------------------------------------------------------------------


def plan(seats: Any = (), excluded: Any = (), **worst: Any) -> dict[str, Any]:
    case = {"calls": 2, "input_tokens": 14, "output_tokens": 8192, "cost_usd": 0.00123, "bounded": True, **worst}
    told = {"strategy": "ranked-fallback", "tier": "cheap", "registry": "3f9c2a1b", "worst_case": case}
    return {**told, "seats": list(seats), "excluded": list(excluded)}


SEAT = {
    "provider": "groq",
    "model": "gpt-oss",
    "tier": "cheap",
    "rank": 1,
    "family": "oss",
    "dropped": [],
    "doubt": None,
    "headroom": 0.4,
}


async def test_explain_tells_who_would_answer_who_would_not_and_the_price(quorum: Answer, fake: Fake) -> None:
    slow = {**SEAT, "model": "slow", "doubt": "silent for 3.2 s", "dropped": ["seed"]}
    out_ = {"provider": "xai", "model": "grok", "state": "limited", "reason": "slow down", "until": ahead(170)}
    never = {
        "provider": "nvidia",
        "model": "nim",
        "state": "unsuitable",
        "reason": "does not support tools",
        "until": None,
    }
    fake.answers["/v1/plan"] = plan([SEAT, slow], [out_, never])

    status, out, _ = await quorum(
        "explain", "--strategy", "ranked-fallback", "--tier", "cheap", "--model", "auto", "--council-size", "2"
    )

    assert status == 0
    head, seats, _, left_out, price = out.split("\n\n")
    assert head == "ranked-fallback in cheap, registry 3f9c2a1b"
    assert rows(seats) == [
        ["groq", "gpt-oss", "cheap", "1", "oss", "40%", "-", "-"],
        ["groq", "slow", "cheap", "1", "oss", "40%", "silent for 3.2 s", "seed"],
    ]
    assert rows(left_out) == [
        ["xai", "grok", "limited", "in 3 min", "slow down"],
        ["nvidia", "nim", "unsuitable", "-", "does not support tools"],
    ]
    assert price == "at most 2 call(s), 14 tokens in, 8,192 out, 0.001230 USD\n"
    (path, document) = fake.asked[-1]
    assert path == "/v1/plan"
    assert document["quorum"] == {"strategy": "ranked-fallback", "tier": "cheap", "council_size": 2}


async def test_explain_says_when_nobody_can_answer_and_what_is_only_a_guess(quorum: Answer, fake: Fake) -> None:
    fake.answers["/v1/plan"] = plan(cost_usd=None, bounded=False)
    status, out, _ = await quorum("explain")
    assert status == 1
    assert "nobody can be asked now" in out
    assert "at unknown prices (nothing bounds the answers: their length is a guess)" in out
    assert json.loads((await quorum("explain", "--json"))[1]) == fake.answers["/v1/plan"]


# --- drain and undrain ------------------------------------------------------------------------------------------------


async def test_drain_says_what_it_did(quorum: Answer, fake: Fake) -> None:
    held = {"model": "openai/gpt-oss", "state": "drained", "reason": "flapping", "until": ahead(1790)}
    fake.answers["/v1/drain"] = {"provider": "groq", "model": "openai/gpt-oss", "models": [held]}

    status, out, _ = await quorum("drain", "groq/openai/gpt-oss", "--for", "30m", "--reason", "flapping")

    assert (status, rows(out)) == (0, [["groq", "openai/gpt-oss", "drained", "in 30 min", "flapping"]])
    expected = {"provider": "groq", "model": "openai/gpt-oss", "for_s": 1800.0, "reason": "flapping"}
    assert fake.asked == [("/v1/drain", expected)]


async def test_undrain_shows_how_it_stands_now(quorum: Answer, fake: Fake) -> None:
    now = {"model": "gpt-oss", "state": "clear", "reason": "", "until": None}
    fake.answers["/v1/undrain"] = {"provider": "groq", "model": None, "models": [now], "ended": True}
    status, out, _ = await quorum("undrain", "groq")
    assert (status, rows(out)) == (0, [["groq", "gpt-oss", "clear", "-", "-"]])
    assert fake.asked == [("/v1/undrain", {"provider": "groq"})]


async def test_a_slip_is_told_by_the_daemon_in_one_line(quorum: Answer, fake: Fake) -> None:
    words = {"error": {"message": "no provider 'groc', did you mean 'groq'?", "code": "provider_not_found"}}
    fake.answers["/v1/drain"] = web.json_response(words, status=404)
    status, out, err = await quorum("drain", "groc")
    assert (status, out) == (1, "")
    assert err == "quorum drain: no provider 'groc', did you mean 'groq'? (provider_not_found)\n"


# --- the daemon is not well -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [web.Response(text="<html>", status=502), web.Response(text="<html>"), web.Response(body=b"\xff\xfe")],
    ids=["a page with an error", "a page", "garbage"],
)
async def test_what_is_no_daemon_is_told_in_one_line(quorum: Answer, fake: Fake, answer: web.Response) -> None:
    fake.answers["/v1/weather"] = answer
    status, out, err = await quorum("weather")
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert "not its own" in err


async def test_a_daemon_that_hangs_or_breaks_off_is_away(providers: Providers) -> None:
    hangs, breaks_off = await providers(2)
    hangs.then(HANG)
    breaks_off.then(Step(headers={"Content-Length": "100"}, pieces=[b"{"], end="cut"))
    with pytest.raises(DaemonAway, match="it takes too long"):
        await asyncio.to_thread(Client(hangs.url, None, 0.2).get, "/v1/weather")
    with pytest.raises(DaemonAway):
        await asyncio.to_thread(Client(breaks_off.url, None, 0.2).get, "/v1/weather")


def test_a_stream_from_nobody_is_an_error_and_no_traceback() -> None:
    with pytest.raises(ClientError, match="no daemon answers"):
        list(Client("http://127.0.0.1:1", None, 0.2).stream("/v1/chat/completions", {}))
