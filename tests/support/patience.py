"""Longer time-outs for stores, so that a busy machine does not look like an outage.

In production a Redis that is silent for a quarter of a second counts as away, and a test of something else would then
see a daemon that goes on without it. Tests of these very time-outs set `patience_s` to None.
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
    """Seconds to wait for a store; None for the time-outs of production."""
    return 20.0


@pytest.fixture
def patience(patience_s: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits longer for a store that is slow; one that is gone is still noticed at once."""
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
