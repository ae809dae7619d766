"""Metrics: counters fed by events, and gauges read from the daemon's state at each scrape."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from router.observe.metrics import Metrics, gauge


def test_a_metric_with_labels_is_a_function_of_their_values() -> None:
    metrics = Metrics()
    for outcome in ("ok", "failed", "ok"):
        metrics.requests("council", "cheap", outcome).inc()
    assert metrics.requests("council", "cheap", "ok") is metrics.requests("council", "cheap", "ok")
    page = metrics.render().decode()
    assert 'quorum_requests_total{outcome="ok",strategy="council",tier="cheap"} 2.0' in page
    assert 'quorum_requests_total{outcome="failed",strategy="council",tier="cheap"} 1.0' in page


def test_a_watched_state_is_read_at_each_scrape_and_not_before() -> None:
    metrics, looks = Metrics(), list[int]()

    def collect() -> Iterator[Metric]:
        looks.append(1)
        yield gauge("quorum_dependency_up", "Whether a store answers.", ["name"], [(["redis"], float(len(looks)))])

    metrics.watch(collect)
    assert looks == []
    for scrape in (1, 2):
        assert f'quorum_dependency_up{{name="redis"}} {scrape}.0' in metrics.render().decode()


def test_two_daemons_in_one_process_do_not_share_their_metrics() -> None:
    one, other = Metrics(), Metrics()
    one.shed.inc()
    assert "quorum_shed_total 1.0" in one.render().decode()
    assert "quorum_shed_total 0.0" in other.render().decode()
