"""The meaning of YAML scalars: the core schema of YAML 1.2, and a refusal where a YAML 1.1 reader would differ.

People and editors disagree about `no`, `010` or `1:30`. Such a value is an error with advice, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from router.core.text import shown

Scalar = str | int | float | bool | None

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")

_CONSTANTS: Mapping[str, bool | None] = MappingProxyType(
    {
        **dict.fromkeys(("true", "True", "TRUE"), True),
        **dict.fromkeys(("false", "False", "FALSE"), False),
        **dict.fromkeys(("null", "Null", "NULL", "~"), None),
    }
)
# Fifteen digits are exact as an integer and as a double, so every JSON reader sees the same number.
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,14})")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]{0,7})\.[0-9]{1,8}")


class _Surprise(NamedTuple):
    """A form of unquoted text that readers take in two ways, and advice on what to write instead."""

    form: re.Pattern[str]
    advice: str


def _surprise(form: str, advice: str) -> _Surprise:
    return _Surprise(re.compile(form, re.IGNORECASE), advice)


_SURPRISES = (
    _surprise(r"no|off|n", 'means false to some YAML readers: write "{0}" in quotes, or false'),
    _surprise(r"yes|on|y", 'means true to some YAML readers: write "{0}" in quotes, or true'),
    _surprise(
        r"[-+]?0[0-9_]+", 'means an octal number to some YAML readers: write "{0}" in quotes, or no leading zero'
    ),
    _surprise(r"[-+]?0[xob][0-9a-f_]+", 'is not a decimal number: write it in decimal, or "{0}" in quotes'),
    _surprise(r"[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?", 'means a number to some YAML readers: write "{0}" in quotes'),
    _surprise(r"[-+]?[0-9][0-9_]*_[0-9_.]*", 'has underscores: write the digits alone, or "{0}" in quotes'),
    _surprise(r"\d{4}-\d\d?-\d\d?([t ].*)?", 'means a date to some YAML readers: write "{0}" in quotes'),
    _surprise(r"[-+]?\.(inf|nan)", "is not a finite number: write one"),
    _surprise(
        r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?",
        "is not a number in plain form: write it as 1000 or 0.5, with at most 15 digits",
    ),
)


def read_scalar(text: str, *, plain: bool) -> tuple[Scalar, str | None]:
    """The value of a scalar and None, or None and why it is refused; `plain` means written without quotes."""
    if control := CONTROL.search(text):
        return None, f"control character {control[0]!r} in a value"
    if not plain:
        return text, None
    if not text:
        return None, "has no value: write one, or remove the key"
    return _read_plain(text)


def _read_plain(text: str) -> tuple[Scalar, str | None]:
    if text in _CONSTANTS:
        return _CONSTANTS[text], None
    if _INT.fullmatch(text):
        return int(text), None
    if _FLOAT.fullmatch(text):
        return float(text), None
    for surprise in _SURPRISES:
        if surprise.form.fullmatch(text):
            return None, f"{shown(text)} {surprise.advice.format(text)}"
    return text, None
