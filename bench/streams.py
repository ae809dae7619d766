"""Runs many slow streams through one daemon: do all end well, how much memory does each cost, when is its first token?

Provider, callers and daemon are three processes on loopback. Callers arrive over ARRIVE_S seconds; each stream sends a
word every other second.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import uvloop
from aiohttp import web

ARRIVE_S = 30.0
WORDS = 25
EVERY_S = 2.0
BODY = json.dumps({"model": "auto", "stream": True, "messages": [{"role": "user", "content": "go on"}]}).encode()
REGISTRY = """\
version: 1
tiers: {{cheap: {{first_token: 30s, total: 170s}}}}
providers:
  slow:
    adapter: compatible
    base_url: {url}/v1
    health: {{mode: passive}}
    models: {{m: {{tier: cheap}}}}
"""


def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    """One server-sent event of a stream."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + json.dumps({"id": "c", "model": "m", "choices": choices}).encode() + b"\n\n"


def provide() -> None:
    """The provider: prints its URL, then serves until it is killed."""

    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(WORDS):
            await response.write(chunk({"content": "word "}))
            await asyncio.sleep(EVERY_S)
        await response.write(chunk({}, "stop") + b"data: [DONE]\n\n")
        return response

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        await asyncio.Event().wait()

    uvloop.run(main())


def call(port: int, streams: int) -> None:
    """The callers: print one JSON line with their results."""
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: q\r\nContent-Type: application/json\r\n"
    asking = f"{head}Content-Length: {len(BODY)}\r\nConnection: close\r\n\r\n".encode() + BODY

    async def one(at_s: float) -> tuple[str, float]:
        await asyncio.sleep(at_s)
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asking)
        first_s, words, ended, tail = 0.0, 0, False, b""
        try:
            while piece := await reader.read(65536):
                if not first_s and b'"content":"word' in piece:
                    first_s = time.monotonic() - began
                words += piece.count(b'"content":"word')
                tail = (tail + piece)[-64:]
                ended = ended or b"[DONE]" in tail
        except ConnectionError as error:
            return f"{type(error).__name__} after {words} words", first_s
        finally:
            writer.close()
        return ("ok" if ended and words == WORDS else f"cut after {words} words: {tail[:40]!r}"), first_s

    async def main() -> None:
        ended = await asyncio.gather(*(one(ARRIVE_S * number / streams) for number in range(streams)))
        firsts = sorted(first_s for how, first_s in ended if how == "ok")
        others = [how for how, _ in ended if how != "ok"]
        p99 = firsts[int(len(firsts) * 0.99) - 1] if firsts else None
        median = statistics.median(firsts) if firsts else None
        print(json.dumps({"ok": len(firsts), "others": others[:3], "median_s": median, "p99_s": p99}), flush=True)

    uvloop.run(main())


def rss_mib(process: psutil.Process) -> float:
    """Resident memory in MiB."""
    return float(process.memory_info().rss) / 2**20


def main(streams: int) -> None:
    """Runs the three processes and prints the results."""
    me = [sys.executable, __file__]
    with tempfile.TemporaryDirectory() as folder:
        provider = subprocess.Popen([*me, "--provide"], stdout=subprocess.PIPE, text=True)
        assert provider.stdout is not None
        registry = Path(folder) / "registry.yaml"
        registry.write_text(REGISTRY.format(url=provider.stdout.readline().strip()))
        env = {**os.environ, "QUORUM_LOG_LEVEL": "warning", "QUORUM_DATA_DIR": f"{folder}/data"}
        serve = [sys.executable, "-m", "router", "serve", "--port", "0", "--registry", str(registry)]
        daemon = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, env=env)
        try:
            assert daemon.stdout is not None
            found = re.search(r":(\d+)", daemon.stdout.readline().replace("http:", ""))
            assert found is not None
            watched = psutil.Process(daemon.pid)
            before = most = rss_mib(watched)
            callers = subprocess.Popen([*me, "--call", found[1], str(streams)], stdout=subprocess.PIPE, text=True)
            while callers.poll() is None:
                time.sleep(0.5)
                most = max(most, rss_mib(watched))
            assert callers.stdout is not None
            told = json.loads(callers.stdout.readline())
            print(f"{streams} streams of {WORDS} words, one each {EVERY_S:g} s, arriving over {ARRIVE_S:g} s")
            print(f"ended well: {told['ok']}; others: {told['others'] or 'none'}")
            print(f"first token: median {told['median_s']:.3f} s, p99 {told['p99_s']:.3f} s")
            each_kib = (most - before) * 1024 / streams
            print(f"daemon: {before:.0f} MiB before, {most:.0f} at most: {each_kib:.1f} KiB a stream")
        finally:
            daemon.terminate()
            daemon.wait(20)
            provider.terminate()
            provider.wait(20)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("streams", nargs="?", type=int, default=2000)
    parser.add_argument("--provide", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--call", nargs=2, type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if chosen.provide:
        provide()
    elif chosen.call:
        call(*chosen.call)
    else:
        main(chosen.streams)
