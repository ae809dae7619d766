"""The counters behind limits: which a seat has, what one call takes from each, and how that is put in words; pure.

Counters hold integers: requests, tokens, neurons, and millionths of a US dollar (micros).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

from adapters.types import ChatRequest, LimitSeen, LimitsSeen, Usage
from router.core.registry import Limit, Seat
from router.core.tokens import prompt_tokens
from router.guards.limits.windows import LimitPeriod, LimitWindow, window_of

CountedUnit = Literal["requests", "tokens", "neurons", "usd"]
WindowOf = Callable[[Limit], LimitWindow]
"""The window of a limit; handed in, so that a test can make a minute shorter."""

MICRO = 1_000_000
_MICROS_PER_NEURON = 11  # Cloudflare's published price: 0.011 USD per 1,000 neurons
_GUESSED_MAX_TOKENS = 1024  # reserved for an answer whose length nobody bounds
_KEYS = "quorum:1"  # the version of the data in Redis: replicas of two versions never read each other's counters


@dataclass(frozen=True, slots=True)
class Counter:
    """One limit as it is counted. `amount` is the limit in whole units, `model` None for all models of the account.

    The key names the limit but not its amount: when the amount is edited, the count goes on.
    """

    key: str
    provider: str
    model: str | None
    limit: Limit
    amount: int
    window: LimitWindow


@dataclass(frozen=True, slots=True)
class Need:
    """The estimate of what one call takes; `max_tokens_guessed` when the caller set no bound to the answer."""

    tokens: int
    usd_micros: int
    max_tokens_guessed: bool = False


NO_NEED = Need(0, 0)


@dataclass(frozen=True, slots=True)
class LimitLeft:
    """How one limit of a seat stands, in the registry's units; `resets_at` is Unix time, None for a rolling limit."""

    unit: CountedUnit
    per: LimitPeriod
    amount: float
    used: float
    resets_at: float | None

    @property
    def name(self) -> str:
        """The limit's name for people and metrics: `requests/minute`."""
        return f"{self.unit}/{self.per}"


# --- counters --------------------------------------------------------------------------------------------------------


def counters_of(seat: Seat, window: WindowOf = window_of) -> tuple[Counter, ...]:
    """The counters that a call to this seat takes from, its model's own first; a free model costs no money."""
    price = seat.model.price
    free = price is not None and not (price.input or price.output)
    return _counters(seat.provider.id, seat.model.id, seat.model.limits, seat.provider.limits, free, window)


@lru_cache(maxsize=1024)  # every plan looks at every seat's counters
def _counters(
    provider: str,
    model: str,
    own: tuple[Limit, ...],
    shared: tuple[Limit, ...],
    free: bool,
    window: WindowOf,
) -> tuple[Counter, ...]:
    counters = (
        *(_counter(provider, model, limit, window) for limit in own),
        *(_counter(provider, None, limit, window) for limit in shared),
    )
    return tuple(counter for counter in counters if not (free and counter.limit.unit in _MONEY))


def _counter(provider: str, model: str | None, limit: Limit, window: WindowOf) -> Counter:
    scope = "account" if model is None else f"model:{model}"
    name = f"{limit.unit}:{limit.per}:{limit.resets.replace(' ', '@')}"
    key = f"{prefix(provider)}:{name}:{scope}"
    return Counter(key, provider, model, limit, round(limit.amount * _SCALE.get(limit.unit, 1)), window(limit))


def prefix(provider: str) -> str:
    """The prefix of a provider's keys; its braces are a hash tag: one script needs all of them on one cluster node."""
    return f"{_KEYS}:{{{provider}}}"


_MONEY: frozenset[CountedUnit] = frozenset({"usd", "neurons"})
_SCALE: Mapping[CountedUnit, int] = MappingProxyType({"usd": MICRO})
_COUNTED: Mapping[CountedUnit, Callable[[int, int, int], int]] = MappingProxyType(
    {
        "requests": lambda requests, tokens, usd_micros: requests,
        "tokens": lambda requests, tokens, usd_micros: tokens,
        "usd": lambda requests, tokens, usd_micros: usd_micros,
        "neurons": lambda requests, tokens, usd_micros: -(-usd_micros // _MICROS_PER_NEURON),
    }
)


def counted(counter: Counter, *, requests: int, tokens: int, usd_micros: int) -> int:
    """What this counter counts of a call, or of many, in its own unit."""
    return _COUNTED[counter.limit.unit](requests, tokens, usd_micros)


# --- before a call ---------------------------------------------------------------------------------------------------


def need_of(seat: Seat, request: ChatRequest) -> Need:
    """Estimates what a call takes: its prompt by length, its answer by `max_tokens`, their cost by the price."""
    return need_for(seat, prompt_tokens(request), request.params.get("max_tokens"))


def need_for(seat: Seat, prompt: int, asked: int | None) -> Need:
    """The same for a prompt of so many tokens and an answer of `asked` tokens at most."""
    cap = seat.model.max_output_tokens
    answer = _guess(seat) if asked is None else min(int(asked), cap or int(asked))
    price = seat.model.price
    usd_micros = math.ceil(prompt * price.input + answer * price.output) if price else 0
    return Need(prompt + answer, usd_micros, max_tokens_guessed=asked is None)


def take(counter: Counter, need: Need) -> int:
    """The amount that a call reserves; at most the whole limit where the length of its answer is only guessed."""
    amount = counted(counter, requests=1, tokens=need.tokens, usd_micros=need.usd_micros)
    return min(amount, counter.amount) if need.max_tokens_guessed else amount


def too_large(seat: Seat, need: Need) -> str | None:
    """Why such a call can never be admitted, however long it waits, in words; None if it can."""
    return larger_than_any(counters_of(seat), seat, need)


def larger_than_any(counters: Iterable[Counter], seat: Seat, need: Need) -> str | None:
    """The first of these limits that a call exceeds by itself, in words; a guessed answer does not count."""
    tokens, usd_micros = need.tokens, need.usd_micros
    if need.max_tokens_guessed:
        tokens -= _guess(seat)
        usd_micros -= math.floor(_guess(seat) * seat.model.price.output) if seat.model.price else 0
    for counter in counters:
        amount = counted(counter, requests=1, tokens=tokens, usd_micros=usd_micros)
        if amount > counter.amount:
            limit = f"{shown(counter, counter.amount)} a {counter.limit.per}"
            return f"needs about {shown(counter, amount)} {unit(counter)}, more than its limit of {limit}"
    return None


def _guess(seat: Seat) -> int:
    return min(seat.model.max_output_tokens or _GUESSED_MAX_TOKENS, _GUESSED_MAX_TOKENS)


# --- after a call ----------------------------------------------------------------------------------------------------


def spent(counter: Counter, reserved: int, usage: Usage, cost_usd: float | None) -> int:
    """What a sent call has really taken; where its provider does not report that, as much as was reserved."""
    if counter.limit.unit == "requests":
        return reserved
    if counter.limit.unit == "tokens":
        known = usage.input_tokens is not None and usage.output_tokens is not None
        return (usage.input_tokens or 0) + (usage.output_tokens or 0) if known else reserved
    if cost_usd is None:
        return reserved
    return counted(counter, requests=1, tokens=0, usd_micros=math.ceil(cost_usd * MICRO))


def told(counters: Iterable[Counter], seen: LimitsSeen) -> dict[str, LimitSeen]:
    """What the provider's headers report as left, by the key of the counter it is about.

    A report that fits both a model's counter and the account's is taken to be about the model's: it must not close
    the other models.
    """
    reports: dict[tuple[str, str], LimitSeen] = {
        (limit.unit, limit.per): limit for limit in seen if limit.remaining is not None
    }
    found: dict[str, LimitSeen] = {}
    for counter in counters if reports else ():
        limit = reports.pop((counter.limit.unit, counter.limit.per), None)
        if limit is not None:
            found[counter.key] = limit
    return found


# --- in words --------------------------------------------------------------------------------------------------------


def of_limit(counter: Counter) -> str:
    """`30 requests a minute`."""
    return f"{shown(counter, counter.amount)} {unit(counter)} a {counter.limit.per}"


def used_up(counter: Counter, used: int, amount: int = 0) -> str:
    """`30 of 30 requests a minute are used`, and how much the call needs where that explains more."""
    needs = f", and this call needs about {shown(counter, amount)}" if amount > 1 and used < counter.amount else ""
    return f"{shown(counter, used)} of {of_limit(counter)} are used{needs}"


def left_of(counter: Counter, used: int, now_ms: int) -> LimitLeft:
    """The limit as people and metrics are shown it."""
    limit, ends_ms = counter.limit, counter.window.ends_ms(now_ms)
    resets_at = None if ends_ms is None else ends_ms / 1000
    return LimitLeft(limit.unit, limit.per, limit.amount, used / _SCALE.get(limit.unit, 1), resets_at)


def unit(counter: Counter) -> str:
    """The unit as written behind a number."""
    return "USD" if counter.limit.unit == "usd" else counter.limit.unit


def shown(counter: Counter, amount: int) -> str:
    """An amount in the registry's unit."""
    return f"{amount / MICRO:.2f}" if counter.limit.unit == "usd" else str(amount)
