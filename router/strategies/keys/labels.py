"""Finds the label that an answer names: from the bare word to a sentence about it, and none when in doubt.

The first of these that says anything decides: the whole text is a label; it is JSON with one; it states its answer
(`Answer: spam`, a line that is nothing but a label); it mentions exactly one label without denying it. A spoiled vote
costs little, a vote for what the model did not mean costs the answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from router.strategies.keys.documents import read_json
from router.strategies.keys.final import stated
from router.strategies.keys.wording import folded, normal, peeled

_MAX_CHARS = 20_000  # an essay is no ballot
_FIELDS = ("label", "answer", "class", "category", "classification", "verdict", "result", "choice", "vote", "decision")
_CLAUSES = re.compile(r"[.,;:!?…()\n]+|\s[-–—]+\s|—|\b(?:but|rather|instead|because|since)\b")
_SENTENCES = re.compile(r"[.!?…\n]+\s")
_NEGATION = re.compile(r"\b(?:not|never|neither|nor|cannot|cant|hardly|isnt|without|non)\b|n't\b|\bnot\b")
_DENIED = re.compile(r"\bno (?:a |an |the )?$")


@dataclass(frozen=True, slots=True)
class _Labels:
    """The labels of one request, by each form they may be met in; a form that two of them share names neither."""

    forms: tuple[tuple[Callable[[str], str], dict[str, str]], ...]
    mention: re.Pattern[str]
    mentioned: dict[str, str]


def label_of(text: str, labels: tuple[str, ...], *, cut: bool = False) -> str | None:
    """The one label that `text` names, as it was given; None if none, or several, or one that is denied.

    Of a `cut` text only a whole label counts: what it was going to say is not known.
    """
    known = _known(labels)
    text = normal(text) if len(text) <= _MAX_CHARS else ""
    whole = _whole(text, known)
    if whole or cut or not text:
        return whole
    try:
        return _of_json(read_json(text), known)
    except (ValueError, RecursionError):
        pass
    said = [_stated(words, known) for words in stated(text)]
    said += [_whole(line, known) for line in text.split("\n")] if not said else []
    named = {label for label in said if label is not None}
    if named:
        return named.pop() if len(named) == 1 else None
    return _mentioned(text, known)


@lru_cache(maxsize=256)
def _known(labels: tuple[str, ...]) -> _Labels:
    forms = tuple(
        (form, _unique((form(label), label) for label in labels))
        for form in (normal, folded, lambda text: peeled(normal(text)), lambda text: folded(peeled(text)))
    )
    # A single letter is also a word or a point in a list: it is only met in its own case.
    words = [normal(label) if len(label) == 1 else folded(label) for label in labels]
    longest_first = sorted(set(words), key=len, reverse=True)
    either = "|".join(re.escape(word) if len(word) == 1 else f"(?i:{re.escape(word)})" for word in longest_first)
    mention = re.compile(rf"(?<![\w+#-])(?:{either})(?![\w+#]|-\w)")
    return _Labels(forms, mention, _unique(zip(words, labels, strict=True)))


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found = list(pairs)
    met = Counter(form for form, _ in found)
    return {form: label for form, label in found if met[form] == 1 and form}


def _whole(text: str, known: _Labels) -> str | None:
    return next((labels[form(text)] for form, labels in known.forms if form(text) in labels), None)


def _of_json(value: Any, known: _Labels) -> str | None:
    if isinstance(value, dict):
        fields = [name for name in value if str(name).casefold() in _FIELDS] if len(value) > 1 else list(value)
        return _of_json(value[fields[0]], known) if len(fields) == 1 else None
    if isinstance(value, list):
        return _of_json(value[0], known) if len(value) == 1 else None
    written = {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value
    return _whole(str(written), known) if isinstance(written, str | int) else None


def _stated(words: str, known: _Labels) -> str | None:
    return _whole(words, known) or _mentioned(words, known)


# --- labels inside sentences -----------------------------------------------------------------------------------------


def _mentioned(text: str, known: _Labels) -> str | None:
    affirmed: set[str] = set()
    denied: set[str] = set()
    for sentence in _parted(text, _SENTENCES):
        stray = False  # a "not" that denies no label of its own clause may be about one in the next
        for clause in _parted(sentence, _CLAUSES):
            labels, negated = _in_clause(clause, known)
            (denied if negated or stray else affirmed).update(labels)
            stray = stray or (negated and not labels)
    return affirmed.pop() if len(affirmed) == 1 and not affirmed & denied else None


def _in_clause(clause: str, known: _Labels) -> tuple[Sequence[str], bool]:
    """The labels of a clause, and whether it has a negation outside of them."""
    found = list(known.mention.finditer(clause))
    around = known.mention.sub("_", clause).casefold()
    denied = bool(found) and _DENIED.search(clause[: found[0].start()].casefold()) is not None
    labels = [known.mentioned.get(match[0]) or known.mentioned.get(folded(match[0]), "") for match in found]
    return [label for label in labels if label], denied or _NEGATION.search(around) is not None


def _parted(text: str, where: re.Pattern[str]) -> Iterator[str]:
    at = 0
    for cut in where.finditer(text):
        yield text[at : cut.end()]
        at = cut.end()
    yield text[at:]
