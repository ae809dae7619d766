"""Routing options of a request, by precedence: `quorum` object, body root, headers, model name, registry defaults.

All sources are checked by one table of options; the first source that names an option decides it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from router.core.context import Options
from router.core.registry import MAX_COUNCIL_SIZE, Registry
from router.core.text import did_you_mean, near_miss
from router.http.errors import ApiError
from router.http.values import invalid, named, quoted, slip_of
from router.strategies.table import DEFAULT_STRATEGY, STRATEGIES

MAX_TIMEOUT_MS = 600_000  # the default timeout of OpenAI's SDKs, after which they hang up
MAX_LABELS = 64
MAX_TAGS = 16  # as in OpenAI's `metadata`, like the 64 characters of a key
_MAX_DIGITS = 9  # enough for every option; bounds the work of int()
_PREFIX = "x-quorum-"
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class Named(NamedTuple):
    """The options that a model name implies: a pinned model with its tier, or a tier, a strategy, or both."""

    pinned: str | None = None
    tier: str | None = None
    strategy: str | None = None


_ANY = Named()


def resolve_options(
    registry: Registry, model: str, routing: Mapping[str, Any], headers: Mapping[str, str], user: str | None
) -> Options:
    """The options of one request.

    Raises `ApiError` for an unknown name or an invalid value, with the valid ones and the nearest match: a silent
    default would answer another request than the one sent.
    """
    wanted = parse_model(registry, model)
    body = routing.get("quorum", {})
    if not isinstance(body, dict):
        raise invalid(f"quorum must be an object, not {named(body)}", "quorum")
    for key in body:
        if key not in _KEYS:
            valid = ", ".join(_KEYS)
            raise invalid(
                f"unknown key {quoted(key)} in quorum{did_you_mean(key, _KEYS)}; valid are {valid}",
                f"quorum.{key[:60]}",
            )
    _no_slips(headers)
    in_body = {key: _KEYS[key](value, f"quorum.{key}") for key, value in body.items() if value is not None}
    at_root = {key: _KEYS[key](value, key) for key, value in routing.items() if key != "quorum"}
    in_headers = {key: _KEYS[key](headers[name], name) for name, key in _HEADERS.items() if name in headers}
    said = {**in_headers, **at_root, **in_body}
    chosen: dict[str, Any] = {
        "strategy": wanted.strategy or registry.default_strategy,
        "tier": wanted.tier or registry.default_tier,
        **said,
    }
    _known(chosen["strategy"], STRATEGIES, "strategy")
    _known(chosen["tier"], registry.tiers, "tier")
    if wanted.pinned and not STRATEGIES[chosen["strategy"]].pinnable:
        if "strategy" in said:
            words = f"{chosen['strategy']} needs several models, but model pins {wanted.pinned}"
            raise ApiError(400, "conflicting_options", words, param="model")
        chosen["strategy"] = DEFAULT_STRATEGY
    timeout_ms = chosen.pop("timeout_ms", None)
    return Options(
        pinned=wanted.pinned,
        timeout_s=timeout_ms / 1000 if timeout_ms else None,
        end_user=user,
        **chosen,
    )


def _no_slips(headers: Mapping[str, str]) -> None:
    """Raises a 400 for a likely typo of an `X-Quorum-*` header: ignoring it silently would change the routing."""
    for header in headers:
        if header[:1] in "xX" and header[: len(_PREFIX)].lower() == _PREFIX and header.title() not in _HEADERS:
            near = slip_of(header.title(), _HEADERS)
            if near:
                raise invalid(f"unknown header {quoted(header)}, did you mean '{near}'?", header[:60])


def parse_model(registry: Registry, model: str) -> Named:
    """Parses `auto`, a tier, a strategy, `tier/strategy` or a pinned `provider/model`; else 404 `model_not_found`."""
    if model in ("auto", ""):
        return _ANY
    if model in registry.tiers:
        return Named(tier=model)
    if model in STRATEGIES:
        return Named(strategy=model)
    if model in registry.seats:
        return Named(pinned=model, tier=registry.seats[model].tier)
    tier, _, strategy = model.partition("/")
    if tier in registry.tiers and strategy in STRATEGIES:
        return Named(tier=tier, strategy=strategy)
    raise ApiError(404, "model_not_found", f"no model {quoted(model)}{_near_model(registry, model)}", param="model")


def model_names(registry: Registry) -> list[str]:
    """Every valid value of `model`."""
    pairs = [f"{tier}/{strategy}" for tier in registry.tiers for strategy in STRATEGIES]
    return ["auto", *registry.tiers, *STRATEGIES, *pairs, *registry.seats]


def _near_model(registry: Registry, model: str) -> str:
    same_id = [name for name, seat in registry.seats.items() if seat.model.id == model]
    near = same_id[0] if same_id else near_miss(model, model_names(registry))
    if near:
        return f", did you mean '{near}'?"
    return f": it must be auto, a tier ({', '.join(registry.tiers)}), a strategy, tier/strategy or provider/model"


def _known(value: str, known: Iterable[str], what: str) -> None:
    names = list(known)
    if value not in names:
        message = f"unknown {what} {quoted(value)}{did_you_mean(value, names)}; valid are {', '.join(names)}"
        raise ApiError(400, f"unknown_{what}", message, param=what)


# --- one check per option: takes the raw value and its path; returns the value or raises a 400 -----------------------


def _text(value: Any, at: str) -> str:
    if not isinstance(value, str) or not value:
        raise invalid(f"{at} must be a non-empty string, not {named(value)}", at)
    return value


def _integer(low: int, high: int) -> Callable[[Any, str], int]:
    def check(value: Any, at: str) -> int:
        digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _MAX_DIGITS
        number = int(value) if digits else value
        if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
            raise invalid(f"{at} must be a whole number from {low} to {high}, not {named(value)}", at)
        return number

    return check


def _truth(value: Any, at: str) -> bool:
    truth = _TRUTH.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(truth, bool):
        raise invalid(f"{at} must be true or false, not {named(value)}", at)
    return truth


def _one_of(*words: str) -> Callable[[Any, str], str]:
    def check(value: Any, at: str) -> str:
        if value not in words:
            near = did_you_mean(value, words) if isinstance(value, str) else ""
            raise invalid(f"{at} must be one of {', '.join(words)}, not {named(value)}{near}", at)
        return str(value)

    return check


def _labels(value: Any, at: str) -> tuple[str, ...]:
    good = isinstance(value, list) and all(isinstance(label, str) and label.strip() for label in value)
    if not good or not 2 <= len(set(value)) == len(value) <= MAX_LABELS:
        raise invalid(f"{at} must be a list of 2 to {MAX_LABELS} different strings", at)
    return tuple(value)


def _tags(value: Any, at: str) -> Mapping[str, str]:
    good = isinstance(value, dict) and len(value) <= MAX_TAGS
    if not good or not all(isinstance(v, str) and len(k) <= 64 and len(v) <= 256 for k, v in value.items()):
        bounds = f"at most {MAX_TAGS} strings, with keys of up to 64 and values of up to 256 characters"
        raise invalid(f"{at} must be an object of {bounds}", at)
    return dict(value)


_KEYS: Mapping[str, Callable[[Any, str], Any]] = {
    "strategy": _text,
    "tier": _text,
    "council_size": _integer(1, MAX_COUNCIL_SIZE),
    "timeout_ms": _integer(1, MAX_TIMEOUT_MS),
    "labels": _labels,
    "on_no_quorum": _one_of("degrade", "fail"),
    "free_text": _one_of("cluster", "reject"),
    "include_reasoning": _truth,
    "explain": _truth,
    "strict": _truth,
    "tags": _tags,
}
_HEADERS = {
    "X-Quorum-Strategy": "strategy",
    "X-Quorum-Tier": "tier",
    "X-Quorum-Council-Size": "council_size",
    "X-Quorum-Timeout-Ms": "timeout_ms",
    "X-Quorum-Explain": "explain",
}
