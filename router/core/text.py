"""Text from outside, made safe to repeat in messages: cut, quoted, printable; and suggestions for mistyped words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

SHOWN_CHARS = 60
_KEY_LIKE = re.compile(r"(sk-|gsk_|AIza|xai-|hf_|nvapi-|csk-)\w|[A-Za-z0-9_\-+/=]{32,}")


def printable(text: str) -> str:
    """The text without control characters, which could drive a terminal; line breaks and tabs stay."""
    return "".join(char for char in text if char.isprintable() or char in "\n\t")


def one_line(text: str) -> str:
    """The text as one line: each run of white space and unprintable characters becomes one space."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def near_miss(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that is most like `word`, or None if none is; `cutoff` is difflib's, from 0 to 1 (equal).

    A word of more than 60 characters gives None: it is no typing error, and costly to compare.
    """
    if len(word) > SHOWN_CHARS:
        return None
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=cutoff)), None)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message about a wrong word: `, did you mean 'x'?` if a known word is near, else nothing."""
    near = near_miss(word, known)
    return f", did you mean '{near}'?" if near else ""


def suggestion(word: str, allowed: Iterable[str]) -> str:
    """As `did_you_mean`, but lists all allowed words (`; allowed: a, b`) if none is near. Case is ignored."""
    words = list(allowed)
    return did_you_mean(word.lower(), words) or (f"; allowed: {', '.join(words)}" if words else "")


def looks_like_key(text: str) -> bool:
    """True for text that may be an API key, by a provider's prefix or its length, and so must not be repeated."""
    return bool(_KEY_LIKE.search(text))


def shown(value: Any) -> str:
    """A value as a message may quote it: cut to 60 characters, and `'***'` if it may be a key."""
    text = value if isinstance(value, str) else str(value)
    if looks_like_key(text):
        return "'***'"
    return repr(text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…")
