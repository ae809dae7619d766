"""`${VAR}`, `${VAR:-default}` and `${file:/run/secrets/x}`: how a registry names what it must not contain."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from router.core.text import looks_like_key
from router.registry.files import read_regular

MAX_SECRET_BYTES = 4096

_REFERENCE = re.compile(
    r"\$\{(?:file:(?P<file>/[^{}$\s]+)|(?P<variable>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^{}$]*))?)\}"
)

Lookup = Callable[[str], str | None]
"""Finds the value of `VAR` or of `file:/path`; None where there is none; ValueError where it is not fit for use."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A text with its references filled in; those in `missing` have no value and stay as they were written."""

    text: str
    missing: tuple[str, ...] = ()


def check_references(text: str) -> str:
    """The text itself, once every `$` in it begins a well-formed reference."""
    if "$" in _REFERENCE.sub("", text):
        raise ValueError("a reference is written ${VAR}, ${VAR:-default} or ${file:/path}")
    return text


def check_key_reference(text: str) -> str:
    """The text itself, once it is exactly one reference; the message never repeats it."""
    match = _REFERENCE.fullmatch(text)
    if not match:
        raise ValueError("a literal key is refused: write ${VAR}, ${VAR:-default} or ${file:/run/secrets/x}")
    if looks_like_key(match["default"] or ""):
        raise ValueError("the default of an api_key looks like a real key: put it into a variable or a file")
    return text


def resolve(text: str, lookup: Lookup) -> Resolved:
    """Fills in every reference of a text; an empty value counts as none, as the shell has it for `:-`."""
    missing: list[str] = []

    def value_of(match: re.Match[str]) -> str:
        name = f"file:{match['file']}" if match["file"] else match["variable"]
        if value := lookup(name):
            return value
        if match["default"] is not None:
            return match["default"]
        missing.append(name)
        return match[0]

    filled = _REFERENCE.sub(value_of, text)
    return Resolved(filled, tuple(dict.fromkeys(missing)))


def environment(env: Mapping[str, str]) -> Lookup:
    """Looks variables up in a mapping, and secret files on disk."""

    def lookup(name: str) -> str | None:
        path = name.removeprefix("file:")
        value = env.get(name) if path == name else _read_secret(path)
        if value and not (value.isascii() and value.isprintable()):
            raise ValueError(
                f"the value of {name} has characters that no key or address has: check for stray line ends"
            )
        return value

    return lookup


def nowhere(name: str) -> None:
    """A lookup that finds nothing."""


def _read_secret(path: str) -> str | None:
    """The text of a secret file without its final newline; None where there is no such file."""
    try:
        content = read_regular(path, max_bytes=MAX_SECRET_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"file {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"file {path} {error}") from None
    return content.decode("latin-1").removesuffix("\n")
