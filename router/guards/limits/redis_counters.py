"""The counters in Redis, shared by all replicas: each call runs one script, which checks and writes atomically."""

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

REMEMBERED_MS = 600_000  # longer than any call takes, so that a reservation is still there when its call is settled
_AT_ONCE = 32  # half of the client's connections: beyond them it raises, as if Redis were away
_LUA = {file.stem: file.read_text(encoding="utf-8") for file in (Path(__file__).parent / "lua").glob("counter*.lua")}

T = TypeVar("T")


class CounterView(NamedTuple):
    """How a counter stands; `epoch` is None for a counter that is lost, `free_ms` 0 when one more unit fits now."""

    bucket: int
    used: int
    epoch: bytes | None
    free_ms: int


class CounterReply(NamedTuple):
    """A script's reply: its status, the server's time (µs), and how the counters stand.

    `wait_ms` and `which` explain a refusal: how long until the amounts will fit, and the index of the counter that
    takes longest.
    """

    status: str
    at_us: int
    views: tuple[CounterView, ...]
    wait_ms: int = 0
    which: int = 0


class CounterChange(NamedTuple):
    """What a settlement changes in one counter: by how much, what its provider reports as left, and in how many ms
    that resets (-1: not reported)."""

    counter: Counter
    amount: int
    left: int = -1
    resets_ms: int = -1


class ServerTime:
    """The time of Redis's clock, known from its last reply on; before the first, this replica's clock stands in."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s: float | None = None  # of the monotonic clock

    def now_ms(self) -> int:
        """Unix time in milliseconds."""
        now_s = self._clock.wall() if self._ahead_s is None else self._clock.monotonic() + self._ahead_s
        return int(now_s * 1000)

    def heard(self, at_us: int) -> None:
        """Takes in the time of a reply."""
        self._ahead_s = at_us / 1_000_000 - self._clock.monotonic()


class RedisCounters:
    """The scripts as calls. Each takes at most a quarter of a second, waiting for a connection included.

    Raises only `StoreDown`, and `CancelledError` in a task that is cancelled meanwhile: then, as after `StoreDown`,
    nobody knows whether the script has run.
    """

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
        """Whether Redis answered last time, so that a call is worth a try."""
        return self._redis.up

    async def reserve(
        self, rid: str, amounts: Sequence[tuple[Counter, int]], timeout_s: float = TIMEOUT_S
    ) -> CounterReply:
        """Takes an amount from every counter, or from none; idempotent by `rid`."""
        now_ms = self._time.now_ms()
        keys = [_reservation(amounts[0][0], rid), *(counter.key for counter, _ in amounts)]
        args = (arg for counter, amount in amounts for arg in (*_args(counter, now_ms), amount))
        return await self._call(self._reserve, keys, [REMEMBERED_MS, *args], 4, timeout_s)

    async def settle(self, batch: Sequence[tuple[str, Sequence[CounterChange]]]) -> list[CounterReply]:
        """Settles reservations, each once, in one round trip."""
        now_ms = self._time.now_ms()
        calls = []
        for rid, changes in batch:
            keys = [_reservation(changes[0].counter, rid), *(change.counter.key for change in changes)]
            args = [arg for each in changes for arg in (*_args(each.counter, now_ms), *each[1:])]
            calls.append((keys, [REMEMBERED_MS, *args]))
        return await self._pipeline(self._settle, calls)

    async def seed(self, counter: Counter, epoch: str, known: Mapping[int, int]) -> CounterReply:
        """Gives a lost counter its new `epoch`, and raises it to what is known by bucket; never lowers it."""
        args = [epoch, *_args(counter, self._time.now_ms()), *_pairs(known)]
        return await self._call(self._seed, [counter.key], args)

    async def push(self, counter: Counter, push_id: str, changes: Mapping[int, int]) -> CounterReply:
        """Adds what was spent without Redis; idempotent by `push_id`."""
        args = [REMEMBERED_MS, *_args(counter, self._time.now_ms()), *_pairs(changes)]
        return await self._call(self._push, [_reservation(counter, push_id), counter.key], args)

    async def look(self, groups: Sequence[Sequence[Counter]]) -> list[CounterReply]:
        """How counters stand, in one round trip; the counters of one group belong to one provider."""
        now_ms = self._time.now_ms()
        calls = [
            ([each.key for each in group], [arg for each in group for arg in _args(each, now_ms)]) for group in groups
        ]
        return await self._pipeline(self._look, calls)

    async def _pipeline(self, script: Any, calls: Sequence[tuple[list[str], list[Any]]]) -> list[CounterReply]:
        async def run() -> list[bytes]:
            pipeline = self._redis.client.pipeline(transaction=False)
            for keys, args in calls:
                await script(keys, args, client=pipeline)
            return await pipeline.execute()

        return [self._heard(_read(reply)) for reply in await self._tried(run, TIMEOUT_S)]

    async def _call(
        self, script: Any, keys: list[str], args: list[Any], head: int = 2, timeout_s: float = TIMEOUT_S
    ) -> CounterReply:
        return self._heard(_read(await self._tried(lambda: script(keys, args), timeout_s), head))

    async def _tried(self, run: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Bounds a call, and notes that Redis is away when it fails."""
        try:
            async with within(timeout_s), self._slots:
                try:
                    return await run()
                except Disconnected:  # maybe a pooled connection from before a restart; every script is idempotent
                    return await run()
        except (RedisError, OSError, TimeoutError) as error:
            self._redis.seen(False)
            raise StoreDown(f"Redis: {type(error).__name__}") from error

    def _heard(self, reply: CounterReply) -> CounterReply:
        self._time.heard(reply.at_us)
        return reply


def _read(line: bytes, head: int = 2) -> CounterReply:
    """Parses a reply: `head` words, then four for each counter."""
    words = line.split(b" ")
    views = tuple(
        CounterView(
            int(words[at]), int(words[at + 1]), None if words[at + 2] == b"-" else words[at + 2], int(words[at + 3])
        )
        for at in range(head, len(words), 4)
    )
    refusal = (int(words[2]), int(words[3]) - 1) if head == 4 and views else (0, 0)
    return CounterReply(words[0].decode(), int(words[1]), views, *refusal)


def _reservation(counter: Counter, rid: str) -> str:
    return f"{prefix(counter.provider)}:r:{rid}"


def _args(counter: Counter, now_ms: int) -> tuple[str, int, int, int]:
    kind, x, y = counter.window.script_args(now_ms)
    return kind, counter.amount, x, y


def _pairs(amounts: Mapping[int, int]) -> Iterable[int]:
    return (number for pair in amounts.items() for number in pair)
