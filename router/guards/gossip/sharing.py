"""Gossip between the guards of this replica and the others': what one replica learns, all know within a second."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import cast

from healthcheck.verdicts import Condition, Verdict
from router.core.block import Block, State
from router.core.clock import Clock
from router.core.events import HoldChanged, HoldKind, Publish, StateChange, VerdictFound, VerdictHeard
from router.core.registry import Provider, Registry
from router.guards.breaker import Breakers
from router.guards.gossip.board import Board, Fact, FactKind
from router.guards.holds import Holds
from router.stores.redis import Redis

_VERDICT_KEPT_S = 31 * 86400.0  # each replica judges for itself whether a verdict is too old
_HOLDS: Mapping[FactKind, HoldKind] = {"wait": "wait", "stop": "stop", "leak": "leak", "drain": "drain"}


class Gossip:
    """Writes on the board what the guards of this process learn, and tells them what other replicas write there.

    A fact carries the `mark` of the address and key it was learned with, and is ignored where another is in use; a
    drain is a person's decision and holds whatever the key. Holds from other replicas are placed in `holds`, their
    verdicts are published as `VerdictHeard`.
    """

    def __init__(
        self,
        redis: Redis,
        replica: str,
        clock: Clock,
        *,
        registry: Callable[[], Registry],
        holds: Holds,
        breakers: Breakers,
        publish: Publish,
    ) -> None:
        self.board = Board(redis, replica, clock, on_fact=self._take, on_gone=self._forget)
        self._replica = replica
        self._clock = clock
        self._registry = registry
        self._holds = holds
        self._breakers = breakers
        self._publish = publish
        self._marks: tuple[str, Mapping[str, str]] = ("", {})  # of the registry with this hash

    def on_hold(self, event: HoldChanged) -> None:
        """A hold was placed, extended or lifted here."""
        if event.kind == "new":
            return
        if event.block is None:
            self.board.withdraw(event.kind, event.subject)
        else:
            block = event.block
            self._tell(event.kind, event.subject, block.state, block.reason, until=block.until)

    def on_state(self, event: StateChange) -> None:
        """A breaker opened or closed here: the replica that probes looks at open seats more often."""
        if event.by != "breaker":
            return
        if event.state == "failing":
            self._tell("open", event.subject, event.state, event.reason, until=event.until)
        else:
            self.board.withdraw("open", event.subject)

    def on_verdict(self, event: VerdictFound) -> None:
        """A probe of this replica has ended."""
        found = event.verdict
        self._tell(
            "verdict",
            found.subject,
            found.verdict,
            found.reason,
            until=found.at + _VERDICT_KEPT_S,
            at=found.at,
            failed_once=found.failed_once,
        )

    def open_seats(self) -> Collection[str]:
        """Seats whose breaker is open or half-open in any replica."""
        elsewhere = {subject for kind, subject in self.board.facts if kind == "open"}
        return elsewhere | self._breakers.open_until().keys()

    def verdicts(self) -> list[Verdict]:
        """Every verdict on the board that is about an address and key in use."""
        facts = [fact for fact in self.board.facts.values() if fact.kind == "verdict"]
        return [_verdict(fact) for fact in facts if fact.mark == self._mark(fact.subject)]

    def _tell(
        self,
        kind: FactKind,
        subject: str,
        state: str,
        reason: str,
        *,
        until: float | None,
        at: float | None = None,
        failed_once: bool = False,
    ) -> None:
        fact = Fact(
            kind=kind,
            subject=subject,
            state=state,
            reason=reason,
            until=until,
            at=self._clock.wall() if at is None else at,
            by=self._replica,
            mark="" if kind == "drain" else self._mark(subject),
            failed_once=failed_once,
        )
        self.board.tell(fact)

    def _take(self, fact: Fact) -> None:
        if fact.kind != "drain" and fact.mark != self._mark(fact.subject):
            return
        if hold := _HOLDS.get(fact.kind):
            self._holds.take(hold, fact.subject, Block(cast("State", fact.state), fact.reason, fact.until))
        elif fact.kind == "verdict":
            self._publish(VerdictHeard(_verdict(fact)))

    def _forget(self, kind: FactKind, subject: str) -> None:
        if hold := _HOLDS.get(kind):
            self._holds.forget(hold, subject)

    def _mark(self, subject: str) -> str:
        registry = self._registry()
        if self._marks[0] != registry.hash:
            self._marks = (registry.hash, {id: mark_of(provider) for id, provider in registry.providers.items()})
        return self._marks[1].get(subject.split("/", 1)[0], "")


def _verdict(fact: Fact) -> Verdict:
    return Verdict(fact.subject, cast("Condition", fact.state), fact.at, fact.reason, failed_once=fact.failed_once)


def mark_of(provider: Provider) -> str:
    """A fingerprint that tells one address and key of a provider from another, and reveals neither."""
    key = provider.api_key.reveal() if provider.api_key else ""
    return hashlib.sha256(f"quorum\0{provider.base_url}\0{key}".encode()).hexdigest()[:16]
