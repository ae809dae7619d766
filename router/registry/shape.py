"""Checks the shape of plain data with pydantic, and turns what it finds into sentences, each with its place."""

from __future__ import annotations

import copy
import typing
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from router.core.text import shown, suggestion
from router.registry.document import Document
from router.registry.problems import Path
from router.registry.strict_yaml import Tree
from router.registry.values import PATTERNS


def read_document(tree: Tree) -> tuple[Document | None, bool]:
    """The document of a tree, and whether it is whole; every misfit is added to the tree's problems.

    Where only optional parts misfit, the rest is still returned (not whole), so that references between the parts can
    be checked in the same run.
    """
    try:
        return Document.model_validate(tree.data), True
    except ValidationError as failure:
        errors = failure.errors(include_url=False)
    for error in errors:
        _report(tree, error)
    if any(error["type"] == "missing" for error in errors):
        return None, False
    try:
        return Document.model_validate(_without(tree.data, errors)), False
    except ValidationError:
        return None, False


def _report(tree: Tree, error: ErrorDetails) -> None:
    path, is_key = _place(error)
    if any(broken[: len(path)] == path[: len(broken)] for broken in tree.broken):
        return  # follows from what is wrong with the text itself, there or just below
    tree.problem(tree.at(path, key=is_key), _sentence(error, path))


def _place(error: ErrorDetails) -> tuple[Path, bool]:
    """The path an error is about, and whether it is about the key there."""
    location = error["loc"]
    match error["type"]:
        case "missing":
            return location[:-1], True
        case "extra_forbidden":
            return location, True
        case _ if location and location[-1] == "[key]":
            return location[:-1], True
        case _:
            return location, False


_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "bool_type": "must be true or false",
        "string_type": "must be text (quote it if it looks like a number)",
        "int_type": "must be a whole number",
        "float_type": "must be a number",
        "model_type": "must be a mapping of keys to values",
        "dict_type": "must be a mapping of keys to values",
        "tuple_type": "must be a list",
        "finite_number": "must be a finite number",
    }
)
_BOUNDS: Mapping[str, str] = MappingProxyType(
    {
        "greater_than": "must be greater than {gt}",
        "greater_than_equal": "must be at least {ge}",
        "less_than_equal": "must be at most {le}",
        "too_short": "must not be empty",
        "string_too_short": "must not be empty",
        "string_too_long": "must have at most {max_length} characters",
    }
)


def _sentence(error: ErrorDetails, path: Path) -> str:
    kind, context = error["type"], error.get("ctx", {})
    subject = shown(next((step for step in reversed(path) if isinstance(step, str)), "the file"))
    if special := _SPECIAL.get(kind):
        return special(error, path)
    if kind == "string_pattern_mismatch":
        return f"{subject} {PATTERNS[context['pattern']]}"
    if kind in _TYPES:
        return f"{subject} {_TYPES[kind]}"
    if kind in _BOUNDS:
        return f"{subject} {_BOUNDS[kind].format(**context)}"
    return f"{subject}: {context.get('error', error['msg'])}"


def _unknown_key(error: ErrorDetails, path: Path) -> str:
    allowed = [field.alias or name for name, field in _entry_at(path[:-1]).model_fields.items()]
    return f"unknown key {shown(path[-1])}{suggestion(str(path[-1]), allowed)}"


def _missing_key(error: ErrorDetails, path: Path) -> str:
    inside = f"{shown(path[-1])} lacks" if path else "the file lacks"
    return f"{inside} the key '{error['loc'][-1]}'"


def _wrong_word(error: ErrorDetails, path: Path) -> str:
    allowed = [word.strip("' ") for word in error["ctx"]["expected"].replace(" or ", ", ").split(", ")]
    return f"{shown(path[-1])} cannot be {shown(error['input'])}{suggestion(str(error['input']), allowed)}"


_SPECIAL: Mapping[str, Callable[[ErrorDetails, Path], str]] = MappingProxyType(
    {"extra_forbidden": _unknown_key, "missing": _missing_key, "literal_error": _wrong_word}
)


def _entry_at(path: Path) -> type[BaseModel]:
    """The entry that describes the mapping at a path of the document."""
    kind: Any = Document
    for step in path:
        kind = next(_below(kind, step))
    return next(_entries(kind))


def _below(kind: Any, step: str | int) -> Iterator[Any]:
    """The types one step below a type: those of an entry's field, or of the values of a mapping or list."""
    for entry in _entries(kind):
        yield from (field.annotation for name, field in entry.model_fields.items() if (field.alias or name) == step)
    yield from (argument for argument in typing.get_args(kind)[-2:] if any(_entries(argument)))


def _entries(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for argument in typing.get_args(kind):
        yield from _entries(argument)


def _without(data: Any, errors: list[ErrorDetails]) -> Any:
    """The data without the keys that errors are about (a key that holds a list goes as a whole)."""
    pruned = copy.deepcopy(data)
    for error in errors:
        *above, last = _mapping_path(error["loc"])
        container = pruned
        for step in above:
            container = container.get(step, {})
        container.pop(last, None)
    return pruned


def _mapping_path(location: Path) -> Path:
    """A location up to its first list index, without pydantic's mark for a key."""
    steps = location[:-1] if location[-1] == "[key]" else location
    return steps[: next((at for at, step in enumerate(steps) if isinstance(step, int)), len(steps))]
