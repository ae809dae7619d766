"""The board: a hash of small facts in Redis that every replica reads within a second, and who does what only one may.

Times on the board are those of Redis's own clock, measured anew at each poll, so that no replica's clock matters.
Whoever calls speaks in its own wall clock.
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
from router.guards.gossip.known import Known
from router.stores.redis import TIMEOUT_S, Redis, within

__all__ = ["Board", "Fact", "FactKind"]

ALIVE_EVERY_S = 20.0
_POLL_S = 0.28
_GATHER_S = 0.02  # what is told in one burst goes out at once
_BEAT_S = 2
_LIVING_S = 10
_ALIVE_KEPT_S = 86400
_BATCH = 500
_MAX_COMPLAINTS = 20
_LUA = {file.stem: file.read_text(encoding="utf-8") for file in (Path(__file__).parent / "lua").glob("board_*.lua")}
_KEY = "quorum:1:{board}:"  # one hash tag, so that a script may touch all of them in a cluster


class Board:
    """What this replica has to tell the others, and what it has heard of them.

    `on_fact` hears of every fact that somebody else told, or that stands against one told here; `on_gone` of every one
    that was withdrawn. A fact ends at its `until` without a word. While Redis is away everything told is kept; when it
    is back, or comes back empty, whatever any replica knows to hold is written again.
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
        self._name = f"{replica} {secrets.token_hex(4)}"  # whoever starts again may have the name of its last life
        self._clock = clock
        self._on_fact = on_fact
        self._on_gone = on_gone
        self._poll_script, self._write_script, self._lease_script, self._leave_script = (
            redis.client.register_script(_LUA[f"board_{name}"]) for name in ("poll", "write", "lease", "leave")
        )
        self._known = Known(self._changed, self._complain)
        self._version = b""  # of the board as last read; empty before
        self._offset_s = clock.wall() - clock.monotonic()  # from our monotonic clock to Redis's; at first a guess
        self._replicas = 1
        self._leases: set[str] = set()
        self._alive: dict[str, float] = {}  # seat id → monotonic time of its last answer, give or take `ALIVE_EVERY_S`
        self._alive_unsaid: set[str] = set()
        self._told = asyncio.Event()
        self._complaints: set[str] = set()

    @property
    def facts(self) -> Mapping[tuple[FactKind, str], Fact]:
        """Every fact that holds now, as last seen; where the breakers of several replicas are open, one of them."""
        ahead_s = self._ahead_s()
        return {(fact.kind, fact.subject): fact.shifted(ahead_s) for fact in self._known.holding(self._now())}

    @property
    def replicas(self) -> int:
        """How many replicas live, this one included, as last seen."""
        return self._replicas

    def tell(self, fact: Fact) -> None:
        """Makes a fact known to all. Never waits; the last word on a subject counts, but no wait is shortened."""
        self._known.put(fit(fact).shifted(-self._ahead_s()), self._now())
        self._told.set()

    def withdraw(self, kind: FactKind, subject: str) -> None:
        """Takes back what is known of a subject, whoever told it; an open breaker only if it is this replica's."""
        self._known.withdraw(kind, subject, self._replica, self._now())
        self._told.set()

    def alive(self, seat_id: str) -> None:
        """A real answer came from this seat just now."""
        now, last = self._clock.monotonic(), self._alive.get(seat_id)
        if last is None or now - last >= ALIVE_EVERY_S:
            self._alive[seat_id] = now
            self._alive_unsaid.add(seat_id)

    async def alive_at(self) -> Mapping[str, float]:
        """When each seat last answered anybody (Unix time in s); while Redis is away, when it last answered us."""
        found = await self._ask(partial(self._redis.client.zrange, f"{_KEY}alive", 0, -1, withscores=True))
        ahead_s, own_ahead_s = self._ahead_s(), self._clock.wall() - self._clock.monotonic()
        times = {member.decode(errors="replace"): at + ahead_s for member, at in found or ()}
        for seat_id, at in self._alive.items():
            times[seat_id] = max(times.get(seat_id, 0.0), at + own_ahead_s)
        return times

    async def lease(self, name: str, ttl_s: float) -> bool:
        """Takes or extends an exclusive lease; everybody has it while Redis is away."""
        ask = partial(self._lease_script, keys=[f"{_KEY}lease:{name}"], args=[self._name, max(1, round(ttl_s * 1000))])
        if await self._ask(ask) == 0:
            self._leases.discard(name)
            return False
        self._leases.add(name)
        return True

    async def learn(self, timeout_s: float = 0.5) -> bool:
        """Reads the whole board, before anybody is answered; False if Redis is away or too slow."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._redis.ping() and await self._poll()
        except TimeoutError:
            return False

    async def run(self) -> None:
        """Reads what is new and writes what was told, until cancelled."""
        while True:
            if await self._poll():
                await self._publish()
                await self._share_alive()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S):
                    await self._told.wait()
            self._told.clear()
            await asyncio.sleep(_GATHER_S)

    async def close(self) -> None:
        """Withdraws this replica's open breakers and gives back its leases; for when `run` has ended."""
        for fact in list(self._known.holding(self._now())):
            if fact.kind == "open" and fact.by == self._replica:
                self.withdraw("open", fact.subject)
        if self._version:
            await self._publish()
        keys = [f"{_KEY}replicas", *(f"{_KEY}lease:{name}" for name in self._leases)]
        await self._ask(partial(self._leave_script, keys=keys, args=[self._name]))

    # --- private -----------------------------------------------------------------------------------------------------

    async def _poll(self) -> bool:
        """Measures Redis's clock, shows that we live, and reads the board if it is another; False without an answer."""
        began = self._clock.monotonic()
        keys = [f"{_KEY}{name}" for name in ("facts", "version", "replicas", "alive")]
        args: list[bytes | str | int] = [self._version, self._name, _BEAT_S, _LIVING_S, _ALIVE_KEPT_S]
        reply = await self._ask(partial(self._poll_script, keys=keys, args=args))
        if reply is None:
            return False
        seconds, micros, version, replicas, *pairs = reply
        offset_s = int(seconds) + int(micros) / 1e6 - (began + self._clock.monotonic()) / 2
        if not self._version:  # what was told so far was told by our own clock
            self._known.shift(offset_s - self._offset_s)
        self._offset_s = offset_s
        self._replicas = max(1, replicas)
        self._known.forget_ended(self._now())
        if version != self._version:
            before, self._version = self._version, version
            read = dict(zip(pairs[::2], pairs[1::2], strict=True))
            self._known.compare(read, lost=bool(before) and int(version) < int(before))
        return True

    async def _publish(self) -> None:
        unsaid = iter(self._known.unsaid().items())
        while batch := dict(islice(unsaid, _BATCH)):
            pairs: list[str | bytes] = [part for pair in batch.items() for part in pair]
            keys = [f"{_KEY}facts", f"{_KEY}version"]
            stands = await self._ask(partial(self._write_script, keys=keys, args=pairs))
            if stands is None:
                return
            self._known.said(batch, stands)

    async def _share_alive(self) -> None:
        if self._alive_unsaid:
            unsaid, self._alive_unsaid = self._alive_unsaid, set()
            times: dict[Any, Any] = {seat_id: self._alive[seat_id] + self._offset_s for seat_id in unsaid}
            if await self._ask(partial(self._redis.client.zadd, f"{_KEY}alive", times, gt=True)) is None:
                self._alive_unsaid |= unsaid

    async def _ask(self, question: Callable[[], Awaitable[Any]]) -> Any:
        """The answer of Redis, None without one."""
        if not self._redis.up:
            return None
        try:
            async with within(TIMEOUT_S):
                return await question()
        except ResponseError as error:  # it is there but refuses, for want of memory or of a permission
            self._complain(f"Redis refuses it: {str(error)[:200]}")
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
