"""The health monitor's probes, made as attempts like any other: behind the same guards, recorded as votes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from adapters.errors import ErrorKind, ProviderError
from adapters.types import Delta
from healthcheck.subjects import Subject, SubjectLimit
from healthcheck.verdicts import PROBE, ProbeResult, judge
from router.attempts.attempt import Attempt, Attempts, masked
from router.core.clock import Clock
from router.core.context import Options, RequestContext
from router.core.ids import new_id
from router.core.registry import Limit, Registry, Seat
from router.core.sink import Speaker
from router.guards.guards import Guards
from router.upstream.model_catalogue import list_models
from router.upstream.transport import Transport

_PERIOD_S = {"minute": 60.0, "day": 86400.0, "month": 31 * 86400.0}


class Probing:
    """Makes the monitor's calls. Each generation is a vote with the role `probe`, charged to the same limits as all."""

    def __init__(
        self,
        *,
        registry: Callable[[], Registry],
        guards: Guards,
        attempts: Attempts,
        transport: Transport,
        mask: Callable[[str], str],
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._guards = guards
        self._attempts = attempts
        self._transport = transport
        self._mask = mask
        self._clock = clock

    def subjects(self) -> Iterator[Subject]:
        """Every model of the registry in force, with the limits that its probes are charged to."""
        for seat in self._registry().seats.values():
            health = seat.provider.health
            yield Subject(
                id=seat.id,
                provider=seat.provider.id,
                mode=health.mode,
                interval_s=health.interval_s,
                probe_share=health.probe_share,
                limits=(
                    *(_limit(limit, shared=False) for limit in seat.model.limits),
                    *(_limit(limit, shared=limit.scope == "account") for limit in seat.provider.limits),
                ),
                eligible=self._is_eligible(seat),
            )

    async def probe(self, seat_id: str) -> ProbeResult:
        """Asks a model for its OK, as a stream, so that leaking reasoning is found before a caller sees any."""
        registry, now = self._registry(), self._clock.monotonic()
        seat = registry.seats[seat_id]
        leaked_before = self._guards.leaks(seat)
        context = RequestContext(
            id=new_id(self._clock),
            api="probe",
            created_at=self._clock.wall(),
            began=now,
            deadline=now + seat.timeouts.total_s,
            registry=registry,
            options=Options(registry.default_strategy, seat.tier, pinned=seat.id),
        )
        attempt = Attempt(
            context=context,
            seq=1,
            role="probe",
            seat=seat,
            request=PROBE,
            deadline=context.deadline,
            deliver=_to_nobody,
        )
        vote = await self._attempts.run(attempt)
        if vote.outcome == "refused" or (vote.answer is None and vote.error is None):
            return ProbeResult(None, vote.error.message if vote.error else "not asked")
        return judge(vote.answer or _failure(vote.error), leaked=self._guards.leaks(seat) and not leaked_before)

    async def list_models(self, provider_id: str) -> frozenset[str] | ProviderError:
        """The models that a provider lists, by their ids in the registry, or why it does not list any."""
        registry = self._registry()
        seats = [seat for seat in registry.seats.values() if seat.provider.id == provider_id]
        if not seats:
            return ProviderError(ErrorKind.INVALID_REQUEST, "the provider is no longer in the registry")
        listed = await list_models(seats[0].target, self._transport)
        if isinstance(listed, ProviderError):
            refusal = masked(listed, self._mask)
            self._guards.holds.learn(seats[0], refusal)
            return refusal
        return frozenset(seat.model.id for seat in seats if listed.has(seat.target.model))

    def _is_eligible(self, seat: Seat) -> bool:
        block = self._guards.holds.block(seat)
        return seat.routable and (block is None or block.state == "new")


async def _to_nobody(delta: Delta, speaker: Speaker) -> bool:
    return False


def _failure(error: ProviderError | None) -> ProviderError:
    assert error is not None
    return error


def _limit(limit: Limit, *, shared: bool) -> SubjectLimit:
    return SubjectLimit(limit.unit, limit.amount, _PERIOD_S[limit.per], shared)
