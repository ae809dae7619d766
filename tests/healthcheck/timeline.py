"""Days in seconds: time that jumps from one sleeper to the next, and a fleet of models that behave as they are told."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from adapters.errors import ErrorKind, ProviderError
from adapters.types import Answer
from healthcheck.monitor import Monitor, MonitorPorts
from healthcheck.store import Verdicts
from healthcheck.subjects import Mode, Subject, SubjectLimit
from healthcheck.verdicts import ProbeResult, Verdict, judge
from tests.support.small_registry import FakeTime

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
_TURNS = 4  # of the event loop, in which everybody gets to the next sleep

Behaviour = Callable[[random.Random], Answer | ProviderError]


def monitor_of(ports: MonitorPorts, **settings: float) -> Monitor:
    """A monitor of these ports that nobody has told anything yet."""
    return Monitor(ports, Verdicts(ports.monotonic, ports.wall), **settings)


class Timeline:
    """Time that moves only while a test lets it run; who sleeps is woken at the right moment, in order."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.time.monotonic + seconds, next(self._numbers), future))
        await future

    async def run(self, seconds: float) -> None:
        end = self.time.monotonic + seconds
        await self._turn()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                self.time.pass_(at - self.time.monotonic)
                future.set_result(None)
                await self._turn()
        self.time.pass_(end - self.time.monotonic)

    async def _turn(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)


def subject(
    id: str,
    *limits: SubjectLimit,
    mode: Mode = "generate",
    interval_s: float = 300.0,
    probe_share: float = 0.05,
    eligible: bool = True,
) -> Subject:
    return Subject(id, id.split("/")[0], mode, interval_s, probe_share, limits, eligible)


def a_day(requests: float, *, shared: bool = False) -> SubjectLimit:
    return SubjectLimit("requests", requests, DAY, shared)


def says(text: str, *, reasoning: str = "") -> Behaviour:
    return lambda _: Answer(text=text, reasoning=reasoning)


def fails(kind: ErrorKind = ErrorKind.SERVER_ERROR) -> Behaviour:
    return lambda _: ProviderError(kind, f"{kind} it was")


@dataclass
class Fleet:
    """Models under a test's control, and what monitors asked and told of them."""

    line: Timeline = field(default_factory=Timeline)
    subjects: tuple[Subject, ...] = ()
    behaviour: dict[str, Behaviour] = field(default_factory=dict)
    leaking: set[str] = field(default_factory=set)
    listed: frozenset[str] | ProviderError = frozenset()
    latency_s: float = 0.0
    asked: list[tuple[float, str]] = field(default_factory=list)
    told: list[Verdict] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    alive: dict[str, float] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    leads: Callable[[], bool] = lambda: True
    at_once: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(7)
        self.began = self.line.time.monotonic

    def ports(self, *, lead: Callable[[], Awaitable[bool]] | None = None) -> MonitorPorts:
        async def leads() -> bool:
            return self.leads()

        async def alive_at() -> dict[str, float]:
            return self.alive

        time = self.line.time
        return MonitorPorts(
            subjects=lambda: self.subjects,
            probe=self.probe,
            list_models=self.list_models,
            lead=lead or leads,
            alive_at=alive_at,
            open_seats=lambda: self.open,
            tell=self.told.append,
            say=self.said.append,
            monotonic=time.clock.monotonic,
            wall=time.clock.wall,
            random=self.random.random,
            sleep=self.line.sleep,
        )

    async def probe(self, subject_id: str) -> ProbeResult:
        await self._asked(subject_id)
        outcome = self.behaviour.get(subject_id, says("OK"))(self.random)
        return judge(outcome, leaked=subject_id in self.leaking)

    async def list_models(self, provider: str) -> frozenset[str] | ProviderError:
        await self._asked(provider)
        return self.listed

    async def _asked(self, name: str) -> None:
        self.asked.append((self.line.time.monotonic - self.began, name))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if self.latency_s:
            await self.line.sleep(self.latency_s)
        self.at_once -= 1

    def times(self, name: str) -> list[float]:
        """When a model or a provider's list was asked for, in seconds since the start."""
        return [at for at, asked in self.asked if asked == name]

    def conditions(self, subject_id: str) -> list[str]:
        """What was told of a model, in order."""
        return [verdict.verdict for verdict in self.told if verdict.subject == subject_id]

    def succeed(self, subject_id: str) -> None:
        """A real request is answered now, by whichever replica."""
        self.alive[subject_id] = self.line.time.wall


@asynccontextmanager
async def monitoring(fleet: Fleet, *subjects: Subject, tick_s: float = 1.0) -> AsyncIterator[Monitor]:
    """A monitor of the fleet's subjects that has just begun."""
    fleet.subjects = subjects or fleet.subjects
    monitor = monitor_of(fleet.ports(), tick_s=tick_s)
    monitor.start()
    try:
        yield monitor
    finally:
        await monitor.stop()


def most_within(times: Iterable[float], window_s: float) -> int:
    """The largest number of moments that any window of that length holds."""
    moments = sorted(times)
    return max((sum(1 for at in moments if first <= at < first + window_s) for first in moments), default=0)
