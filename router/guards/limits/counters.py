"""What limits count: which counters a seat has, what one call takes from them, and how that is said in words; pure.

Counters hold whole numbers: requests, tokens, neurons, and millionths of a US dollar.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from adapters.types import ChatRequest, LimitSeen, LimitsSeen, Usage
from router.core.registry import Limit, Seat
from router.core.tokens import prompt_tokens
from router.guards.limits.windows import Window, window_of

MICRO = 1_000_000
_MICROS_PER_NEURON = 11  # Cloudflare's published price: 0.011 USD per 1,000 neurons
_GUESSED_MAX_TOKENS = 1024  # what an answer is reserved for when nobody bounds it
_KEYS = "quorum:1"  # the version of what lies in Redis: replicas of two versions never read each other's counters


@dataclass(frozen=True, slots=True)
class Counter:
    """One limit as it is counted. `amount` is in whole units, `model` None for all models of the account.

    The key names the limit but not its amount: with another amount the count goes on.
    """

    key: str
    provider: str
    model: str | None
    limit: Limit
    amount: int
    window: Window


@dataclass(frozen=True, slots=True)
class Need:
    """What one call will take, by estimate; `max_tokens_guessed` when the caller set no bound to the answer."""

    tokens: int
    usd_micros: int
    max_tokens_guessed: bool = False


NO_NEED = Need(0, 0)


@dataclass(frozen=True, slots=True)
class LimitLeft:
    """One limit of a seat as it stands, in the registry's units; `resets_at` is Unix time, None for one that rolls."""

    name: str
    amount: float
    used: float
    resets_at: float | None


# --- counters --------------------------------------------------------------------------------------------------------


def counters_of(seat: Seat, window: Callable[[Limit], Window] = window_of) -> tuple[Counter, ...]:
    """The counters that a call to this seat takes from, its model's own first; a free model costs no money."""
    price = seat.model.price
    free = price is not None and not (price.input or price.output)
    return _counters(seat.provider.id, seat.model.id, seat.model.limits, seat.provider.limits, free, window)


@lru_cache(maxsize=1024)  # every plan looks at those of every seat
def _counters(
    provider: str,
    model: str,
    own: tuple[Limit, ...],
    shared: tuple[Limit, ...],
    free: bool,
    window: Callable[[Limit], Window],
) -> tuple[Counter, ...]:
    counters = (
        *(_counter(provider, model, limit, window) for limit in own),
        *(_counter(provider, None, limit, window) for limit in shared),
    )
    return tuple(counter for counter in counters if not (free and counter.limit.unit in _MONEY))


def _counter(provider: str, model: str | None, limit: Limit, window: Callable[[Limit], Window]) -> Counter:
    scope = "account" if model is None else f"model:{model}"
    name = f"{limit.unit}:{limit.per}:{limit.resets.replace(' ', '@')}"
    key = f"{prefix(provider)}:{name}:{scope}"
    return Counter(key, provider, model, limit, round(limit.amount * _SCALE.get(limit.unit, 1)), window(limit))


def prefix(provider: str) -> str:
    """How the keys of a provider begin; the braces keep them on one node of a cluster, for one script."""
    return f"{_KEYS}:{{{provider}}}"


_MONEY = frozenset({"usd", "neurons"})
_SCALE: Mapping[str, int] = MappingProxyType({"usd": MICRO})
_UNITS: Mapping[str, Callable[[int, int, int], int]] = MappingProxyType(
    {
        "requests": lambda requests, tokens, usd_micros: requests,
        "tokens": lambda requests, tokens, usd_micros: tokens,
        "usd": lambda requests, tokens, usd_micros: usd_micros,
        "neurons": lambda requests, tokens, usd_micros: -(-usd_micros // _MICROS_PER_NEURON),
    }
)


def counted(counter: Counter, *, requests: int, tokens: int, usd_micros: int) -> int:
    """What of a call, or of many, this counter counts."""
    return _UNITS[counter.limit.unit](requests, tokens, usd_micros)


# --- before a call ---------------------------------------------------------------------------------------------------


def need_of(seat: Seat, request: ChatRequest) -> Need:
    """What a call will take by estimate: its prompt by length, its answer by `max_tokens`, their cost by the price."""
    return need_for(seat, prompt_tokens(request), request.params.get("max_tokens"))


def need_for(seat: Seat, prompt: int, asked: int | None) -> Need:
    """The same, of a request whose prompt has been estimated and whose answer shall have `asked` tokens at most."""
    cap = seat.model.max_output_tokens
    answer = _guess(seat) if asked is None else min(int(asked), cap or int(asked))
    price = seat.model.price
    usd_micros = math.ceil(prompt * price.input + answer * price.output) if price else 0
    return Need(prompt + answer, usd_micros, max_tokens_guessed=asked is None)


def take(counter: Counter, need: Need) -> int:
    """What a call reserves; no more than the whole limit where the length of its answer is only our guess."""
    amount = counted(counter, requests=1, tokens=need.tokens, usd_micros=need.usd_micros)
    return min(amount, counter.amount) if need.max_tokens_guessed else amount


def too_large(seat: Seat, need: Need) -> str | None:
    """Why such a call can never be admitted, however long it waits; None if it can."""
    return larger_than_any(counters_of(seat), seat, need)


def larger_than_any(counters: Iterable[Counter], seat: Seat, need: Need) -> str | None:
    """Which of a seat's counters a call is too large for, in words; what is only guessed does not count."""
    tokens, usd_micros = need.tokens, need.usd_micros
    if need.max_tokens_guessed:
        tokens -= _guess(seat)
        usd_micros -= math.floor(_guess(seat) * seat.model.price.output) if seat.model.price else 0
    for counter in counters:
        amount = counted(counter, requests=1, tokens=tokens, usd_micros=usd_micros)
        if amount > counter.amount:
            limit = f"{shown(counter, counter.amount)} a {counter.limit.per}"
            return f"about {shown(counter, amount)} {unit(counter)} are more than its limit of {limit}"
    return None


def _guess(seat: Seat) -> int:
    return min(seat.model.max_output_tokens or _GUESSED_MAX_TOKENS, _GUESSED_MAX_TOKENS)


# --- after a call ----------------------------------------------------------------------------------------------------


def spent(counter: Counter, reserved: int, usage: Usage, cost_usd: float | None) -> int:
    """What a sent call has really taken; what its provider does not tell stays as it was reserved."""
    if counter.limit.unit == "requests":
        return reserved
    if counter.limit.unit == "tokens":
        known = usage.input_tokens is not None and usage.output_tokens is not None
        return (usage.input_tokens or 0) + (usage.output_tokens or 0) if known else reserved
    if cost_usd is None:
        return reserved
    return counted(counter, requests=1, tokens=0, usd_micros=math.ceil(cost_usd * MICRO))


def told(counters: Iterable[Counter], seen: LimitsSeen) -> dict[str, LimitSeen]:
    """What the provider's headers say is left, by the key of the counter it is about.

    A word that fits a model's counter and the account's is taken for the model's: it must not close the others.
    """
    words: dict[tuple[str, str], LimitSeen] = {
        (limit.unit, limit.per): limit for limit in seen if limit.remaining is not None
    }
    found: dict[str, LimitSeen] = {}
    for counter in counters if words else ():
        limit = words.pop((counter.limit.unit, counter.limit.per), None)
        if limit is not None:
            found[counter.key] = limit
    return found


# --- in words --------------------------------------------------------------------------------------------------------


def of_limit(counter: Counter) -> str:
    """`30 requests a minute`."""
    return f"{shown(counter, counter.amount)} {unit(counter)} a {counter.limit.per}"


def used_up(counter: Counter, used: int, amount: int = 0) -> str:
    """`30 of 30 requests a minute are used`, and how many a call needs where that says more."""
    needs = f", and this call needs about {shown(counter, amount)}" if amount > 1 and used < counter.amount else ""
    return f"{shown(counter, used)} of {of_limit(counter)} are used{needs}"


def left_of(counter: Counter, used: int, now_ms: int) -> LimitLeft:
    """The limit as a person or a metric is shown it."""
    ends_ms, scale = counter.window.ends_ms(now_ms), _SCALE.get(counter.limit.unit, 1)
    name = f"{counter.limit.unit}/{counter.limit.per}"
    return LimitLeft(name, counter.limit.amount, used / scale, None if ends_ms is None else ends_ms / 1000)


def unit(counter: Counter) -> str:
    """The unit as it stands behind a number."""
    return "USD" if counter.limit.unit == "usd" else counter.limit.unit


def shown(counter: Counter, amount: int) -> str:
    """An amount in the registry's unit."""
    return f"{amount / MICRO:.2f}" if counter.limit.unit == "usd" else str(amount)
