"""What a reload would change, or has changed, in words: one line per difference, never a key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from router.core.registry import Limit, Model, Price, Provider, Registry
from router.core.strategy_options import StrategyOptions

# Not compared field by field: names are equal on both sides, models and seats have their own lines, keys never show.
_APART = frozenset({"id", "name", "models", "seats", "api_key", "missing_env"})


def diff(old: Registry, new: Registry) -> list[str]:
    """The differences between two registries as sentences, in the order: defaults, tiers, strategies, providers.

    A provider's models follow its own lines. Empty when a reload would change nothing.
    """
    return [
        *_changed("default strategy", old.default_strategy, new.default_strategy),
        *_changed("default tier", old.default_tier, new.default_tier),
        *_compare("tier", old.tiers, new.tiers, _fields),
        *_compare("strategy", old.strategies, new.strategies, _options),
        *_compare("provider", old.providers, new.providers, _provider),
        *_quirks(old, new),
        *_order(old, new),
    ]


Inside = Callable[[str, Any, Any], Iterator[str]]
"""(subject, old, new) → the differences between two entries of one name."""


def _compare(kind: str, old: Mapping[Any, Any], new: Mapping[Any, Any], inside: Inside) -> Iterator[str]:
    yield from (f"{kind} {name} added{_size(new[name])}" for name in new if name not in old)
    yield from (f"{kind} {name} removed{_size(old[name])}" for name in old if name not in new)
    for name in old:
        if name in new:
            yield from inside(f"{kind} {name}", old[name], new[name])


def _size(value: Any) -> str:
    return f" ({len(value.models)} models)" if isinstance(value, Provider) else ""


def _options(subject: str, old: StrategyOptions, new: StrategyOptions) -> Iterator[str]:
    for name in sorted(field.name for field in fields(old)):
        yield from _changed(f"{subject}: {name}", getattr(old, name), getattr(new, name))


def _provider(subject: str, old: Provider, new: Provider) -> Iterator[str]:
    yield from _key(subject, old, new)
    yield from _fields(subject, old, new)
    yield from _compare("model", _by_seat(old), _by_seat(new), _fields)


def _by_seat(provider: Provider) -> dict[str, Model]:
    return {f"{provider.id}/{id_}": model for id_, model in provider.models.items()}


def _key(subject: str, old: Provider, new: Provider) -> Iterator[str]:
    if old.missing_env != new.missing_env:
        now = f"still lacks {', '.join(new.missing_env)}" if new.missing_env else "has all its variables now"
        yield f"{subject}: {now}"
    elif old.api_key != new.api_key:
        yield f"{subject}: another api_key"


def _fields(subject: str, old: Any, new: Any) -> Iterator[str]:
    for field in fields(old):
        if field.name not in _APART:
            yield from _changed(f"{subject}: {field.name}", getattr(old, field.name), getattr(new, field.name))


def _changed(subject: str, old: Any, new: Any) -> Iterator[str]:
    if old == new:
        return
    if is_dataclass(old) and type(old) is type(new) and not isinstance(old, Limit | Price):
        yield from _fields(subject, old, new)
    else:
        yield f"{subject} {_words(old)} → {_words(new)}"


def _quirks(old: Registry, new: Registry) -> Iterator[str]:
    for name in old.providers:
        if name in new.providers:
            before, after = (registry.document["providers"][name].get("quirks") for registry in (old, new))
            yield from _changed(f"provider {name}: quirks", before, after)


def _order(old: Registry, new: Registry) -> Iterator[str]:
    """A line for each tier whose seats are the same, ranks included, but in another order."""
    for name, tier in new.tiers.items():
        if name in old.tiers:
            before, after = ([(seat.rank, seat.id) for seat in seats] for seats in (old.tiers[name].seats, tier.seats))
            if before != after and sorted(before) == sorted(after):
                yield f"tier {name}: order is now {', '.join(id_ for _, id_ in after)}"


def _words(value: Any) -> str:
    """A value in words."""
    match value:
        case None | () | "":
            return "nothing"
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
        case Limit():
            scope = " per model" if value.scope == "model" else ""
            resets = "" if value.resets == "rolling" else f" from {value.resets}"
            return f"{value.amount:g} {value.unit}/{value.per}{resets}{scope}"
        case Price():
            return f"${value.input:g}/${value.output:g} per million tokens"
        case tuple() | list():
            return ", ".join(map(_words, value))
        case frozenset():
            return ", ".join(sorted(value)) or "nothing"
        case Mapping():
            return ", ".join(f"{name} {_words(part)}" for name, part in value.items()) or "nothing"
        case _ if is_dataclass(value):
            given = {field.name: getattr(value, field.name) for field in fields(value)}
            return _words({name: part for name, part in given.items() if part is not None})
        case _:
            return str(value)
