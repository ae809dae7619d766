"""The daemon's metrics: their names and labels. Labels hold configured ids only, so that their number is bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 180)
_OVERHEAD_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)


class Telemetry:
    """All metrics of one daemon, in a registry of their own so that several daemons can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.requests = Counter("quorum_requests", "Finished requests.", ["strategy", "tier", "outcome"], registry=r)
        self.request_seconds = Histogram(
            "quorum_request_duration_seconds",
            "Time from a request's last byte in to its last byte out.",
            ["strategy", "tier"],
            buckets=_SECONDS,
            registry=r,
        )
        self.first_token_seconds = Histogram(
            "quorum_first_token_seconds",
            "Time to the first content of a streamed answer.",
            ["strategy", "tier"],
            buckets=_SECONDS,
            registry=r,
        )
        self.overhead_seconds = Histogram(
            "quorum_overhead_seconds",
            "Time of a request that was not spent waiting for providers.",
            buckets=_OVERHEAD_SECONDS,
            registry=r,
        )
        self.votes = Counter(
            "quorum_votes", "Finished attempts.", ["provider", "model", "role", "outcome", "error_type"], registry=r
        )
        self.vote_seconds = Histogram(
            "quorum_vote_duration_seconds", "Time of one attempt.", ["provider", "model"], buckets=_SECONDS, registry=r
        )
        self.tokens = Counter("quorum_tokens", "Tokens as billed.", ["provider", "model", "direction"], registry=r)
        self.cost_usd = Counter("quorum_cost_usd", "Cost by the registry's prices.", ["provider", "model"], registry=r)
        self.inflight = Gauge("quorum_inflight_requests", "Requests being answered now.", registry=r)
        self.shed = Counter("quorum_shed", "Requests turned away because the daemon was full or draining.", registry=r)
        self.reloads = Counter("quorum_registry_reload", "Registry reloads by result.", ["result"], registry=r)

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
    return _filled(GaugeMetricFamily(name, text, labels=labels), rows)


def counter(name: str, text: str, labels: list[str], rows: Iterable[tuple[list[str], float]]) -> Metric:
    """A counter made at scrape time from rows of label values and a number."""
    return _filled(CounterMetricFamily(name, text, labels=labels), rows)


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, rows: Iterable[tuple[list[str], float]]
) -> GaugeMetricFamily | CounterMetricFamily:
    for labels, value in rows:
        family.add_metric(labels, value)
    return family
