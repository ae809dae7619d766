"""What a replica makes of what it knows and of what it reads, in the moments that no test with a real Redis can hit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from router.guards.gossip.facts import Fact, encode
from router.guards.gossip.known import KnownFacts

NOW = 1000.0


@pytest.fixture
def heard() -> list[tuple[Fact | None, Fact]]:
    return []


@pytest.fixture
def known(heard: list[tuple[Fact | None, Fact]]) -> Iterator[KnownFacts]:
    troubles: list[str] = []
    yield KnownFacts(lambda before, after: heard.append((before, after)), troubles.append)
    assert troubles == []


def wait(until: float = NOW + 60, at: float = NOW, by: str = "r1") -> Fact:
    return Fact("wait", "groq/gpt-oss", "limited", "slow down", until, at, by)


def board(*facts: Fact) -> dict[bytes, bytes]:
    return {fact.field.encode(): encode(fact) for fact in facts}


def test_what_is_told_anew_while_redis_is_being_told_is_told_too(known: KnownFacts) -> None:
    known.put(wait(), NOW)
    told = known.unwritten()
    known.put(wait(until=NOW + 90, at=NOW + 1), NOW + 1)
    known.written(told, told.values())
    assert list(known.unwritten().values()) == [encode(wait(until=NOW + 90, at=NOW + 1))]
    known.written(known.unwritten(), known.unwritten().values())
    assert known.unwritten() == {}


def test_what_cannot_be_told_is_told_later_in_the_same_words(known: KnownFacts) -> None:
    known.put(wait(), NOW)
    first = known.unwritten()
    known.compare({}, lost=True)
    assert known.unwritten() == first


def test_what_has_ended_before_it_could_be_told_is_not_told(known: KnownFacts) -> None:
    known.put(wait(until=NOW + 5), NOW)
    known.forget_ended(NOW + 5)
    assert known.unwritten() == {}
    assert list(known.holding(NOW)) == []


def test_what_others_told_is_heard_once_and_what_is_missing_told_again(
    known: KnownFacts, heard: list[tuple[Fact | None, Fact]]
) -> None:
    theirs = wait(by="r2")
    for _ in range(2):
        known.compare(board(theirs), lost=False)
    assert heard == [(None, theirs)]
    known.compare({}, lost=False)
    assert known.unwritten() == {theirs.field: encode(theirs)}


def test_a_withdrawal_answers_what_was_seen_and_is_said_once(known: KnownFacts) -> None:
    known.compare(board(wait(at=NOW + 5, by="r2")), lost=False)  # by a clock that is ahead of ours
    for _ in range(2):
        known.withdraw("wait", "groq/gpt-oss", "r1", NOW)
    (text,) = known.unwritten().values()
    assert list(known.holding(NOW)) == []
    known.written(known.unwritten(), [text])
    known.withdraw("wait", "groq/gpt-oss", "r1", NOW)
    assert known.unwritten() == {}


def test_a_wait_that_nobody_knows_of_needs_no_withdrawal_but_a_stop_may_be_there(known: KnownFacts) -> None:
    known.withdraw("wait", "groq/gpt-oss", "r1", NOW)
    assert known.unwritten() == {}
    known.withdraw("stop", "groq", "r1", NOW)
    assert list(known.unwritten()) == ["stop groq"]
