"""Patience for busy machines: what production does without after a moment, a test waits for.

A Redis that has not answered for a quarter of a second is taken for one that is away, and a test of something else
would then see a daemon that manages without it. Tests of these very bounds set `patience_s` to None.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from router.stores import redis

_WITHIN = (
    "router.stores.redis.within",
    "router.guards.gossip.board.within",
    "router.guards.limits.redis_counters.within",
)
_BOUNDS = ("router.daemon.guarding._LEARN_S", "router.guards.limits.counter_recovery.WAIT_S")


@pytest.fixture
def patience_s() -> float | None:
    """For how long stores are waited for; None as long as in production."""
    return 20.0


@pytest.fixture
def patience(patience_s: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits longer for stores that are there; one that is away is noticed as soon as ever."""
    if patience_s is None:
        return
    within, client = redis.within, redis.client

    def patient(timeout_s: float) -> AbstractAsyncContextManager[None]:
        return within(max(timeout_s, patience_s))

    for name in _WITHIN:
        monkeypatch.setattr(name, patient)
    for name in _BOUNDS:
        monkeypatch.setattr(name, patience_s)
    monkeypatch.setattr(redis, "client", partial(client, timeout_s=patience_s))
