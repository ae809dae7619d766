"""The daemon's metrics: their names and labels. Labels hold configured ids only, so that their number is bounded."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 180)
_OVERHEAD_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)


class Count:
    """How often something happened, or how much of it there was."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """So much more."""
        self.value += amount


class Spread:
    """How many values there were up to each of some bounds, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """One value more."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Telemetry(Collector):
    """All metrics of one daemon, in a registry of their own so that several daemons can live in one process.

    A metric with labels is called with their values, which are looked up once: `votes("groq", …).inc()`. Counting is
    plain arithmetic on the event loop's thread, since it is done several times a request; prometheus_client is only
    told of the result, at each scrape.
    """

    def __init__(self) -> None:
        self._at_scrape: list[Callable[[], Iterable[Metric]]] = []
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.requests = self._counter("quorum_requests", "Finished requests.", "strategy", "tier", "outcome")
        self.request_seconds = self._histogram(
            "quorum_request_duration_seconds", "From a request's last byte in to its last byte out.", "strategy", "tier"
        )
        self.first_token_seconds = self._histogram(
            "quorum_first_token_seconds", "To the first content of a streamed answer.", "strategy", "tier"
        )
        self.overhead_seconds = self._histogram(
            "quorum_overhead_seconds",
            "Time of a request that was not spent waiting for providers.",
            bounds=_OVERHEAD_SECONDS,
        )()
        self.votes = self._counter(
            "quorum_votes", "Finished attempts.", "provider", "model", "role", "outcome", "error_type"
        )
        self.vote_seconds = self._histogram("quorum_vote_duration_seconds", "Time of one attempt.", "provider", "model")
        self.tokens = self._counter("quorum_tokens", "Tokens as billed.", "provider", "model", "direction")
        self.cost_usd = self._counter("quorum_cost_usd", "Cost by the registry's prices.", "provider", "model")
        self.shed = self._counter("quorum_shed", "Requests turned away while full or draining.")()
        self.state_changes = self._counter("quorum_state_changes", "How often a state came about.", "subject", "state")
        self.reloads = self._counter("quorum_registry_reload", "Registry reloads by result.", "result")

    def watch(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Adds metrics that are read from the daemon's own state at each scrape."""
        self._at_scrape.append(collect)

    def collect(self) -> Iterator[Metric]:
        """Every metric as it stands now."""
        for collect in self._at_scrape:
            yield from collect()

    def render(self) -> bytes:
        """The page of `GET /metrics` in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Callable[..., Count]:
        made: dict[tuple[str, ...], Count] = {}

        def collect() -> Iterator[Metric]:
            family = CounterMetricFamily(name, text, labels=labels)
            for values, count in made.items():
                family.add_metric(values, count.value)
            yield family

        self.watch(collect)
        return cache(lambda *values: made.setdefault(values, Count()))

    def _histogram(
        self, name: str, text: str, *labels: str, bounds: tuple[float, ...] = _SECONDS
    ) -> Callable[..., Spread]:
        made: dict[tuple[str, ...], Spread] = {}
        words = [*map(floatToGoString, bounds), "+Inf"]

        def collect() -> Iterator[Metric]:
            family = HistogramMetricFamily(name, text, labels=labels)
            for values, spread in made.items():
                buckets = list(zip(words, accumulate(spread.counts), strict=True))
                family.add_metric(values, buckets, spread.sum)
            yield family

        self.watch(collect)
        return cache(lambda *values: made.setdefault(values, Spread(bounds)))


def gauge(name: str, text: str, labels: list[str], rows: Iterable[tuple[list[str], float]]) -> Metric:
    """A gauge made at scrape time from rows of label values and a number."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family
