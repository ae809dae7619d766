"""The guards of one attempt, asked in order: may this seat be asked now? What they refuse costs nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from adapters.errors import ProviderError
from router.guards.weather import Block, Weather
from router.registry.model import Seat


@dataclass(slots=True)
class Permit:
    """Leave to make one attempt; it is settled exactly once, whatever came of the attempt."""

    seat: Seat
    _guards: Guards
    _settled: bool = field(default=False)

    def settle(self, error: ProviderError | None, *, leaked: bool = False) -> None:
        """Tells every guard how the attempt ended: None for an answer or for nothing to say."""
        if not self._settled:
            self._settled = True
            self._guards._settle(self.seat, error, leaked)


class Guards:
    """All guards of this process, asked in the order of one attempt."""

    def __init__(self, weather: Weather) -> None:
        self._weather = weather
        self._inflight: dict[str, int] = {}

    def admit(self, seat: Seat) -> Permit | Block:
        """A permit, or why not. Nothing is awaited between the questions, so the answer is atomic in one event loop."""
        block = self.block(seat)
        if block:
            return block
        self._inflight[seat.provider.id] = self._inflight.get(seat.provider.id, 0) + 1
        return Permit(seat, self)

    def block(self, seat: Seat) -> Block | None:
        """Why the seat cannot be asked now, without asking for a permit: what plans are made from."""
        provider = seat.provider
        if provider.missing_env:
            return Block("no-key", f"{', '.join(provider.missing_env)} is not set")
        if not seat.routable:
            return Block("disabled", "switched off in the registry")
        block = self._weather.block(seat)
        if block:
            return block
        if provider.max_inflight is not None and self._inflight.get(provider.id, 0) >= provider.max_inflight:
            return Block("limited", f"{provider.max_inflight} requests are already in flight")
        return None

    def inflight(self, provider: str) -> int:
        """How many attempts are under way at a provider."""
        return self._inflight.get(provider, 0)

    def leaks(self, seat: Seat) -> bool:
        """Whether the seat may only be asked for whole answers."""
        return self._weather.leaks(seat)

    def _settle(self, seat: Seat, error: ProviderError | None, leaked: bool) -> None:
        self._inflight[seat.provider.id] -= 1
        if leaked:
            self._weather.leak(seat)
        if error is not None:
            self._weather.learn(seat, error)
