"""References in a registry to values it must not contain: `${VAR}`, `${VAR:-default}`, `${file:/run/secrets/x}`."""

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
"""The value of `VAR` or of `file:/path`; None if it has none; raises `ValueError` for one that cannot be used."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A text with its references replaced by their values; those named in `missing` have none and stay as written."""

    text: str
    missing: tuple[str, ...] = ()


def check_references(text: str) -> str:
    """Returns the text unchanged; raises `ValueError` if a `$` in it does not begin a well-formed reference."""
    if "$" in _REFERENCE.sub("", text):
        raise ValueError("a reference is written ${VAR}, ${VAR:-default} or ${file:/path}")
    return text


def check_key_reference(text: str) -> str:
    """Returns the text unchanged; raises `ValueError`, without quoting it, if it is not exactly one reference."""
    match = _REFERENCE.fullmatch(text)
    if not match:
        raise ValueError("a literal key is refused: write ${VAR}, ${VAR:-default} or ${file:/run/secrets/x}")
    if looks_like_key(match["default"] or ""):
        raise ValueError("the default of an api_key looks like a real key: put it into a variable or a file")
    return text


def resolve(text: str, lookup: Lookup) -> Resolved:
    """Replaces every reference in a text by its value; an empty value counts as none, as in the shell's `:-`.

    Raises `ValueError` as `lookup` does.
    """
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
    """A lookup of variables in a mapping and of secret files on disk."""

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
    """The text of a secret file without its final newline; None if there is no such file.

    Latin-1, so that no byte can fail to decode; `environment` then refuses what is not ASCII.
    """
    try:
        content = read_regular(path, max_bytes=MAX_SECRET_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"file {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"file {path} {error}") from None
    return content.decode("latin-1").removesuffix("\n")
