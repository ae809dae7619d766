"""Ten times the load a daemon can serve: it keeps serving its capacity, and floods of connections leak nothing."""

from __future__ import annotations

import asyncio
import json
import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.crowd import percentile
from tests.support.daemon import Start
from tests.support.paths import ROOT
from tests.support.rim import Providers, caller, chat_body, http, seats, until
from tests.support.scripted import stream
from tests.support.stores import Stores

pytestmark = pytest.mark.alone

REGISTRY = """
version: 1
defaults: {{strategy: single-query, tier: cheap}}
tiers: {{cheap: {{council_size: 3}}}}
providers:
  quick: {{adapter: compatible, base_url: {url}/v1, models: {{m: {{tier: cheap}}}}}}
"""
FILES = 6_000
SETTLING_S = 5  # a burst is served for some seconds, and what it left is worked off
MiB = 2**20


@pytest.fixture
def many_files() -> Iterator[None]:
    """Leave to open as many sockets as a crowd needs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < FILES:
        pytest.skip(f"this user may not open {FILES} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def process(
    *words: str, env: Mapping[str, str] | None = None, log: Path | None = None
) -> Iterator[tuple[psutil.Process, str]]:
    """A Python program that says where it listens in its first line."""
    with (log or Path("/dev/null")).open("w") as errors:
        started = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            assert started.stdout is not None
            found = re.search(r"http://\S+", started.stdout.readline())
            assert found
            yield psutil.Process(started.pid), found[0]
        finally:
            started.terminate()
            started.communicate(timeout=20)


def crowd(url: str, seconds: int, rate: float | None = None) -> list[dict[str, Any]]:
    """What callers in a process of their own saw, second by second."""
    words = [sys.executable, "-m", "tests.support.crowd", url, f"{seconds}.5", *([str(rate)] if rate else [])]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@dataclass
class Doctor:
    """Asks for the daemon's health again and again, in a thread of its own; `seen` holds when, how long, and what."""

    url: str
    seen: list[tuple[float, float, dict[str, Any]]] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        stopped = threading.Event()
        thread = threading.Thread(target=self._watch, args=(stopped,))
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    def _watch(self, stopped: threading.Event) -> None:
        connection = HTTPConnection(self.url.removeprefix("http://"), timeout=10)
        while not stopped.wait(0.02):
            began = time.monotonic()
            connection.request("GET", "/healthz")
            told = json.loads(connection.getresponse().read())
            self.seen.append((began, time.monotonic() - began, told))
        connection.close()


@pytest.mark.usefixtures("many_files")
def test_ten_times_the_load_it_can_take_is_no_harm(stores: Stores, tmp_path: Path) -> None:
    env = {
        "PATH": "/usr/bin:/bin",
        "DATABASE_URL": stores.postgres_dsn,
        "REDIS_URL": stores.redis_url,
        "QUORUM_DATA_DIR": str(tmp_path),
        "QUORUM_REGISTRY": str(tmp_path / "registry.yaml"),
        "QUORUM_LOG_FORMAT": "json",
    }
    with process("tests.support.crowd", "provider") as (_, provider):
        (tmp_path / "registry.yaml").write_text(REGISTRY.format(url=provider))
        with process("router", "serve", "--port", "0", env=env, log=tmp_path / "log") as (daemon, url):
            peak = percentile([second["good"] for second in crowd(url, 2)], 0.5)
            doctor = Doctor(url)
            with doctor.watching():
                seconds = crowd(url, SETTLING_S + 2, rate=10 * peak)
                rss = daemon.memory_info().rss
    settled = seconds[SETTLING_S:]
    # How many of its best it still answers, and how soon, is for bench/overload.py: here others share the machine.
    assert sum(second["good"] for second in settled) > 0
    assert sum(second["rate"].get("503", 0.0) for second in settled) > sum(second["good"] for second in settled)
    assert all(took_s < 5 for _, took_s, _ in doctor.seen)
    assert [(second["untold"], second["broken"]) for second in seconds] == [(0, 0)] * len(seconds)
    assert doctor.seen[-1][2]["load"]["shedding"]
    assert rss < 400 * MiB
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["state"] for line in lines if line["event"] == "shedding"] == ["begins"]
    assert not [line for line in lines if line.get("outcome") == "rejected"], "a line for each refusal is work as well"


@pytest.mark.usefixtures("many_files")
async def test_starting_and_leaving_a_thousand_times_leaves_nothing_behind(
    start_daemon: Start, providers: Providers
) -> None:
    (one,) = await providers(1)
    one.then(stream("Hello", finish=None, end="stay"))
    quorum = await start_daemon(seats([one]))
    process = psutil.Process()

    async def start_and_leave() -> None:
        async with caller(quorum.url) as (reader, writer):
            writer.write(http(chat_body(stream=True)))
            await asyncio.wait_for(reader.readuntil(b"Hello"), 20)

    async def inflight() -> int:
        load: int = (await quorum.get("/healthz")).json["load"]["inflight"]
        return load

    await start_and_leave()
    await until(lambda: len(asyncio.all_tasks()) < 30)
    files, tasks = process.num_fds(), len(asyncio.all_tasks())
    for _ in range(10):
        await asyncio.gather(*(start_and_leave() for _ in range(100)))

    await until(lambda: process.num_fds() <= files and len(asyncio.all_tasks()) <= tasks, limit_s=10)
    assert await inflight() == 0
    assert (await quorum.get("/v1/weather")).json["providers"][0]["inflight"] == 0
    assert len(one.seen) == 1_001
