"""Text from outside as we may repeat it: cut, quoted, printable, and with the word that was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

SHOWN_CHARS = 60
_KEY_LIKE = re.compile(r"(sk-|gsk_|AIza|xai-|hf_|nvapi-|csk-)\w|[A-Za-z0-9_\-+/=]{32,}")


def printable(text: str) -> str:
    """Text without the control characters that could drive a terminal; lines and tabs stay."""
    return "".join(char for char in text if char.isprintable() or char in "\n\t")


def one_line(text: str) -> str:
    """Text as one line of printable characters; every run of anything else is one space."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def near_miss(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that was probably meant, or None.

    Words of more than 60 characters are nobody's slip of the pen, and costly to compare.
    """
    if len(word) > SHOWN_CHARS:
        return None
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`, did you mean 'x'?` where a known word is near, else nothing."""
    near = near_miss(word, known)
    return f", did you mean '{near}'?" if near else ""


def looks_like_key(text: str) -> bool:
    """True for text that may be somebody's API key, and so must not be repeated."""
    return bool(_KEY_LIKE.search(text))


def shown(value: Any) -> str:
    """A value as a message may repeat it: quoted, cut to 60 characters, and hidden if it might be a key."""
    text = value if isinstance(value, str) else str(value)
    if looks_like_key(text):
        return "'***'"
    return repr(text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…")
