"""Saves the registry five times a second under load, every fifth time broken, and checks that no request notices.

    .venv/bin/python bench/reloads.py [SECONDS]

This process plays the provider, the callers and the editor; the daemon is another one. An answer takes longer than the
time between two saves, so every request sees at least one reload. Each save is followed by the call of `quorum reload`,
since the daemon itself waits until a file stands still. Prints one JSON line; exits with 1 if a request failed, a limit
was exceeded, or anything but exactly the good files came into force.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from aiohttp import web

SAVE_EVERY_S = 0.2
BROKEN_EVERY = 5
RATE = 30.0
ANSWER_S = 0.3
WORDS = 3
A_MINUTE = 60
MINUTE_S = 60.0
REGISTRY = """\
version: 1
defaults: {{strategy: ranked-fallback, tier: cheap}}
tiers: {{cheap: {{first_token: 10s, total: {total_s}s}}}}
providers:
  minute:
    adapter: compatible
    base_url: {url}/minute/v1
    health: {{mode: passive}}
    limits: [{{requests: {a_minute}, per: minute}}]
    models: {{m: {{tier: cheap, rank: 1, weight: {weight}}}}}
  day:
    adapter: compatible
    base_url: {url}/day/v1
    health: {{mode: passive}}
    limits: [{{requests: {a_day}, per: day}}]
    models: {{m: {{tier: cheap, rank: 2, weight: {weight}}}}}
  free:
    adapter: compatible
    base_url: {url}/free/v1
    health: {{mode: passive}}
    models: {{m: {{tier: cheap, rank: 3}}}}
"""
BREAKS: tuple[Callable[[str], str], ...] = (
    lambda good: "",
    lambda good: good[: len(good) // 2],
    lambda good: good.replace("rank: 2", "rank: two"),
    lambda good: good.replace("requests:", "reqeusts:"),
    lambda good: good.replace("  day:", "  minute:"),
    lambda good: good.replace("version: 1", "version: ["),
)


class Provider:
    """A slow provider; `asked` holds, per seat, when it was asked (monotonic seconds)."""

    def __init__(self) -> None:
        self.asked: defaultdict[str, list[float]] = defaultdict(list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.match_info["seat"]].append(time.monotonic())
        if not (await request.json()).get("stream"):
            await asyncio.sleep(ANSWER_S)
            message = {"role": "assistant", "content": "word " * WORDS}
            return web.json_response(_completion("message", message, "stop"))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(WORDS):
            await asyncio.sleep(ANSWER_S / WORDS)
            await response.write(_event(_completion("delta", {"content": "word "}, None)))
        await response.write(_event(_completion("delta", {}, "stop")) + b"data: [DONE]\n\n")
        return response

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serves inside the block; yields the URL."""
        app = web.Application()
        app.router.add_post("/{seat}/v1/chat/completions", self.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def _completion(field: str, said: dict[str, str], finish: str | None) -> dict[str, object]:
    return {"id": "c", "model": "m", "choices": [{"index": 0, field: said, "finish_reason": finish}]}


def _event(document: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


@asynccontextmanager
async def daemon(registry: Path, data_dir: Path) -> AsyncIterator[str]:
    """A daemon with embedded stores, inside the block; yields its URL."""
    words = ("-m", "router", "serve", "--port", "0", "--registry", str(registry))
    env = {**os.environ, "QUORUM_LOG_LEVEL": "error", "QUORUM_DATA_DIR": str(data_dir)}
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # every broken file is logged there
    )
    try:
        assert started.stdout is not None
        found = re.search(r"http://\S+", (await started.stdout.readline()).decode())
        if found is None:
            raise SystemExit("the daemon did not start")
        yield found[0]
    finally:
        if started.returncode is None:
            started.terminate()
        await started.wait()


class Editor:
    """Saves the registry; `came_to` counts the results of reloads, such as "good swapped" and "broken failed"."""

    def __init__(self, session: aiohttp.ClientSession, path: Path, text: Callable[[int], str]) -> None:
        self._session = session
        self._path = path
        self._text = text
        self._one_at_a_time = asyncio.Lock()
        self.came_to: Counter[str] = Counter()

    async def save(self, number: int) -> None:
        """Saves a file that differs from the last one, and asks for a reload."""
        text = self._text(number)
        broken = number % BROKEN_EVERY == BROKEN_EVERY - 1
        if broken:
            text = BREAKS[number // BROKEN_EVERY % len(BREAKS)](text)
        async with self._one_at_a_time:
            self._path.write_text(text)
            async with self._session.post("/v1/reload", json={}) as response:
                self.came_to[f"{'broken' if broken else 'good'} {(await response.json())['status']}"] += 1


class Callers:
    """Asks the daemon; `heard` counts the outcomes, `ok` or what came instead."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.heard: Counter[str] = Counter()

    async def ask(self, number: int) -> None:
        """Sends one request, every other one for a stream."""
        body = {"model": "auto", "stream": number % 2 == 0, "messages": [{"role": "user", "content": "go on"}]}
        try:
            async with self._session.post("/v1/chat/completions", json=body) as response:
                said = await response.read()
        except (aiohttp.ClientError, TimeoutError) as failure:
            self.heard[repr(failure)] += 1
            return
        whole = said.count(b"word ") == WORDS and (b"[DONE]" in said or not body["stream"])
        self.heard["ok" if whole else f"{response.status}: {said[:200]!r}"] += 1


async def every(pause_s: float, times: int, act: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Starts `act(0)`, `act(1)`, … every `pause_s` seconds without waiting for them; returns when all have ended."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for number in range(times):
            await asyncio.sleep(began + number * pause_s - time.monotonic())
            tasks.create_task(act(number))


def worst(asked: list[float]) -> int:
    """The most requests in any window of a minute."""
    return max((bisect_left(asked, at + MINUTE_S) - place for place, at in enumerate(asked)), default=0)


async def run(seconds: float) -> bool:
    """Runs the benchmark and prints its results; returns whether all of them are as they should be."""
    requests, saves = round(RATE * seconds), round(seconds / SAVE_EVERY_S)
    broken, a_day, provider = saves // BROKEN_EVERY, requests // 10, Provider()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "registry.yaml"
        async with provider.serving() as url:

            def text(number: int) -> str:
                changing = {"total_s": 60 + number % 100, "weight": 1 + number % 7}
                return REGISTRY.format(url=url, a_minute=A_MINUTE, a_day=a_day, **changing)

            path.write_text(text(-1))
            async with daemon(path, Path(folder) / "data") as quorum, aiohttp.ClientSession(quorum) as session:
                editor, callers = Editor(session, path, text), Callers(session)
                await asyncio.gather(every(SAVE_EVERY_S, saves, editor.save), every(1 / RATE, requests, callers.ask))
    by_day, by_minute = len(provider.asked["day"]), worst(provider.asked["minute"])
    failures = [f"{times} x {what}" for what, times in callers.heard.most_common() if what != "ok"]
    told = {
        "seconds": seconds,
        "saves": saves,
        "broken": broken,
        "reloads": editor.came_to,
        "requests": requests,
        "failed": requests - callers.heard["ok"],
        "failures": failures[:3],
        "day_limit": a_day,
        "day_admitted": by_day,
        "minute_limit": A_MINUTE,
        "minute_worst": by_minute,
        "minute_admitted": len(provider.asked["minute"]),
        "unlimited_admitted": len(provider.asked["free"]),
    }
    print(json.dumps(told), flush=True)
    in_force = editor.came_to == Counter({"good swapped": saves - broken, "broken failed": broken})
    return in_force and not told["failed"] and by_day <= a_day and by_minute <= A_MINUTE


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seconds", nargs="?", type=float, default=300.0)
    sys.exit(0 if uvloop.run(run(parser.parse_args().seconds)) else 1)
