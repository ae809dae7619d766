"""One request to one provider: who may not pass, what was asked, and the answer in the provider's wire."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from router.simulator.conversation import Ask, Reply, respond
from router.simulator.delivery import Answer, Clock
from router.simulator.limits import Limits
from router.simulator.providers import Provider
from router.simulator.seen import Seen
from router.simulator.weather import Fault, Spell, WeatherScript
from router.simulator.wire import Incoming, Invalid, Problem, Refusal, Stamp, is_good_key

# No reason to refuse a listing of models.
ABOUT_ONE_REQUEST = (Fault.MODEL_GONE, Fault.NO_ACCESS, Fault.CONTEXT_LENGTH, Fault.CONTENT_FILTER, Fault.PENDING)
REFUSED_BY_LIMIT = {"minute": Fault.RATE_LIMITED, "day": Fault.QUOTA_DAY}


@dataclass(slots=True)
class State:
    """What one simulator knows: its weather and since when, its counters, and what it has been asked."""

    weather: WeatherScript
    seed: int
    clock: Clock
    keys: Mapping[str, str]
    pace_s: float
    limits: Limits = field(init=False)
    seen: Seen = field(default_factory=Seen)
    since: float = field(init=False)
    ordinals: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.limits = Limits(self.clock.now, self.clock.wall)
        self.since = self.clock.now()

    def set_weather(self, script: WeatherScript) -> None:
        """Changes the weather; `after_s` counts from now."""
        self.weather = script
        self.since = self.clock.now()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request to one provider, with the weather over it."""

    state: State
    provider: Provider
    request: web.Request
    incoming: Incoming
    stamp: Stamp
    spell: Spell

    def refused(self, fault: Fault, *, wait_s: float | None = None, invalid: Invalid | None = None) -> Refusal | None:
        """The provider's words for a refusal, or None where it has none outside a success."""
        return self.provider.wire.refuse(Problem(fault, self.stamp, wait_s, invalid))

    def barred(self, *, keyless: bool = False) -> Refusal | None:
        """The refusal of a request nobody has read yet: weather, then key unless none is needed, then limits."""
        fault = self.spell.kind.fault
        about_this = self.request.method == "POST" or fault not in ABOUT_ONE_REQUEST
        if fault is not None and about_this and (refusal := self.refused(fault, wait_s=self.spell.wait_s)):
            return refusal
        key, only = self.provider.wire.key(self.incoming), self.state.keys.get(self.provider.name)
        if not keyless and not key:
            return self.refused(Fault.NO_KEY)
        if not keyless and (key != only if only else not is_good_key(key)):
            return self.refused(Fault.BAD_KEY)
        standing = self.stamp.standing
        if standing.refused is None:
            return None
        wait_s = standing.minute_resets_s if standing.refused == "minute" else standing.day_resets_s
        return self.refused(REFUSED_BY_LIMIT[standing.refused], wait_s=wait_s)

    def replied(self) -> tuple[Ask, Reply]:
        """What was asked, and what the model says to it under this weather. Raises Invalid."""
        try:
            ask = self.provider.wire.parse(self.incoming)
            reply = respond(ask, provider=self.provider.name, seed=self.state.seed)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            # A field of the wrong type where no check looks: every provider answers this with a 400 of some kind.
            raise Invalid("The request has a field of the wrong type.") from error
        alter = self.spell.kind.alter
        return ask, alter(reply, self.spell) if alter else reply

    def answer(self, ask: Ask, reply: Reply) -> Answer:
        """The answer in the provider's wire."""
        wire, headers = self.provider.wire, self.provider.wire.headers(self.stamp)
        trouble = Problem(Fault.SERVER_ERROR, self.stamp)
        if ask.stream:
            frames = tuple(wire.frames(ask, reply, self.stamp))
            return Answer(200, wire.stream_type(ask), frames, None, headers, wire.stream_error(ask, trouble))
        refusal = wire.refuse(trouble)
        alarm = orjson.dumps(refusal.body) if refusal else b""
        body = wire.whole(ask, reply, self.stamp)
        return Answer.whole(200, body if isinstance(body, bytes) else orjson.dumps(body), headers, alarm)
