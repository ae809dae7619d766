"""Replicas at one board: what each tells and hears, with clocks that may be a day wrong, and how one dies."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from router.core.clock import Clock
from router.guards.gossip.board import Board, Fact, FactKind
from router.stores.redis import Redis
from tests.support.rim import LIMIT_S

SEAT = "groq/gpt-oss"
FACTS = "quorum:1:{board}:facts"
SOON_S = 1.0
DAY_S = 86400.0


@dataclass(eq=False)
class Replica:
    """A board in use, what it has heard, and how wrong its wall clock is."""

    board: Board
    store: Redis
    name: str
    skew_s: float
    heard: list[Fact] = field(default_factory=list)
    gone: list[tuple[FactKind, str]] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def tell(self, kind: FactKind = "wait", *, for_s: float | None = 60.0, **facts: Any) -> Fact:
        """Tells of a seat, by this replica's own clock."""
        now = time.time() + self.skew_s
        until = None if for_s is None else now + for_s
        usual: dict[str, Any] = {"subject": SEAT, "state": "limited", "reason": "slow down", "mark": "k1"}
        fact = Fact(kind, until=until, at=now, by=self.name, **usual | facts)
        self.board.tell(fact)
        return fact

    def ends_in_s(self, kind: FactKind = "wait", subject: str = SEAT) -> float | None:
        """For how long a fact still holds, by this replica's own clock; None if it does not, or without an end."""
        fact = self.board.facts.get((kind, subject))
        return None if fact is None or fact.until is None else fact.until - time.time() - self.skew_s

    async def pause(self) -> None:
        """Hears and says nothing until `resume`."""
        running = self.tasks.pop(0)
        running.cancel()
        await asyncio.wait([running])

    def resume(self) -> None:
        self.tasks.insert(0, asyncio.create_task(self.board.run()))

    async def die(self) -> None:
        """Ends without a word, as by kill -9."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()
        await self.store.close()

    async def leave(self) -> None:
        """Ends as a daemon does."""
        if self.tasks:
            await self.pause()
            await self.board.close()
        await self.die()


Join = Callable[..., Replica]


@asynccontextmanager
async def replicas(url: str) -> AsyncIterator[Join]:
    """Makes replicas that read the board until the block ends."""
    async with AsyncExitStack() as stack:

        def join(name: str, *, skew_s: float = 0.0, running: bool = True) -> Replica:
            store, heard, gone = Redis(url), list[Fact](), list[tuple[FactKind, str]]()
            board = Board(
                store,
                name,
                Clock(wall=lambda: time.time() + skew_s),
                on_fact=heard.append,
                on_gone=lambda kind, subject: gone.append((kind, subject)),
            )
            replica = Replica(board, store, name, skew_s, heard, gone)
            if running:
                replica.tasks += [asyncio.create_task(board.run()), asyncio.create_task(_ping(store))]
            stack.push_async_callback(replica.leave)
            return replica

        yield join


async def _ping(store: Redis) -> None:
    """What the daemon does beside the board: it finds out when Redis is back."""
    while True:
        await store.ping()
        await asyncio.sleep(0.05)


async def everywhere(those: Iterable[Replica], true: Callable[[Replica], bool], limit_s: float = LIMIT_S) -> None:
    """Waits until something is true of every replica."""
    those = list(those)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while not all(map(true, those)):
                await asyncio.sleep(0.005)
    assert all(map(true, those)), [replica.board.facts for replica in those if not true(replica)]


def near(seconds: float | None, wanted: float) -> bool:
    """Whether a time from now is the one wanted, give or take what a test takes."""
    return seconds is not None and wanted / 2 < seconds <= wanted + 2
