"""Log lines from events: one structured line per request and per change of state."""

from __future__ import annotations

import structlog

from router.core.decision import RequestEnded
from router.core.events import RegistryReloaded, SheddingChanged, StateChange, StoreChanged
from router.core.vote import Vote
from router.observe.events import Hub
from router.observe.model_mismatch import is_rerouted


class EventLog:
    """Writes a line for each event that an operator may want to read about."""

    def __init__(self) -> None:
        self._say = structlog.get_logger().bind()  # once, since binding costs more than writing a line
        self._rerouted: dict[str, str | None] = {}  # seat id → the other model that answered last

    def subscribe(self, events: Hub) -> None:
        """Subscribes to the events of the methods below."""
        events.subscribe(Vote, self.vote)
        events.subscribe(RequestEnded, self.request)
        events.subscribe(StateChange, self.state_change)
        events.subscribe(StoreChanged, self.store)
        events.subscribe(SheddingChanged, self.shedding)
        events.subscribe(RegistryReloaded, self.reload)

    def vote(self, vote: Vote) -> None:
        """Warns when a seat answers with another model than the one asked for; once per other model."""
        if vote.outcome != "ok":
            return
        seat, other = vote.seat, vote.response_model
        if other == seat.model.id or not is_rerouted(seat.model.id, other):
            other = None
        if other is not None and other != self._rerouted.get(seat.id):
            self._say.warning("rerouted", asked=seat.id, served=other)
        self._rerouted[seat.id] = other

    def request(self, ended: RequestEnded) -> None:
        """The line of one request."""
        decision = ended.decision
        winner, options = decision.choice.winner, decision.plan.options
        self._say.info(
            "request",
            request_id=ended.context.id,
            status=ended.http_status,
            outcome=ended.outcome,
            strategy=options.strategy,
            tier=options.tier,
            provider=winner.seat.provider.id if winner else None,
            model=winner.response_model if winner else None,
            attempts=len(decision.votes),
            error_type=decision.choice.error.kind if decision.choice.error else None,
            ms=round(ended.duration_ms),
            cost_usd=decision.spent.cost_usd,
        )

    def state_change(self, change: StateChange) -> None:
        """The state of a provider or model has changed; a loud change is a warning."""
        tell = self._say.warning if change.loud else self._say.info
        tell("weather", subject=change.subject, state=change.state, reason=change.reason, until=change.until)

    def store(self, change: StoreChanged) -> None:
        """A store has gone down or come back."""
        tell = self._say.info if change.up else self._say.warning
        tell("store", store=change.store, up=change.up, why=change.why or None)

    def shedding(self, change: SheddingChanged) -> None:
        """Load shedding begins or is over; two lines per overload, none per rejected request."""
        self._say.warning(
            "shedding",
            state="begins" if change.lasted_s is None else "over",
            reason=change.reason,
            refused=change.refused,
            lag_ms=round(change.lag_s * 1000),
            memory_share=round(change.memory_share, 3),
            lasted_s=change.lasted_s,
        )

    def reload(self, reloaded: RegistryReloaded) -> None:
        """The result of a registry reload: one line, or one for each error."""
        registry = reloaded.registry.short_hash
        match reloaded.status:
            case "swapped":
                self._say.info("registry_swapped", registry=registry, changes=list(reloaded.changes))
            case "unchanged":
                self._say.info("registry_unchanged", registry=registry)
            case "failed":
                for error in reloaded.errors:
                    self._say.error("registry_refused", problem=error, registry=registry)
