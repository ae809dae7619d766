"""Between this replica's guards and the others': what one has learned of a provider, all know within a second."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import cast

from healthcheck.verdicts import Condition, Verdict
from router.core.block import Block, State
from router.core.clock import Clock
from router.core.events import StateChange
from router.core.registry import Provider, Registry
from router.guards.breaker import Breakers
from router.guards.gossip.board import Board, Fact, FactKind
from router.guards.holds import HoldKind, Weather
from router.stores.redis import Redis

_VERDICT_KEPT_S = 31 * 86400.0  # whoever hears of it judges for itself whether it is too old
_HOLDS: frozenset[FactKind] = frozenset({"wait", "stop", "leak", "drain"})


class Sharing:
    """Tells the board what the guards of this process have learned, and the guards what the board says.

    A fact carries the `mark` of the address and key it was learned with; where another is in use it says nothing. A
    drain is a person's word and holds whatever the key.
    """

    def __init__(self, redis: Redis, replica: str, clock: Clock, registry: Callable[[], Registry]) -> None:
        self.board = Board(redis, replica, clock, on_fact=self._take, on_gone=self._forget)
        self._replica = replica
        self._clock = clock
        self._registry = registry
        self._weather: Weather | None = None
        self._breakers: Breakers | None = None
        self.hear: Callable[[Verdict], None] = lambda verdict: None  # who takes other replicas' verdicts
        self._marks: tuple[str, Mapping[str, str]] = ("", {})  # of the registry with this hash

    def connect(self, weather: Weather, breakers: Breakers, hear: Callable[[Verdict], None]) -> None:
        """Whom to tell; before this nothing is taken from the board."""
        self._weather, self._breakers, self.hear = weather, breakers, hear

    def tell(self, kind: HoldKind, subject: str, block: Block | None) -> None:
        """What the weather of this process has learned, or with None that it is over."""
        if kind == "new":
            return
        if block is None:
            self.board.withdraw(kind, subject)
        else:
            self._tell(kind, subject, block.state, block.reason, block.until)

    def tell_breaker(self, change: StateChange) -> None:
        """A breaker of this process opened or closed: the one who probes looks at open seats more often."""
        if change.state == "failing":
            self._tell("open", change.subject, change.state, change.reason, change.until)
        else:
            self.board.withdraw("open", change.subject)

    def tell_verdict(self, verdict: Verdict) -> None:
        """What this replica's probe found."""
        self._passed(verdict)
        until = verdict.at + _VERDICT_KEPT_S
        self._tell("verdict", verdict.subject, verdict.verdict, verdict.reason, until, at=verdict.at)

    def open_seats(self) -> Collection[str]:
        """Seats whose breaker is open in some replica."""
        elsewhere = {subject for kind, subject in self.board.facts if kind == "open"}
        return elsewhere | (self._breakers.open_until().keys() if self._breakers else set())

    def verdicts(self) -> list[Verdict]:
        """Every verdict on the board, as far as it is of the addresses and keys in use."""
        facts = [fact for fact in self.board.facts.values() if fact.kind == "verdict"]
        return [_verdict(fact) for fact in facts if fact.mark == self._mark(fact.subject)]

    def _tell(
        self, kind: FactKind, subject: str, state: str, reason: str, until: float | None, at: float | None = None
    ) -> None:
        now = self._clock.wall() if at is None else at
        fact = Fact(
            kind=kind,
            subject=subject,
            state=state,
            reason=reason,
            until=until,
            at=now,
            by=self._replica,
            mark="" if kind == "drain" else self._mark(subject),
        )
        self.board.tell(fact)

    def _take(self, fact: Fact) -> None:
        if fact.kind != "drain" and fact.mark != self._mark(fact.subject):
            return
        if fact.kind in _HOLDS and self._weather:
            block = Block(cast("State", fact.state), fact.reason, fact.until)
            self._weather.take(cast("HoldKind", fact.kind), fact.subject, block)
        elif fact.kind == "verdict":
            verdict = _verdict(fact)
            self.hear(verdict)
            self._passed(verdict)

    def _forget(self, kind: FactKind, subject: str) -> None:
        if kind in _HOLDS and self._weather:
            self._weather.forget(cast("HoldKind", kind), subject)

    def _passed(self, verdict: Verdict) -> None:
        passed = verdict.verdict in ("healthy", "degraded") and not verdict.failed_once
        if passed and self._weather and self._breakers:
            self._weather.proven(verdict.subject)
            self._breakers.bring_forward(verdict.subject, "its last probe passed")

    def _mark(self, subject: str) -> str:
        registry = self._registry()
        if self._marks[0] != registry.hash:
            self._marks = (registry.hash, {id: mark_of(provider) for id, provider in registry.providers.items()})
        return self._marks[1].get(subject.split("/", 1)[0], "")


def _verdict(fact: Fact) -> Verdict:
    return Verdict(fact.subject, cast("Condition", fact.state), fact.at, fact.reason)


def mark_of(provider: Provider) -> str:
    """Tells one address and key of a provider from another, and neither from the mark."""
    key = provider.api_key.reveal() if provider.api_key else ""
    return hashlib.sha256(f"quorum\0{provider.base_url}\0{key}".encode()).hexdigest()[:16]
