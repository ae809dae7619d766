"""The counters in Redis: each call runs one script, which reads, decides and writes in one step, for all replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError

from router.core.clock import Clock
from router.guards.limits.counters import Counter, prefix
from router.stores.errors import StoreDown
from router.stores.redis import TIMEOUT_S, Redis, within

REMEMBERED_MS = 600_000  # longer than any call takes, so that a reservation can be settled when its call has ended
_AT_ONCE = 32  # half of the client's connections: one too many would look like a Redis that is away
_LUA = {file.stem: file.read_text(encoding="utf-8") for file in (Path(__file__).parent / "lua").glob("counter*.lua")}

T = TypeVar("T")


class View(NamedTuple):
    """How a counter stands; `epoch` None for one that has lost its life, `free_ms` 0 when one more fits now."""

    bucket: int
    used: int
    epoch: bytes | None
    free_ms: int


class Reply(NamedTuple):
    """What a script answered: a word, when (µs by the server's clock), and how the counters stand.

    `wait_ms` and `which` tell of a refusal: how long until the amounts will fit, and the place of the counter that
    takes longest.
    """

    word: str
    at_us: int
    views: tuple[View, ...]
    wait_ms: int = 0
    which: int = 0


class Change(NamedTuple):
    """What settling changes in one counter: by how much, and what its provider says is left, until when."""

    counter: Counter
    amount: int
    left: int = -1
    resets_ms: int = -1


class ServerTime:
    """What time it is in Redis, from its last answer on; before the first one, this replica's clock has to do."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s: float | None = None  # of the monotonic clock

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        now_s = self._clock.wall() if self._ahead_s is None else self._clock.monotonic() + self._ahead_s
        return int(now_s * 1000)

    def heard(self, at_us: int) -> None:
        """Takes in the time that an answer told."""
        self._ahead_s = at_us / 1_000_000 - self._clock.monotonic()


class Counting:
    """The scripts as calls. Each takes at most a quarter of a second and raises only `StoreDown`."""

    def __init__(self, redis: Redis, time: ServerTime) -> None:
        self._redis = redis
        self._time = time
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._reserve, self._settle, self._seed, self._push, self._look = (
            redis.client.register_script(_LUA["counter"] + _LUA[f"counter_{name}"])
            for name in ("reserve", "settle", "seed", "push", "look")
        )

    @property
    def up(self) -> bool:
        """Whether calls are worth a try."""
        return self._redis.up

    async def reserve(self, rid: str, asked: Sequence[tuple[Counter, int]], timeout_s: float = TIMEOUT_S) -> Reply:
        """Takes an amount from every counter, or from none; the same `rid` never takes twice."""
        now_ms = self._time.now_ms()
        keys = [_reservation(asked[0][0], rid), *(counter.key for counter, _ in asked)]
        words = (word for counter, amount in asked for word in (*_words(counter, now_ms), amount))
        return await self._call(self._reserve, keys, [REMEMBERED_MS, *words], 4, timeout_s)

    async def settle(self, batch: Sequence[tuple[str, Sequence[Change]]]) -> list[Reply]:
        """Settles reservations, in one round trip."""
        now_ms = self._time.now_ms()
        calls = []
        for rid, changes in batch:
            keys = [_reservation(changes[0].counter, rid), *(change.counter.key for change in changes)]
            words = [word for each in changes for word in (*_words(each.counter, now_ms), *each[1:])]
            calls.append((keys, words))
        return await self._pipeline(self._settle, calls)

    async def seed(self, counter: Counter, life: str, known: Mapping[int, int]) -> Reply:
        """Brings a counter to life, or raises a living one, to what is known of each bucket."""
        words = [life, *_words(counter, self._time.now_ms()), *_pairs(known)]
        return await self._call(self._seed, [counter.key], words)

    async def push(self, counter: Counter, push_id: str, changes: Mapping[int, int]) -> Reply:
        """Adds what was spent without Redis; the same `push_id` never adds twice."""
        words = [REMEMBERED_MS, *_words(counter, self._time.now_ms()), *_pairs(changes)]
        return await self._call(self._push, [_reservation(counter, push_id), counter.key], words)

    async def look(self, groups: Sequence[Sequence[Counter]]) -> list[Reply]:
        """How counters stand, in one round trip; those of one group belong to one provider."""
        now_ms = self._time.now_ms()
        calls = [
            ([each.key for each in group], [word for each in group for word in _words(each, now_ms)])
            for group in groups
        ]
        return await self._pipeline(self._look, calls)

    async def _pipeline(self, script: Any, calls: Sequence[tuple[list[str], list[Any]]]) -> list[Reply]:
        async def run() -> list[bytes]:
            pipeline = self._redis.client.pipeline(transaction=False)
            for keys, words in calls:
                await script(keys, words, client=pipeline)
            return await pipeline.execute()

        return [self._heard(_read(answer)) for answer in await self._tried(run, TIMEOUT_S)]

    async def _call(
        self, script: Any, keys: list[str], words: list[Any], head: int = 2, timeout_s: float = TIMEOUT_S
    ) -> Reply:
        return self._heard(_read(await self._tried(lambda: script(keys, words), timeout_s), head))

    async def _tried(self, run: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Bounds what is done with Redis, and takes note of its failure."""
        try:
            async with within(timeout_s), self._slots:
                try:
                    return await run()
                except Disconnected:  # it may have been a connection from before a restart, and no script counts twice
                    return await run()
        except (RedisError, OSError, TimeoutError) as error:
            self._redis.seen(False)
            raise StoreDown(f"Redis: {type(error).__name__}") from error

    def _heard(self, reply: Reply) -> Reply:
        self._time.heard(reply.at_us)
        return reply


def _read(line: bytes, head: int = 2) -> Reply:
    """A reply: its first words, and four for each counter."""
    words = line.split(b" ")
    views = tuple(
        View(int(words[at]), int(words[at + 1]), None if words[at + 2] == b"-" else words[at + 2], int(words[at + 3]))
        for at in range(head, len(words), 4)
    )
    refusal = (int(words[2]), int(words[3]) - 1) if head == 4 and views else (0, 0)
    return Reply(words[0].decode(), int(words[1]), views, *refusal)


def _reservation(counter: Counter, rid: str) -> str:
    return f"{prefix(counter.provider)}:r:{rid}"


def _words(counter: Counter, now_ms: int) -> tuple[str, int, int, int]:
    kind, x, y = counter.window.words(now_ms)
    return kind, counter.amount, x, y


def _pairs(amounts: Mapping[int, int]) -> Iterable[int]:
    return (number for pair in amounts.items() for number in pair)
