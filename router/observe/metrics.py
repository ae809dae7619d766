"""The daemon's metrics: their names and labels. Labels hold configured ids only, so that their number is bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 180)
_OVERHEAD_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)


class Telemetry:
    """All metrics of one daemon, in a registry of their own so that several daemons can live in one process.

    A metric with labels is called with their values, which are looked up once: `votes("groq", …).inc()`.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Callable[..., Counter]:
            return cache(Counter(name, text, labels, registry=self.registry).labels)

        def seconds(name: str, text: str, *labels: str) -> Callable[..., Histogram]:
            return cache(Histogram(name, text, labels, buckets=_SECONDS, registry=self.registry).labels)

        self.requests = counter("quorum_requests", "Finished requests.", "strategy", "tier", "outcome")
        self.request_seconds = seconds(
            "quorum_request_duration_seconds", "From a request's last byte in to its last byte out.", "strategy", "tier"
        )
        self.first_token_seconds = seconds(
            "quorum_first_token_seconds", "To the first content of a streamed answer.", "strategy", "tier"
        )
        self.overhead_seconds = Histogram(
            "quorum_overhead_seconds",
            "Time of a request that was not spent waiting for providers.",
            buckets=_OVERHEAD_SECONDS,
            registry=self.registry,
        )
        self.votes = counter("quorum_votes", "Finished attempts.", "provider", "model", "role", "outcome", "error_type")
        self.vote_seconds = seconds("quorum_vote_duration_seconds", "Time of one attempt.", "provider", "model")
        self.tokens = counter("quorum_tokens", "Tokens as billed.", "provider", "model", "direction")
        self.cost_usd = counter("quorum_cost_usd", "Cost by the registry's prices.", "provider", "model")
        self.shed = Counter("quorum_shed", "Requests turned away while full or draining.", registry=self.registry)
        self.state_changes = counter("quorum_state_changes", "How often a state came about.", "subject", "state")
        self.reloads = counter("quorum_registry_reload", "Registry reloads by result.", "result")

    def watch(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Adds metrics that are read from the daemon's own state at each scrape."""
        self.registry.register(_AtScrape(collect))

    def render(self) -> bytes:
        """The page of `GET /metrics` in Prometheus' text format."""
        return generate_latest(self.registry)


class _AtScrape(Collector):
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()

    def describe(self) -> Iterable[Metric]:
        return ()  # nothing is collected at registration: the daemon's parts may not be up yet


def gauge(name: str, text: str, labels: list[str], rows: Iterable[tuple[list[str], float]]) -> Metric:
    """A gauge made at scrape time from rows of label values and a number."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family
