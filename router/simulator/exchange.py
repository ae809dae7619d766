"""One request to one simulated provider: refused or parsed, answered, and written in the provider's format."""

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

# Faults of a chat request, which a listing of models does not show.
ABOUT_ONE_REQUEST = (Fault.MODEL_GONE, Fault.NO_ACCESS, Fault.CONTEXT_LENGTH, Fault.CONTENT_FILTER, Fault.PENDING)
REFUSED_BY_LIMIT = {"minute": Fault.RATE_LIMITED, "day": Fault.QUOTA_DAY}


@dataclass(slots=True)
class State:
    """The state of a simulator: its weather and since when it holds, its counters, and the requests it has seen."""

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
    """One request to one provider, and the weather that it gets."""

    state: State
    provider: Provider
    request: web.Request
    incoming: Incoming
    stamp: Stamp
    spell: Spell

    def refused(self, fault: Fault, *, wait_s: float | None = None, invalid: Invalid | None = None) -> Refusal | None:
        """The refusal in the provider's words; None if it reports this fault inside a 200."""
        return self.provider.wire.refuse(Problem(fault, self.stamp, wait_s, invalid))

    def barred(self, *, keyless: bool = False) -> Refusal | None:
        """The refusal that needs no look at the body: by weather, by key (unless `keyless`), then by rate limit."""
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
        """The request as parsed, and the model's reply as the weather changes it. Raises Invalid."""
        try:
            ask = self.provider.wire.parse(self.incoming)
            reply = respond(ask, provider=self.provider.name, seed=self.state.seed)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            # A field has the wrong type and no check covers it. Every provider answers this with a 400 of some kind.
            raise Invalid("The request has a field of the wrong type.") from error
        alter = self.spell.kind.alter
        return ask, alter(reply, self.spell) if alter else reply

    def answer(self, ask: Ask, reply: Reply) -> Answer:
        """The answer in the provider's wire format, with the error that may replace its second half."""
        wire, headers = self.provider.wire, self.provider.wire.headers(self.stamp)
        trouble = Problem(Fault.SERVER_ERROR, self.stamp)
        if ask.stream:
            frames = tuple(wire.frames(ask, reply, self.stamp))
            return Answer(200, wire.stream_type(ask), frames, None, headers, wire.stream_error(ask, trouble))
        refusal = wire.refuse(trouble)
        alarm = orjson.dumps(refusal.body) if refusal else b""
        body = wire.whole(ask, reply, self.stamp)
        return Answer.whole(200, body if isinstance(body, bytes) else orjson.dumps(body), headers, alarm)
