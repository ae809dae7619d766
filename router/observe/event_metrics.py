"""Metrics from events: each vote, request, change of state and reload is counted once."""

from __future__ import annotations

from router.core.decision import RequestEnded
from router.core.events import RegistryReloaded, StateChange
from router.core.vote import Vote
from router.observe.events import Hub
from router.observe.metrics import Metrics


class EventMetrics:
    """Updates the daemon's metrics from its events."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def subscribe(self, events: Hub) -> None:
        """Subscribes to the events of the methods below."""
        events.subscribe(Vote, self.vote)
        events.subscribe(RequestEnded, self.request)
        events.subscribe(StateChange, self.state_change)
        events.subscribe(RegistryReloaded, self.reload)

    def vote(self, vote: Vote) -> None:
        """One attempt has ended."""
        metrics, provider, model = self._metrics, vote.seat.provider.id, vote.seat.model.id
        metrics.votes(provider, model, vote.role, vote.outcome, vote.error_type or "").inc()
        metrics.vote_seconds(provider, model).observe(vote.duration_ms / 1000)
        for direction, tokens in (("input", vote.usage.input_tokens), ("output", vote.usage.output_tokens)):
            if tokens:
                metrics.tokens(provider, model, direction).inc(tokens)
        if vote.cost_usd:
            metrics.cost_usd(provider, model).inc(vote.cost_usd)

    def request(self, ended: RequestEnded) -> None:
        """One request has ended, whatever its outcome."""
        metrics, options, first_token_ms = self._metrics, ended.decision.plan.options, ended.first_token_ms
        metrics.requests(options.strategy, options.tier, ended.outcome).inc()
        metrics.request_seconds(options.strategy, options.tier).observe(ended.duration_ms / 1000)
        metrics.overhead_seconds.observe(ended.overhead_ms / 1000)
        if first_token_ms is not None:
            metrics.first_token_seconds(options.strategy, options.tier).observe(first_token_ms / 1000)

    def state_change(self, change: StateChange) -> None:
        """The state of a provider or model has changed."""
        self._metrics.state_changes(change.subject, change.state).inc()

    def reload(self, reloaded: RegistryReloaded) -> None:
        """The registry was reloaded."""
        self._metrics.reloads(reloaded.status).inc()
