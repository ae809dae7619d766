"""The verbs for three in the morning, against small servers that answer as the daemon does."""

from __future__ import annotations

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
from router.cli.client import Client
from router.cli.weather import drawing, look, watch
from tests.cli.terminal import all_of, at_terminal, on_screen, open_terminal, width_of
from tests.cli.test_cli import run
from tests.http.apps import served
from tests.support.paths import ROOT
from tests.support.rim import LIMIT_S, until

Answer = Callable[..., Awaitable[tuple[int, str, str]]]
NOW = time.time()
HOSTILE = "[bold]\x1b[31mred\x1b[2J\r\n\u202eback" + "x" * 300


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


def test_states_have_colours_and_other_columns_none() -> None:
    assert provider_table.style("state", "bad-key") == "red"
    assert provider_table.style("state", "clear") == "green"
    assert provider_table.style("state", "of a newer daemon") == "yellow"
    assert provider_table.style("why", "clear") == ""


async def test_a_terminal_gets_colours_and_lines_that_fit(fake: Fake) -> None:
    fake.answers["/v1/weather"] = report(model("a-model-with-a-long-name", "limited", reason="long words " * 20))
    for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        status, out, _ = await at_terminal("weather", "--url", fake.url, env=env)
        assert status == 0
        assert ("\x1b[33mlimited\x1b[0m" in out, "\x1b" in out) == (coloured, coloured)
        assert max(map(width_of, on_screen(out))) <= 80


# --- weather --watch --------------------------------------------------------------------------------------------------


async def test_watching_goes_on_while_the_daemon_is_away(capsys: pytest.CaptureFixture[str]) -> None:
    fake, pauses = Fake(), 0
    fake.answers["/v1/weather"] = report(model("well"))
    routes = [web.route("*", "/{path:.*}", fake.handle)]
    running = served(routes)
    fake.url = (await running.__aenter__()).url

    async def pause(seconds: float) -> None:
        nonlocal pauses, running
        assert seconds == 2.0
        pauses += 1
        if pauses == 3:
            raise EOFError
        if pauses == 1:
            await running.__aexit__(None, None, None)
        else:
            running = served(routes, port=int(fake.url.rsplit(":", 1)[1]))
            await running.__aenter__()

    try:
        async with Client(fake.url, None, LIMIT_S) as daemon:
            with drawing(as_json=False) as draw, pytest.raises(EOFError):
                await watch(lambda: look(daemon), draw, pause)
    finally:
        await running.__aexit__(None, None, None)

    first, away, back = capsys.readouterr().out.split("weather at")[1:]
    assert "registry 3f9c2a1b" in first
    assert rows(first) == rows(back) == [["groq", "well", "clear", "-", "-", "-", "-"]]
    assert "no news" in away
    assert "no daemon answers at" in away
    assert "well" not in away


async def test_watching_at_a_terminal_draws_in_place_and_leaves_the_last_frame(fake: Fake) -> None:
    fake.answers["/v1/weather"] = report(*(model(f"m{number:02}", reason="東京" * 99) for number in range(40)))
    ours, theirs = open_terminal(columns=60, rows=12)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _WATCH_WITHOUT_PAUSES, fake.url,
        cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, stdout=theirs, preexec_fn=INTERRUPTIBLE,
    )  # fmt: skip
    os.close(theirs)
    heard = asyncio.get_running_loop().run_in_executor(None, all_of, ours)
    await until(lambda: len(fake.asked) > 2)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        await process.wait()
        out = (await heard).decode()
    shown = on_screen(out, 60, 12)
    assert process.returncode == 0
    assert len(shown) == 12
    assert shown[0].startswith("weather at ")
    assert shown[2].split()[:3] == ["provider", "model", "state"]
    assert [line.split()[1] for line in shown[4:10]] == ["m00", "m01", "m02", "m03", "m04", "m05"]
    assert shown[10:] == ["… and 34 more", ""]
    assert out.count("\x1b[?25h") == 1


_WATCH_WITHOUT_PAUSES = """
import sys
from router.cli import main, weather
weather.WATCH_EVERY_S = 0.01
sys.exit(main.main(["weather", "--watch", "--url", sys.argv[1]]))
"""
INTERRUPTIBLE = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
"""Undoes that a process ignores Ctrl-C where tests run in the background."""


@pytest.mark.parametrize("words", [(), ("--json",)])
async def test_ctrl_c_is_the_good_end_of_watching(fake: Fake, words: tuple[str, ...]) -> None:
    fake.answers["/v1/weather"] = report(model("well"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router", "weather", "--watch", *words, "--url", fake.url,
        cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        preexec_fn=INTERRUPTIBLE,
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
    assert "no seat can be asked now" in out
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
    [
        web.Response(text="<html>", status=502),
        web.Response(text="<html>"),
        web.Response(body=b"\xff\xfe"),
        {"providers": [{"provider": "groq"}]},
        {"providers": [{"provider": "groq", "models": [{**model("x"), "until": "soon"}]}]},
        {"status": "ok"},
    ],
    ids=["a page with an error", "a page", "garbage", "no models", "a time that is none", "another program"],
)
async def test_what_is_no_daemon_is_told_in_one_line(quorum: Answer, fake: Fake, answer: Any) -> None:
    fake.answers["/v1/weather"] = answer
    status, out, err = await quorum("weather")
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert "is not a Quorum daemon, or one of another version" in err
