"""Normalises text: without the width, case, marks, markdown and quotes in which equal answers may differ."""

from __future__ import annotations

import re
import unicodedata

# NFKC would make 10² into 102, and 1½ into 11⁄2: these stay as they are.
_NOT_FOLDED = ("<super>", "<sub>", "<fraction>")
_EMOJI_STYLE = "\ufe0f\ufe0e"
_SPACES = re.compile(r"[^\S\n]+")
_FENCE = re.compile(r"\s*(```+|~~~+)[\w+-]*[^\S\n]*\n(.*?)\n?[^\S\n]*\1\s*", re.DOTALL)
_LINE_MARK = re.compile(r"(?:#{1,6}|[-*•+]|>|[0-9]{1,2}\.)\s+(?=\S)")
_QUOTES = "\"'“”‘’«»„‚‹›`"
_LEADING = _QUOTES + "*_([{¿¡ \t\n"
_TRAILING = _QUOTES + "*_)]}.,;:!?…。！？、， \t\n"
_PAIRS = re.compile(r"<([^<>]+)>|\$+([^$]+)\$+|~~(.+)~~|\\boxed\{(.*)\}|\\text\{(.*)\}", re.DOTALL)
_DASHES = str.maketrans({"−": "-", "‐": "-", "‑": "-", "’": "'", "‘": "'"})


def normal(text: str) -> str:
    """Compatible characters made one (NFKC), invisible ones removed, each run of spaces one space; lines stay."""
    if not text.isascii():
        parts = (
            c if _keeps_itself(c) else unicodedata.normalize("NFKC", c) for c in unicodedata.normalize("NFC", text)
        )
        text = unicodedata.normalize("NFC", "".join(parts).translate(_DASHES))
        text = "".join(c for c in text if unicodedata.category(c) != "Cf" and c not in _EMOJI_STYLE)
    return _SPACES.sub(" ", text.replace("\r\n", "\n")).strip()


def folded(text: str) -> str:
    """Normal, and without case."""
    return normal(normal(text).casefold())


def unfenced(text: str) -> str:
    """The content of a code fence, if the fence is the whole text; else the text."""
    fence = _FENCE.fullmatch(text)
    return fence[2] if fence else text


def peeled(text: str) -> str:
    """The text without markdown, quotes, brackets and punctuation around it; signs that mean something stay."""
    while True:
        text = text.strip()
        if pair := _PAIRS.fullmatch(text):
            text = next(inner for inner in pair.groups() if inner is not None)
        elif mark := _LINE_MARK.match(text):
            text = text[mark.end() :]
        else:
            bare = unfenced(text).lstrip(_LEADING).rstrip(_TRAILING)
            if bare == text:
                return bare
            text = bare


def _keeps_itself(character: str) -> bool:
    return unicodedata.decomposition(character).startswith(_NOT_FOLDED)
