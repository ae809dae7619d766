"""The weather of the simulated providers: the faults they can have, and the script that says which has what, when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from enum import Enum, StrEnum, auto
from functools import partial
from math import inf
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import orjson

from router.simulator.answers import draw
from router.simulator.conversation import Reply, thought_aloud
from router.simulator.limits import Quota

EVERYONE = "*"
FILE_LIMIT = 1 << 20


class Fault(StrEnum):
    """Reasons to refuse a request; each provider has its own status and words for each."""

    NO_KEY = "no_key"
    BAD_KEY = "bad_key"
    INVALID = "invalid"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    QUOTA_DAY = "quota_day"
    BILLING = "billing"
    MODEL_GONE = "model_gone"
    CONTEXT_LENGTH = "context_length"
    CONTENT_FILTER = "content_filter"
    SERVER_ERROR = "server_error"
    OVERLOADED = "overloaded"
    OUTAGE = "outage"
    TIMEOUT = "timeout"
    PENDING = "pending"
    NO_ACCESS = "no_access"


class Flow(Enum):
    """How the bytes of an answer are delivered, if at all (see `delivery`)."""

    STEADY = auto()
    RESET = auto()
    HANG = auto()
    SLOW = auto()
    SLOW_FIRST_TOKEN = auto()
    STALL = auto()
    CUT = auto()
    HALF_JSON = auto()
    GARBAGE = auto()
    ERROR_IN_STREAM = auto()


@dataclass(frozen=True, slots=True)
class Spell:
    """One kind of weather for a provider or one of its models, during a time and for a share of the requests.

    Times are in seconds; `after_s` counts from when the script was set. `retry_after_s` is the wait that a refusal asks
    for: a number, None for no hint, or the usual one of its kind. `to` is the model that answers under `rerouted`.
    """

    weather: str = "clear"
    model: str | None = None
    after_s: float = 0.0
    for_s: float = inf
    share: float = 1.0
    delay_s: float = 3.0
    retry_after_s: float | Literal["usual"] | None = "usual"
    to: str | None = None

    def covers(self, model: str, age_s: float) -> bool:
        """Whether it applies to this model, `age_s` seconds after the script began."""
        return self.model in (None, model) and self.after_s <= age_s < self.after_s + self.for_s

    @property
    def kind(self) -> Weather:
        """Its row in `WEATHERS`."""
        return WEATHERS[self.weather]

    @property
    def wait_s(self) -> float | None:
        """The seconds that a refusal asks to wait; None for no hint."""
        return self.kind.usual_wait_s if self.retry_after_s == "usual" else self.retry_after_s


@dataclass(frozen=True, slots=True)
class Weather:
    """One kind of weather: a refusal, a changed reply, or a way of delivery; `means` is its description for people."""

    means: str
    fault: Fault | None = None
    flow: Flow = Flow.STEADY
    alter: Callable[[Reply, Spell], Reply] | None = None
    usual_wait_s: float = 5.0


class WeatherError(ValueError):
    """A weather file, body or header is wrong; the message is one sentence that says where and how."""


@dataclass(frozen=True, slots=True)
class WeatherScript:
    """The weather and the rate limits of each provider; those it does not name have clear weather and usual limits."""

    spells: Mapping[str, tuple[Spell, ...]] = field(default_factory=lambda: MappingProxyType({}))
    quotas: Mapping[str, Quota] = field(default_factory=lambda: MappingProxyType({}))

    def spell(self, provider: str, model: str, *, age_s: float, chance: float) -> Spell:
        """The weather of one request: the first spell that covers it; `chance` in [0, 1) is compared with its share."""
        lines = (*self.spells.get(provider, ()), *self.spells.get(EVERYONE, ()))
        return next((one for one in lines if one.covers(model, age_s) and chance < one.share), CLEAR)

    def document(self) -> dict[str, Any]:
        """The script in the JSON form that `parse_script` reads."""
        spells = {provider: [_shown(one) for one in lines] for provider, lines in self.spells.items()}
        quotas = {provider: _shown(quota) for provider, quota in self.quotas.items()}
        return spells | ({"limits": quotas} if quotas else {})


def parse_script(document: object, providers: Iterable[str]) -> WeatherScript:
    """A script from decoded JSON: `{provider: weather | spell | [spell, …], "limits": {provider: {…}}}`."""
    if not isinstance(document, Mapping):
        raise WeatherError('the weather must be a JSON object with providers as keys, such as {"groq": "outage"}')
    known = [*providers, EVERYONE]
    spells, quotas = {}, {}
    for provider, entry in document.items():
        if provider == "limits":
            quotas = _quotas(entry, known)
        else:
            _known("provider", provider, known)
            spells[provider] = tuple(_spell(one, provider) for one in (entry if isinstance(entry, list) else [entry]))
    return WeatherScript(MappingProxyType(spells), MappingProxyType(quotas))


def load_script(path: Path, providers: Iterable[str]) -> WeatherScript:
    """A script from a JSON file. Raises WeatherError with one sentence that names the file."""
    try:
        raw = path.read_bytes()
        if len(raw) > FILE_LIMIT:
            raise WeatherError(f"the weather file is larger than {FILE_LIMIT} bytes")
        return parse_script(orjson.loads(raw), providers)
    except OSError as error:
        raise WeatherError(f"{path}: cannot read the weather file: {error.strerror}") from error
    except (orjson.JSONDecodeError, WeatherError) as error:
        raise WeatherError(f"{path}: {error}") from error


def parse_header(text: str) -> Spell:
    """A spell from the header `X-Sky-Weather: name; key=value; …`; the value `none` means null."""
    name, *pairs = (part.strip() for part in text.split(";"))
    entry: dict[str, Any] = {"weather": name}
    for key, separator, value in (pair.partition("=") for pair in pairs if pair):
        if not separator:
            raise WeatherError(f"X-Sky-Weather: {key!r} has no value; write it as key=value")
        entry[key.strip()] = _plain(value.strip())
    return _spell(entry, "X-Sky-Weather")


def _plain(value: str) -> str | float | None:
    try:
        return None if value == "none" else float(value)
    except ValueError:
        return value


def _spell(entry: object, where: str) -> Spell:
    given = {"weather": entry} if isinstance(entry, str) else entry
    if not isinstance(given, Mapping):
        raise WeatherError(
            f"{where}: a weather must be a name or an object with the key 'weather', not {type(entry).__name__}"
        )
    _checked_keys(Spell, given, where)
    _known("weather", given.get("weather", "clear"), WEATHERS, where)
    for key in ("after_s", "for_s", "share", "delay_s", "retry_after_s"):
        _check_number(given, key, where, 1.0 if key == "share" else inf)
    for key in ("model", "to"):
        if not isinstance(given.get(key), str | None):
            raise WeatherError(f"{where}: {key} must be the name of a model")
    return Spell(**given)


def _quotas(entry: object, known: Iterable[str]) -> dict[str, Quota]:
    if not isinstance(entry, Mapping):
        raise WeatherError('limits must be an object with providers as keys, such as {"groq": {"per_minute": 30}}')
    for provider, quota in entry.items():
        _known("provider", provider, known, "limits")
        if not isinstance(quota, Mapping):
            raise WeatherError(f'limits of {provider} must be an object such as {{"per_minute": 30}}')
        _checked_keys(Quota, quota, f"limits of {provider}")
        for key in quota:
            _check_number(quota, key, f"limits of {provider}", 1e6)
    return {provider: Quota(**{key: int(value) for key, value in quota.items()}) for provider, quota in entry.items()}


def _check_number(entry: Mapping[str, Any], key: str, where: str, most: float) -> None:
    value = entry.get(key, 0)
    if key == "retry_after_s" and value in (None, "usual"):
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise WeatherError(
            f"{where}: {key} must be a number from 0{f' to {most:g}' if most < inf else ' up'}, not {value!r}"
        )


def _checked_keys(kind: type[Any], entry: Mapping[str, Any], where: str) -> None:
    for key in entry:
        _known("key", key, [one.name for one in fields(kind)], where)


def _known(what: str, name: object, allowed: Iterable[str], where: str = "") -> None:
    names = list(allowed)
    if name in names:
        return
    near = get_close_matches(str(name), names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"one of: {', '.join(names)}."
    raise WeatherError(f"{where + ': ' if where else ''}there is no {what} {str(name)[:80]!r}; {hint}")


def _shown(row: Spell | Quota) -> dict[str, Any]:
    kind = type(row)
    values = {one.name: getattr(row, one.name) for one in fields(kind)}
    plain = kind()
    return {key: value for key, value in values.items() if key == "weather" or value != getattr(plain, key)}


def chance(seed: int, provider: str, ordinal: int) -> float:
    """A provider's repeatable draw in [0, 1) for its n-th request, compared with the share of a spell."""
    return draw("share", seed, provider, ordinal) / 2**64


def _leaked(reply: Reply, spell: Spell) -> Reply:
    thought = reply.reasoning or "The user wants an answer. I will give a short one."
    return replace(thought_aloud(replace(reply, reasoning=thought)), reasoning_tokens=0)


def _rerouted(reply: Reply, spell: Spell) -> Reply:
    return replace(reply, model=spell.to or f"{reply.model}-successor")


def _ended(reply: Reply, spell: Spell, finish: Any) -> Reply:
    return replace(reply, text="", reasoning="", calls=(), finish=finish, output_tokens=0, reasoning_tokens=0)


CLEAR = Spell()
WEATHERS: Mapping[str, Weather] = MappingProxyType(
    {
        "clear": Weather("answers"),
        "outage": Weather("answers 503 to everything", fault=Fault.OUTAGE),
        "server-error": Weather("answers 500 or 502", fault=Fault.SERVER_ERROR),
        "timeout": Weather("answers 504 or 408: its own time limit ran out", fault=Fault.TIMEOUT),
        "pending": Weather(
            "answers 202 with an empty body, where the provider does that (nvidia)", fault=Fault.PENDING
        ),
        "overloaded": Weather("has no capacity: 529, 503 or 429, by provider", fault=Fault.OVERLOADED),
        "reset": Weather("resets the connection", flow=Flow.RESET),
        "hang": Weather("accepts the request and never answers", flow=Flow.HANG),
        "slow": Weather("waits delay_s before the answer begins", flow=Flow.SLOW),
        "slow-first-token": Weather(
            "sends headers at once and the first token after delay_s", flow=Flow.SLOW_FIRST_TOKEN
        ),
        "stall": Weather("stops in the middle of the answer and keeps the connection open", flow=Flow.STALL),
        "cut": Weather("ends in the middle of the answer, without a finish reason", flow=Flow.CUT),
        "rate-limited": Weather(
            "answers 429, the minute is full; retry_after_s sets the wait, null leaves it out", fault=Fault.RATE_LIMITED
        ),
        "quota-day": Weather(
            "answers 429, the quota of the day or month is spent", fault=Fault.QUOTA_DAY, usual_wait_s=3_600.0
        ),
        "billing": Weather("demands a card, credits or a plan", fault=Fault.BILLING),
        "bad-key": Weather("refuses the key, with the provider's own status for it", fault=Fault.BAD_KEY),
        "model-gone": Weather("answers that the model is retired", fault=Fault.MODEL_GONE),
        "no-access": Weather("answers that this account may not use the model", fault=Fault.NO_ACCESS),
        "garbage": Weather("answers 200 with an HTML page", flow=Flow.GARBAGE),
        "half-json": Weather("answers 200 with half of the JSON", flow=Flow.HALF_JSON),
        "empty": Weather("answers 200 without content", alter=partial(_ended, finish="nothing")),
        "error-in-stream": Weather(
            "answers 200 and sends an error after half of the answer", flow=Flow.ERROR_IN_STREAM
        ),
        "leaked-thoughts": Weather("leaves <think>…</think> in the text", alter=_leaked),
        "rerouted": Weather("lets another model answer: `to`, or the name with -successor", alter=_rerouted),
        "content-filter": Weather(
            "is stopped by the provider's content policy",
            fault=Fault.CONTENT_FILTER,
            alter=partial(_ended, finish="content_filter"),
        ),
        "context-length": Weather(
            "answers that the request exceeds the model's context window", fault=Fault.CONTEXT_LENGTH
        ),
    }
)
