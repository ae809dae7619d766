"""The daemon's own state for `/readyz`, `/healthz` and `/metrics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client.core import Metric

from router.guards.guards import Guards
from router.http.admin.seat_state import states
from router.http.middleware import Admission
from router.http.server.load_shedding import Gate
from router.observe.metrics import gauge
from router.registry.watch import RegistryHolder
from router.stores.opening import Stores
from router.votelog.writer import VoteLog

_BREAKER: Mapping[str, float] = {"closed": 0.0, "half-open": 1.0, "open": 2.0}
_TROUBLE = ("bad-key", "billing", "model-gone", "failing", "down")  # for operators; spent limits recover by themselves


class Status:
    """Reads the state from the daemon's parts on each call, and keeps none itself."""

    def __init__(
        self,
        *,
        registry: RegistryHolder,
        stores: Stores,
        votes: VoteLog,
        guards: Guards,
        admission: Admission,
        gate: Gate,
    ) -> None:
        self._registry = registry
        self._stores = stores
        self._votes = votes
        self._guards = guards
        self._admission = admission
        self._gate = gate

    def unready(self) -> str | None:
        """Why new requests are not welcome, or None."""
        return "draining" if self._admission.draining else None

    def health(self) -> dict[str, Any]:
        """The state of every part; `status` is `ok` only if no part has a problem."""
        stores, registry, counts = self._stores.state(), self._registry.current, self._votes.counts
        problems = [str(problem) for problem in self._registry.last_error]
        found = Counter(states(self._registry.current, self._guards).values())
        well = found["clear"] and not any(found[state] for state in _TROUBLE)
        up = all(store["up"] for store in stores.values())
        good = up and well and not problems and not counts.lost and not self._gate.shedding
        return {
            "status": "draining" if self._admission.draining else "ok" if good else "degraded",
            "stores": stores,
            "registry": {
                "hash": registry.short_hash,
                "source": registry.source,
                "stale": bool(problems),
                "problems": problems,
                "warnings": list(registry.warnings),
            },
            "models": dict(found),
            "limits": {"degraded": self._guards.ledger.degraded, "local_grants": self._guards.ledger.local_grants},
            "load": self._gate.state(),
            "vote_log": {
                "appended": counts.appended,
                "committed": counts.committed,
                "pending": counts.pending,
                "dead": counts.dead,
                "lost": counts.lost,
            },
        }

    def at_scrape(self) -> Iterable[Metric]:
        """Gauges: metrics that are states, read at each scrape instead of being counted as events."""
        counts, registry = self._votes.counts, self._registry.current
        told = {"appended": counts.appended, "committed": counts.committed, "dead": counts.dead, "lost": counts.lost}
        yield gauge(
            "quorum_vote_log",
            "Rows of the vote log by state.",
            ["state"],
            [([state], float(value)) for state, value in {**told, "spooled": counts.pending}.items()],
        )
        yield gauge("quorum_inflight_requests", "Requests in flight.", [], [([], float(self._admission.inflight))])
        yield gauge("quorum_registry_info", "The registry in force.", ["hash"], [([registry.short_hash], 1.0)])
        yield gauge(
            "quorum_registry_stale",
            "1 while the registry file on disk is invalid and the last valid one stays in force.",
            [],
            [([], float(bool(self._registry.last_error)))],
        )
        yield gauge(
            "quorum_dependency_up",
            "1 while a store answers, else 0.",
            ["name"],
            [([name], float(store["up"])) for name, store in self._stores.state().items()],
        )
        yield gauge(
            "quorum_breaker_state",
            "Circuit breakers: 0 closed, 1 half-open, 2 open.",
            ["provider", "model"],
            [
                ([seat.provider.id, seat.model.id], _BREAKER[self._guards.breakers.state(seat.id)])
                for seat in registry.seats.values()
            ],
        )
        yield gauge(
            "quorum_limit_remaining",
            "Remaining amount of a limit, as this process last knew it.",
            ["provider", "model", "limit"],
            [
                ([seat.provider.id, seat.model.id, limit.name], limit.amount - limit.used)
                for seat in registry.seats.values()
                for limit in self._guards.ledger.left(seat)
            ],
        )
        yield gauge(
            "quorum_provider_state",
            "Models of a provider by state.",
            ["provider", "state"],
            [
                ([provider, state], float(number))
                for (provider, state), number in Counter(
                    (provider, state) for (provider, _), state in states(self._registry.current, self._guards).items()
                ).items()
            ],
        )
