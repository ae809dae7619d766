"""Offers one daemon ten times the load it can serve, and measures its goodput, its refusals and its health checks.

Callers that come at a fixed rate, a provider that answers at once and the daemon are three processes on loopback. With
`--apart` the daemon has one core to itself, and the others share the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent
FILES = 6_000
PEAK_S, SETTLING_S, OVERLOAD_S = 5, 7, 10  # the first burst is served for some seconds, and its backlog worked off
REGISTRY = """\
version: 1
tiers: {{cheap: {{council_size: 3}}}}
providers:
  quick: {{adapter: compatible, base_url: {url}/v1, models: {{m: {{tier: cheap}}}}}}
"""
Second = dict[str, Any]


@contextmanager
def process(*words: str, cores: list[int], **env: str) -> Iterator[tuple[psutil.Process, str]]:
    """A Python module run as a process on some cores; it prints its URL in its first line."""
    started = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env={**os.environ, **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        watched = psutil.Process(started.pid)
        watched.cpu_affinity(cores)
        assert started.stdout is not None
        found = re.search(r"http://\S+", started.stdout.readline())
        assert found is not None
        yield watched, found[0]
    finally:
        started.terminate()
        started.communicate(timeout=20)


def crowd(url: str, seconds: int, rate: float | None = None) -> list[Second]:
    """What callers saw, one record per second; without a rate (requests per second) each asks again once answered."""
    words = [sys.executable, "-m", "tests.support.crowd", url, f"{seconds}.5", *([str(rate)] if rate else [])]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


class Doctor(threading.Thread):
    """Asks for `/healthz` again and again; `seen` holds when (monotonic) and how long the answer took, in seconds."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._connection = HTTPConnection(url.removeprefix("http://"), timeout=10)
        self._ended = threading.Event()
        self.seen: list[tuple[float, float]] = []

    def run(self) -> None:
        """Asks until `end` is called."""
        while not self._ended.wait(0.02):
            began = time.monotonic()
            self._connection.request("GET", "/healthz")
            self._connection.getresponse().read()
            self.seen.append((began, time.monotonic() - began))

    def end(self) -> None:
        """Stops asking, and waits for the last answer."""
        self._ended.set()
        self.join()


def main(*, apart: bool, times: float) -> None:
    """Runs the benchmark and prints its results."""
    cores = sorted(psutil.Process().cpu_affinity())
    mine, theirs = (cores[:1], cores[1:]) if apart and len(cores) > 1 else (cores, cores)
    psutil.Process().cpu_affinity(theirs)
    with (
        tempfile.TemporaryDirectory() as folder,
        process("tests.support.crowd", "provider", cores=theirs) as (_, provider),
    ):
        registry = Path(folder) / "registry.yaml"
        registry.write_text(REGISTRY.format(url=provider))
        serve = ("router", "serve", "--port", "0", "--registry", str(registry))
        with process(*serve, cores=mine, QUORUM_DATA_DIR=f"{folder}/data", QUORUM_LOG_LEVEL="error") as (daemon, url):
            peak = statistics.median(second["good"] for second in crowd(url, PEAK_S))
            doctor, began = Doctor(url), time.monotonic()
            doctor.start()
            used = sum(daemon.cpu_times()[:2])
            settled = crowd(url, SETTLING_S + OVERLOAD_S, rate=times * peak)[SETTLING_S:]
            used = (sum(daemon.cpu_times()[:2]) - used) / (time.monotonic() - began)
            doctor.end()
            memory = daemon.memory_info().rss / 2**20
    good = statistics.mean(second["good"] for second in settled)
    refused = statistics.mean(second["rate"].get("503", 0.0) for second in settled)
    refused_s = statistics.median(second["median_s"].get("503", 0.0) for second in settled)
    health = sorted(
        took_s for at, took_s in doctor.seen if at > began + SETTLING_S + 2
    )  # connecting all callers takes a moment
    untold, broken = (sum(second[name] for second in settled) for name in ("untold", "broken"))
    print(f"best rate: {peak:.0f} good answers a second (within 1 s); offered {times:g} times as much:")
    print(f"good: {good:.0f} a second, {good / peak:.0%}")
    print(f"refused: {refused:.0f} a second, after {refused_s * 1000:.0f} ms; without Retry-After: {untold}")
    print(
        f"health: median {health[len(health) // 2] * 1000:.0f} ms, p99 {health[len(health) * 99 // 100] * 1000:.0f} ms"
    )
    print(f"daemon: {used:.2f} cores, {memory:.0f} MiB; connections that broke: {broken}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apart", action="store_true", help="the daemon has a core to itself")
    parser.add_argument("--times", type=float, default=10.0, help="offered load, as a multiple of the best rate")
    chosen = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    main(apart=chosen.apart, times=chosen.times)
