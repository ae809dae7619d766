"""Load shedding: the limit on requests in flight, from event-loop lag, memory usage and their number."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import repeat
from pathlib import Path

import pytest

from router.core.events import SheddingChanged
from router.daemon.resources import memory_share_reader
from router.http.server.load_shedding import (
    CALM_S,
    MAX_INFLIGHT,
    RETRY_AFTER_S,
    SAMPLE_S,
    ConcurrencyLimit,
    Gate,
    memory_admits,
)
from tests.support.small_registry import FakeTime


class Loop:
    """An event loop whose timers are as late as a test says, and the gate that watches it."""

    def __init__(self, max_inflight: int = MAX_INFLIGHT) -> None:
        self.time = FakeTime()
        self.told: list[SheddingChanged] = []
        self.memory_share = 0.1
        self._lags_s: Iterator[float] = iter(())
        self.gate = Gate(
            self.time.clock,
            random.Random(7),
            memory_share=lambda: self.memory_share,
            publish=self.told.append,
            max_inflight=max_inflight,
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        lag_s = next(self._lags_s, None)
        if lag_s is None:
            raise asyncio.CancelledError
        self.time.pass_(seconds + lag_s)

    async def turn(self, lags_s: Iterable[float]) -> None:
        """Lets so many samples be taken, each so late."""
        self._lags_s = iter(lags_s)
        with suppress(asyncio.CancelledError):
            await self.gate.run()

    def let_in(self, number: int) -> int:
        """How many of so many requests enter."""
        return sum(self.gate.enter() for _ in range(number))

    @property
    def limit(self) -> int:
        limit: int = self.gate.state()["max_inflight"]
        return limit


BURSTS = {
    "one long turn": [10.0],
    "two long turns": [5.0, 5.0],
    "long turns now and then": [1.0, 0.01] * 20,
    "a second of lateness": [0.2] * 5,
    "always a little late": [0.09] * 500,
}


@pytest.mark.parametrize("lags_s", BURSTS.values(), ids=BURSTS)
async def test_a_burst_is_served(lags_s: list[float]) -> None:
    loop = Loop()
    loop.let_in(500)
    await loop.turn(lags_s)
    assert loop.let_in(100) == 100
    assert loop.told == []


@pytest.mark.parametrize("lag_s", [0.11, 0.3, 2.0])
async def test_a_loop_that_stays_late_is_relieved_within_seconds(lag_s: float) -> None:
    loop = Loop()
    loop.let_in(500)
    began = loop.time.monotonic
    for _ in range(100):
        await loop.turn([lag_s])
        if not loop.gate.enter():
            break
    assert loop.time.monotonic - began <= (5 if lag_s < 1 else 7)
    (episode,) = loop.told
    assert (episode.reason, episode.refused, episode.lasted_s) == ("lag", 1, None)
    assert episode.lag_s == pytest.approx(lag_s)


async def test_each_answer_makes_room_for_one_request() -> None:
    loop = Loop()
    loop.let_in(500)
    await loop.turn([0.5] * 4)
    for _ in range(500 - loop.limit):
        assert not loop.gate.enter()
        loop.gate.leave()
    loop.gate.leave()
    assert loop.let_in(10) == 1


async def test_the_window_settles_where_the_loop_is_quick_and_busy() -> None:
    """A loop whose turns take 0.2 ms for each request under way, asked for more than it can do."""
    loop = Loop()
    loop.let_in(2_000)
    limits = []
    for _ in range(200):
        inside = loop.gate.state()["inflight"]
        await loop.turn([inside * 0.0002])
        for _ in range(max(0, inside - 1)):
            loop.gate.leave()
        loop.let_in(5_000)
        limits.append(loop.limit)
    assert all(70 <= limit <= 150 for limit in limits[50:]), limits


async def test_one_long_turn_while_shedding_costs_no_place() -> None:
    loop = Loop()
    loop.let_in(500)
    await loop.turn([0.5] * 4)
    await loop.turn([0.02])
    before = loop.limit
    await loop.turn([0.4, 0.02])
    assert loop.limit == before


async def test_when_the_load_is_gone_everybody_is_let_in_and_the_end_is_told() -> None:
    loop = Loop()
    loop.let_in(500)
    await loop.turn([0.5] * 4)
    assert not loop.gate.enter()
    for _ in range(500):
        loop.gate.leave()

    await loop.turn(repeat(0.001, int(CALM_S / SAMPLE_S) + 2))

    assert loop.limit == MAX_INFLIGHT
    assert not loop.gate.shedding
    begun, ended = loop.told
    assert (begun.lasted_s, ended.lasted_s, ended.refused) == (None, 0.0, 1)


async def test_a_window_is_never_shut_for_good() -> None:
    loop = Loop()
    loop.let_in(500)
    await loop.turn([0.5] * 50)
    for _ in range(500):
        loop.gate.leave()
    assert 0 < loop.let_in(100) < 20


async def test_more_than_the_bound_are_never_let_in() -> None:
    loop = Loop(max_inflight=10)
    assert loop.let_in(15) == 10
    loop.gate.leave()
    assert loop.let_in(5) == 1
    assert [(episode.reason, episode.refused) for episode in loop.told] == [("full", 1)]
    assert loop.gate.state()["inflight"] == 10


def test_the_window_alone_knows_of_no_other_bound() -> None:
    assert ConcurrencyLimit().after(1.0, 0.0, 10**6) == ConcurrencyLimit()


@pytest.mark.parametrize(
    ("share", "admits"), [(0.0, 1.0), (0.85, 1.0), (0.9, 0.5), (0.94, 0.1), (0.95, 0.0), (1.2, 0.0)]
)
async def test_memory_near_its_limit_turns_a_share_away(share: float, admits: float) -> None:
    loop = Loop(max_inflight=2_000)
    loop.memory_share = share
    await loop.turn([0.0])
    assert memory_admits(share) == pytest.approx(admits)
    assert loop.let_in(1_000) == pytest.approx(1_000 * admits, abs=50)
    assert [episode.reason for episode in loop.told] == (["memory"] if admits < 1 else [])
    assert loop.gate.state()["memory_share"] == share


async def test_memory_is_looked_at_once_a_second_and_its_relief_is_seen() -> None:
    loop = Loop()
    loop.memory_share = 1.0
    await loop.turn([0.0])
    loop.memory_share = 0.2
    await loop.turn([0.0] * 5)
    assert loop.let_in(10) == 0
    await loop.turn([0.0] * 5)
    assert loop.let_in(10) == 10


def test_callers_are_asked_to_come_again_at_different_times() -> None:
    gate = Loop().gate
    assert {gate.retry_after_s() for _ in range(200)} == set(RETRY_AFTER_S) == {1, 2, 3, 4, 5}


# --- the memory of this process ---------------------------------------------------------------------------------------

GiB = 2**30


def machine(root: Path, cgroup: str, limits: dict[str, str]) -> Path:
    """A root folder with what Linux tells of a process that uses 512 MiB."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/statm").write_text(f"999999 {GiB // 2 // os.sysconf('SC_PAGE_SIZE')} 1 1 0 1 0\n")
    (root / "proc/self/cgroup").write_text(cgroup)
    for path, limit in limits.items():
        file = root / "sys/fs/cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{limit}\n")
    return root


V1 = "9:cpu,cpuacct:/\n4:memory:/jobs/7\n0::/\n"
UNLIMITED = str(0x7FFFFFFFFFFFF000)


@pytest.mark.parametrize(
    ("cgroup", "limits", "limit_bytes"),
    [
        ("0::/\n", {"memory.max": str(GiB)}, GiB),
        ("0::/pod/main\n", {"pod/main/memory.max": str(GiB), "pod/memory.max": str(2 * GiB)}, GiB),
        ("0::/pod/main\n", {"pod/main/memory.max": "max", "pod/memory.max": str(2 * GiB)}, 2 * GiB),
        ("0::/of/the/host\n", {"memory.max": str(GiB)}, GiB),
        (V1, {"memory/jobs/7/memory.limit_in_bytes": str(GiB)}, GiB),
        (V1, {"memory/memory.limit_in_bytes": str(GiB)}, GiB),
        (V1, {"memory/jobs/7/memory.limit_in_bytes": UNLIMITED}, None),
        ("", {}, None),
    ],
)
def test_the_limit_is_the_least_of_the_groups_and_the_machine(
    tmp_path: Path, cgroup: str, limits: dict[str, str], limit_bytes: int | None
) -> None:
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    root = machine(tmp_path, cgroup, limits)
    assert memory_share_reader(1, root)() == pytest.approx(GiB / 2 / (limit_bytes or physical))
    assert memory_share_reader(4, root)() == pytest.approx(4 * GiB / 2 / (limit_bytes or physical))


def test_what_a_system_does_not_tell_bounds_nothing(tmp_path: Path) -> None:
    assert memory_share_reader(1, tmp_path)() == 0


def test_this_process_uses_some_of_this_machine() -> None:
    assert 0 < memory_share_reader(1)() < 1
