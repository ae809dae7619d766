"""Several workers on one port: all of them answer, a lost one is replaced, and all end with their parent."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from tests.support.paths import ROOT
from tests.support.stores import Stores


class Parent:
    """`quorum serve --workers 2` in a process of its own."""

    def __init__(self, env: Mapping[str, str], *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "router", "serve", "--workers", "2", "--port", "0", *words],
            cwd=ROOT,
            env=dict(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()

    @property
    def url(self) -> str:
        found = re.search(r"http://\S+", self.said)
        assert found, self.said
        return found[0]

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(timeout=60)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return status


@pytest.fixture
def env(stores: Stores, tmp_path: Path) -> Mapping[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "DATABASE_URL": stores.postgres_dsn,
        "REDIS_URL": stores.redis_url,
        "QUORUM_DATA_DIR": str(tmp_path),
    }


@pytest.fixture
def parent(env: Mapping[str, str]) -> Iterator[Parent]:
    started = Parent(env)
    yield started
    started.end()


def until(true: Callable[[], bool], limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)


def answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/livez", timeout=20) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def test_workers_share_a_port_and_a_lost_one_comes_back(parent: Parent) -> None:
    first = parent.workers()
    assert len(first) == 2
    assert all(answers(parent.url) for _ in range(8))

    first[0].kill()
    until(lambda: len(parent.workers()) == 2 and first[0] not in parent.workers())
    until(lambda: all(answers(parent.url) for _ in range(8)))

    second = parent.workers()
    assert parent.end() == 0
    _, alive = psutil.wait_procs(second, timeout=30)
    assert alive == []


def test_a_signal_that_comes_while_a_worker_is_replaced_ends_that_one_too(parent: Parent) -> None:
    lost = parent.workers()[0]
    lost.kill()
    until(lambda: len(parent.workers()) == 2 and lost not in parent.workers())
    newest = parent.workers()

    assert parent.end() == 0

    _, alive = psutil.wait_procs(newest, timeout=30)
    assert alive == []


def test_workers_end_when_their_parent_is_killed(parent: Parent) -> None:
    workers = parent.workers()
    parent.process.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []


def test_a_registry_that_cannot_be_used_ends_the_start(env: Mapping[str, str], tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("version: 2\n")
    started = Parent(env, "--registry", str(bad))
    assert started.said == ""
    assert started.end() == 2
