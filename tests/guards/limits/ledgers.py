"""What tests of the ledger share: seats with limits, a vote log of their own, ledgers that are closed in the end."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from adapters.types import NO_USAGE, LimitsSeen, Usage
from router.core.block import Block
from router.core.clock import SYSTEM_CLOCK, Clock
from router.core.registry import Limit, Seat
from router.guards.limits.counter_recovery import AskLog
from router.guards.limits.counters import Need, WindowOf
from router.guards.limits.ledger import Ledger, Reservation
from router.guards.limits.windows import LimitWindow, rolling, window_of
from router.stores.errors import StoreDown
from router.stores.redis import Redis
from router.votelog.queries import SpentInPeriod
from tests.support.rim import LIMIT_S
from tests.support.small_registry import registry

SMALL = Need(tokens=10, usd_micros=0)
UTC_DAY = 'resets: "00:00 UTC"'


def seat(limits: str, **more: str) -> Seat:
    """A seat of provider `acme` with these limits, as the registry has them: `requests: 30, per: minute; ...`."""
    return seats(limits, **more)[0]


def seats(
    limits: str, *, of_model: str = "", price: str = "", on_store_down: str = "local_share", provider: str = "acme"
) -> tuple[Seat, Seat]:
    """Two seats of one provider, `small` and `large`."""
    priced = f", price: {{{price}}}" if price else ""
    model = f"{{tier: cheap, limits: [{_limits(of_model)}]{priced}}}"
    home = registry(
        "version: 1\n"
        "defaults: {strategy: single-query, tier: cheap}\n"
        "tiers:\n  cheap: {council_size: 3, first_token: 5s, total: 10s}\n"
        f"providers:\n  {provider}:\n    adapter: openai\n    api_key: ${{KEY}}\n"
        f"    on_store_down: {on_store_down}\n    limits: [{_limits(limits)}]\n"
        f"    models:\n      small: {model}\n      large: {model}\n"
    )
    return home.seats[f"{provider}/small"], home.seats[f"{provider}/large"]


def _limits(text: str) -> str:
    return ", ".join(f"{{{limit}}}" for limit in text.split(";") if limit)


def scaled(minute_s: float) -> WindowOf:
    """Windows in which a minute takes only so many seconds, and the jitter of two seconds as much less."""

    def window(limit: Limit) -> LimitWindow:
        return rolling(minute_s, minute_s / 30) if limit.per == "minute" else window_of(limit)

    return window


@dataclass
class LogBook:
    """A vote log in memory, which may be away, or slow as long as `let` is not set. `asked` counts how often it was."""

    rows: list[tuple[datetime, str, str, int]] = field(default_factory=list)  # when, provider, model, tokens
    away: bool = False
    let: asyncio.Event | None = None
    asked: int = 0

    def sent(self, at: datetime, *, model: str = "small", provider: str = "acme", tokens: int = 10) -> None:
        self.rows.append((at, provider, model, tokens))

    async def spent(
        self, provider: str, model: str | None, since: datetime, width: timedelta
    ) -> Sequence[SpentInPeriod]:
        self.asked += 1
        if self.let is not None:
            await self.let.wait()
        if self.away:
            raise StoreDown("the vote log is away")
        found: dict[datetime, list[int]] = {}
        for at, of, served, tokens in self.rows:
            if of == provider and model in (None, served) and at >= since:
                found.setdefault(since + (at - since) // width * width, []).append(tokens)
        return [SpentInPeriod(begins, len(each), sum(each), 0.0) for begins, each in found.items()]


@dataclass
class Replica:
    """One ledger with its own client, and what it had to say."""

    ledger: Ledger
    redis: Redis
    log: LogBook
    faults: list[str]

    async def reserve(self, seat: Seat, need: Need = SMALL, rid: str | None = None) -> Reservation | Block:
        return await self.ledger.reserve(seat, need, rid or secrets.token_hex(8))

    async def granted(self, seat: Seat, need: Need = SMALL, rid: str | None = None) -> Reservation:
        """A reservation that must be had."""
        given = await self.reserve(seat, need, rid)
        assert isinstance(given, Reservation), given
        return given

    async def refused(self, seat: Seat, need: Need = SMALL) -> Block:
        """A refusal that must come."""
        given = await self.reserve(seat, need)
        assert isinstance(given, Block), given
        return given

    async def admitted(self, seat: Seat, calls: int, *, at_once: int = 8) -> int:
        """How many of so many calls get through."""
        waiting = iter(range(calls))

        async def caller() -> int:
            return sum([isinstance(await self.reserve(seat), Reservation) for _ in waiting])

        return sum(await asyncio.gather(*(caller() for _ in range(at_once))))

    def settle(
        self,
        reservation: Reservation,
        *,
        sent: bool = True,
        usage: Usage = NO_USAGE,
        cost_usd: float | None = None,
        seen: LimitsSeen = (),
    ) -> None:
        self.ledger.settle(reservation, sent=sent, usage=usage, cost_usd=cost_usd, seen=seen)

    def used(self, seat: Seat, name: str) -> float:
        """How much of a limit is used, as this replica knows it."""
        return next(limit.used for limit in self.ledger.left(seat) if limit.name == name)

    async def looked(self, seat: Seat, name: str) -> float:
        """How much of a limit is used, as Redis knows it."""
        await self.ledger.look([seat])
        return self.used(seat, name)

    async def comes_to(self, seat: Seat, name: str, used: float, limit_s: float = LIMIT_S) -> bool:
        """Waits until so much of a limit is used, as Redis knows it; raises `TimeoutError` if that does not come."""
        async with asyncio.timeout(limit_s):
            while await self.looked(seat, name) != used:
                await asyncio.sleep(0.005)
        return True


@asynccontextmanager
async def replica(
    redis_url: str,
    log: LogBook | None = None,
    *,
    ask_log: AskLog | None = None,
    clock: Clock = SYSTEM_CLOCK,
    replicas: int = 1,
    window: WindowOf = window_of,
) -> AsyncIterator[Replica]:
    """A ledger of its own on a Redis, which is asked once whether it is there."""
    redis, book, faults = Redis(redis_url), log or LogBook(), list[str]()
    await redis.ping()
    ledger = Ledger(
        redis, ask_log or book.spent, clock, replicas=lambda: replicas, on_fault=faults.append, window=window
    )
    try:
        yield Replica(ledger, redis, book, faults)
    finally:
        await ledger.close()
        await redis.close()
