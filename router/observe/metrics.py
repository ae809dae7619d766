"""The daemon's Prometheus metrics: names, labels and buckets.

Labels hold only ids from the registry and words from fixed lists, so that the number of time series is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 180)
_OVERHEAD_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)


class Metrics:
    """All metrics of one daemon, in a collector registry of their own, so that one process can hold several daemons.

    A metric with labels is a function of their values that caches its child: `votes("groq", …).inc()` costs one lookup.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Callable[..., Counter]:
            return cache(Counter(name, text, labels, registry=self.registry).labels)

        def seconds(name: str, text: str, *labels: str) -> Callable[..., Histogram]:
            return cache(Histogram(name, text, labels, buckets=_SECONDS, registry=self.registry).labels)

        self.requests = counter("quorum_requests", "Finished requests.", "strategy", "tier", "outcome")
        self.request_seconds = seconds(
            "quorum_request_duration_seconds",
            "From a request's last byte in to its answer's last byte out.",
            "strategy",
            "tier",
        )
        self.first_token_seconds = seconds(
            "quorum_first_token_seconds",
            "From the start of a request to the first token of its answer.",
            "strategy",
            "tier",
        )
        self.overhead_seconds = Histogram(
            "quorum_overhead_seconds",
            "Time of a request that was not spent waiting for providers.",
            buckets=_OVERHEAD_SECONDS,
            registry=self.registry,
        )
        self.votes = counter(
            "quorum_votes", "Finished attempts (votes).", "provider", "model", "role", "outcome", "error_type"
        )
        self.vote_seconds = seconds("quorum_vote_duration_seconds", "Duration of one attempt.", "provider", "model")
        self.tokens = counter("quorum_tokens", "Tokens, as billed.", "provider", "model", "direction")
        self.cost_usd = counter("quorum_cost_usd", "Cost in US dollars, by the registry's prices.", "provider", "model")
        self.shed = Counter(
            "quorum_shed", "Requests rejected while the daemon is overloaded or draining.", registry=self.registry
        )
        self.state_changes = counter(
            "quorum_state_changes", "Changes of a provider's or model's state, by the new state.", "subject", "state"
        )
        self.reloads = counter("quorum_registry_reload", "Registry reloads, by result.", "result")

    def watch(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Adds metrics that are read from the daemon's state at each scrape, by calling `collect`."""
        self.registry.register(_AtScrape(collect))

    def render(self) -> bytes:
        """The body of `GET /metrics`, in Prometheus' text format."""
        return generate_latest(self.registry)


class _AtScrape(Collector):
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()

    def describe(self) -> Iterable[Metric]:
        return ()  # else registration itself would collect, before the daemon's parts are up


def gauge(name: str, text: str, labels: list[str], rows: Iterable[tuple[list[str], float]]) -> Metric:
    """A gauge for one scrape, from rows of label values with a number each."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family
