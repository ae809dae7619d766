"""Renders the result of a check: text for people, JSON for programs, annotations for GitHub Actions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import orjson

from router.core.registry import Registry
from router.registry.load import Checked
from router.registry.problems import Problem

Format = Literal["text", "json", "github"]

_GITHUB_LEVELS: Mapping[str, str] = MappingProxyType({"error": "error", "warning": "warning", "note": "notice"})


def render(checked: Checked, format_: Format = "text") -> str:
    """The problems in one of the formats, without a final line break; `text` adds a summary."""
    return _RENDERERS[format_](checked)


def _text(checked: Checked) -> str:
    return "\n".join([*map(str, checked.problems), _summary(checked)])


def _summary(checked: Checked) -> str:
    counts = Counter(problem.severity for problem in checked.problems)
    found = ", ".join(f"{count} {severity}{'s' * (count > 1)}" for severity, count in counts.items())
    if checked.registry is None:
        return f"not usable: {found}"
    return f"ok: {_inventory(checked.registry)}{'; ' * bool(found)}{found}"


def _inventory(registry: Registry) -> str:
    models = sum(len(provider.models) for provider in registry.providers.values())
    return (
        f"{len(registry.providers)} providers, {models} models, tiers {', '.join(registry.tiers)}; "
        f"registry {registry.short_hash}"
    )


def _json(checked: Checked) -> str:
    return orjson.dumps(
        {
            "ok": checked.registry is not None,
            "hash": checked.registry.hash if checked.registry else None,
            "problems": checked.problems,
        },
        option=orjson.OPT_INDENT_2,
    ).decode()


def _github(checked: Checked) -> str:
    return "\n".join(map(_annotation, checked.problems))


def _annotation(problem: Problem) -> str:
    place = f"file={_escape(problem.path, ':,')},line={problem.line},col={problem.col}"
    return f"::{_GITHUB_LEVELS[problem.severity]} {place}::{_escape(problem.message)}"


def _escape(text: str, also: str = "") -> str:
    """Escapes text for GitHub's workflow commands, which use percent-encoding for `%`, line breaks and separators."""
    for character in f"%\r\n{also}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


_RENDERERS: Mapping[Format, Callable[[Checked], str]] = MappingProxyType(
    {"text": _text, "json": _json, "github": _github}
)
