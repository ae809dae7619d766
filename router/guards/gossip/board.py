"""The board: a hash of facts in Redis that every replica reads within a second, and leases for what one replica does.

Times on the board are by Redis's own clock, measured at each poll, so that no replica's clock matters. Callers of this
module use their own wall clock.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
from redis.exceptions import RedisError, ResponseError

from router.core.clock import Clock
from router.guards.gossip.facts import Fact, FactKind, fit
from router.guards.gossip.known import KnownFacts
from router.stores.redis import TIMEOUT_S, Redis, within

__all__ = ["Board", "Fact", "FactKind"]

ALIVE_EVERY_S = 20.0
_POLL_S = 0.28
_GATHER_S = 0.02  # facts told in one burst go out together
_BEAT_S = 2
_LIVING_S = 10
_ALIVE_KEPT_S = 86400
_BATCH = 500
_MAX_COMPLAINTS = 20
_LUA = {file.stem: file.read_text(encoding="utf-8") for file in (Path(__file__).parent / "lua").glob("board_*.lua")}
_KEY = "quorum:1:{board}:"  # one hash tag, since a script touches several of these keys, also in a cluster


class Board:
    """This replica's view of the board, and what it writes there.

    `on_fact` is called for every fact that another replica told, or that prevails over one told here; `on_gone` for
    every one that was withdrawn. A fact ends silently at its `until`. While Redis is away, all that is told is kept;
    when it is back, even empty, every fact that any replica knows to hold is written again.
    """

    def __init__(
        self,
        redis: Redis,
        replica: str,
        clock: Clock,
        *,
        on_fact: Callable[[Fact], None],
        on_gone: Callable[[FactKind, str], None],
    ) -> None:
        self._redis = redis
        self._replica = replica
        self._name = f"{replica} {secrets.token_hex(4)}"  # a restarted replica may have its old name
        self._clock = clock
        self._on_fact = on_fact
        self._on_gone = on_gone
        self._poll_script, self._write_script, self._lease_script, self._leave_script = (
            redis.client.register_script(_LUA[f"board_{name}"]) for name in ("poll", "write", "lease", "leave")
        )
        self._known = KnownFacts(self._changed, self._complain)
        self._version = b""  # of the board as last read; empty before the first time
        self._offset_s = clock.wall() - clock.monotonic()  # from our monotonic clock to Redis's; a guess at first
        self._replicas = 1
        self._leases: set[str] = set()
        self._alive: dict[str, float] = {}  # seat id → monotonic time of its last answer, give or take `ALIVE_EVERY_S`
        self._alive_unwritten: set[str] = set()
        self._told = asyncio.Event()
        self._complaints: set[str] = set()

    @property
    def facts(self) -> Mapping[tuple[FactKind, str], Fact]:
        """Every fact that holds now, as last seen; of open breakers of one seat in several replicas, only one."""
        ahead_s = self._ahead_s()
        return {(fact.kind, fact.subject): fact.shifted(ahead_s) for fact in self._known.holding(self._now())}

    def replicas(self) -> int:
        """How many replicas are alive, this one included, as last seen."""
        return self._replicas

    def tell(self, fact: Fact) -> None:
        """Makes a fact known to all replicas; never waits. The latest fact prevails, but no wait is shortened."""
        self._known.put(fit(fact).shifted(-self._ahead_s()), self._now())
        self._told.set()

    def withdraw(self, kind: FactKind, subject: str) -> None:
        """Takes back a fact, whichever replica told it; an open breaker only if it is this replica's."""
        self._known.withdraw(kind, subject, self._replica, self._now())
        self._told.set()

    def alive(self, seat_id: str) -> None:
        """A seat has answered a real request just now."""
        now, last = self._clock.monotonic(), self._alive.get(seat_id)
        if last is None or now - last >= ALIVE_EVERY_S:
            self._alive[seat_id] = now
            self._alive_unwritten.add(seat_id)

    async def alive_at(self) -> Mapping[str, float]:
        """When each seat last answered any replica (Unix time in s); while Redis is away, this one."""
        found = await self._ask(partial(self._redis.client.zrange, f"{_KEY}alive", 0, -1, withscores=True))
        ahead_s, own_ahead_s = self._ahead_s(), self._clock.wall() - self._clock.monotonic()
        times = {member.decode(errors="replace"): at + ahead_s for member, at in found or ()}
        for seat_id, at in self._alive.items():
            times[seat_id] = max(times.get(seat_id, 0.0), at + own_ahead_s)
        return times

    async def lease(self, name: str, ttl_s: float) -> bool:
        """Takes or extends an exclusive lease; while Redis is away, every replica has it."""
        ask = partial(self._lease_script, keys=[f"{_KEY}lease:{name}"], args=[self._name, max(1, round(ttl_s * 1000))])
        if await self._ask(ask) == 0:
            self._leases.discard(name)
            return False
        self._leases.add(name)
        return True

    async def learn(self, timeout_s: float = 0.5) -> bool:
        """Reads the whole board, before the first request is served; False if Redis is away or too slow."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._redis.ping() and await self._poll()
        except TimeoutError:
            return False

    async def run(self) -> None:
        """Reads what is new and writes what was told, until cancelled."""
        while True:
            if await self._poll():
                await self._write()
                await self._share_alive()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._told.wait()
            self._told.clear()
            await asyncio.sleep(_GATHER_S)

    async def close(self) -> None:
        """Withdraws this replica's open breakers and gives back its leases; to be called when `run` has ended."""
        for fact in list(self._known.holding(self._now())):
            if fact.kind == "open" and fact.by == self._replica:
                self.withdraw("open", fact.subject)
        if self._version:
            await self._write()
        keys = [f"{_KEY}replicas", *(f"{_KEY}lease:{name}" for name in self._leases)]
        await self._ask(partial(self._leave_script, keys=keys, args=[self._name]))

    # --- private -----------------------------------------------------------------------------------------------------

    async def _poll(self) -> bool:
        """Measures Redis's clock, signals that we are alive, reads the board if it is new; False if Redis is away."""
        began = self._clock.monotonic()
        keys = [f"{_KEY}{name}" for name in ("facts", "version", "replicas", "alive")]
        args: list[bytes | str | int] = [self._version, self._name, _BEAT_S, _LIVING_S, _ALIVE_KEPT_S]
        reply = await self._ask(partial(self._poll_script, keys=keys, args=args))
        if reply is None:
            return False
        seconds, micros, version, replicas, *pairs = reply
        offset_s = int(seconds) + int(micros) / 1e6 - (began + self._clock.monotonic()) / 2
        if not self._version:  # what was told so far was timed by our own clock
            self._known.shift(offset_s - self._offset_s)
        self._offset_s = offset_s
        self._replicas = max(1, replicas)
        self._known.forget_ended(self._now())
        if version != self._version:
            before, self._version = self._version, version
            read = dict(zip(pairs[::2], pairs[1::2], strict=True))
            self._known.compare(read, lost=bool(before) and int(version) < int(before))
        return True

    async def _write(self) -> None:
        unwritten = iter(self._known.unwritten().items())
        while batch := dict(islice(unwritten, _BATCH)):
            pairs: list[str | bytes] = [part for pair in batch.items() for part in pair]
            keys = [f"{_KEY}facts", f"{_KEY}version"]
            stands = await self._ask(partial(self._write_script, keys=keys, args=pairs))
            if stands is None:
                return
            self._known.written(batch, stands)

    async def _share_alive(self) -> None:
        if self._alive_unwritten:
            seats, self._alive_unwritten = self._alive_unwritten, set()
            times: dict[Any, Any] = {seat_id: self._alive[seat_id] + self._offset_s for seat_id in seats}
            if await self._ask(partial(self._redis.client.zadd, f"{_KEY}alive", times, gt=True)) is None:
                self._alive_unwritten |= seats

    async def _ask(self, command: Callable[[], Awaitable[Any]]) -> Any:
        """Redis's reply, None without one."""
        if not self._redis.up:
            return None
        try:
            async with within(TIMEOUT_S):
                return await command()
        except ResponseError as error:  # it is up but refuses: out of memory, or not permitted
            self._complain(f"Redis refuses a command of the board: {str(error)[:200]}")
        except (RedisError, OSError, TimeoutError):
            self._redis.seen(False)
        return None

    def _now(self) -> float:
        """The time by Redis's clock."""
        return self._clock.monotonic() + self._offset_s

    def _ahead_s(self) -> float:
        """By how much our wall clock is ahead of Redis's."""
        return self._clock.wall() - self._now()

    def _changed(self, before: Fact | None, fact: Fact) -> None:
        now = self._now()
        if fact.holds(now):
            self._on_fact(fact.shifted(self._ahead_s()))
        elif before is not None and before.holds(now) and (fact.kind, fact.subject) not in self.facts:
            self._on_gone(fact.kind, fact.subject)

    def _complain(self, why: str) -> None:
        if why not in self._complaints and len(self._complaints) < _MAX_COMPLAINTS:
            self._complaints.add(why)
            structlog.get_logger().warning("board", note=why)
