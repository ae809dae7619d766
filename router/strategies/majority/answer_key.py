"""The key of an answer: what two answers share when they say the same, however each is written. Pure.

Equal keys are one answer. Where it is not certain that two answers mean the same, their keys differ: a vote that is
split shows in its agreement, one that is wrongly joined shows nowhere.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from adapters.codec.reasoning import split_reasoning
from adapters.types import Answer, ResponseFormat
from router.strategies.keys.dates import date_key
from router.strategies.keys.documents import calls_key, document_key
from router.strategies.keys.final import lead_in_removed
from router.strategies.keys.labels import label_of
from router.strategies.keys.numbers import number_key
from router.strategies.keys.wording import folded, normal, peeled

MAX_WORDS = 12
MAX_CHARS = 80
_MAX_KEY_CHARS = 200
_MAX_SAID_CHARS = 1_000  # more than any short answer with its markdown and quotes
_YES_NO = {"yes": "yes", "true": "yes", "no": "no", "false": "no"}
_EDGES = "\"'“”‘’«»„‚‹›`*_()[]{}.,;:!?…。！？、，¿¡"
_SKIN_TONES = "🏻🏼🏽🏾🏿"
_REFUSAL = re.compile(
    r"(?:(?:i'?m|i am|we'?re) (?:very |so )?sorry|sorry|i apologi[sz]e|unfortunately)?[,.]? ?(?:but )?"
    r"(?:i|we)(?: am|'m| are|'re)? (?:can'?t|can not|cannot|won'?t|will not|unable to|not able to) "
    r"(?:\w+ ){0,2}?(?:help|assist|answer|comply|do|provide|fulfil|fulfill|discuss|determine|say|tell|classify)\b"
)

Form = Literal["label", "json", "tools", "number", "date", "yes_no", "text", "prose"]


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """The value an answer is compared by, and the form it was read in; `prose` is equal to itself alone."""

    value: str
    form: Form


@dataclass(frozen=True, slots=True)
class BallotKind:
    """How answers are read: as one of `labels`, as JSON without what the pointers `ignored` name, or each as it is."""

    name: Literal["label", "json", "open"]
    labels: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def ballot_kind(
    labels: tuple[str, ...], response_format: ResponseFormat | None, ignored: tuple[str, ...] = ()
) -> BallotKind:
    """How the answers to a request are read: labels win over a form, and a form over guessing from each answer."""
    if labels:
        return BallotKind("label", labels)
    if response_format is not None and response_format.kind != "text":
        return BallotKind("json", ignored=ignored)
    return BallotKind("open", ignored=ignored)


def key_of(answer: Answer, kind: BallotKind) -> AnswerKey | None:
    """The key of an answer, or None where it is spoiled: empty, refused, cut, denied, or not one of the labels."""
    if answer.finish_reason == "content_filter" or (answer.refusal and not answer.text and not answer.tool_calls):
        return None
    cut = answer.finish_reason == "length"
    text, _ = split_reasoning(answer.text)
    if kind.name == "label":
        label = None if answer.tool_calls else label_of(text, kind.labels, cut=cut)
        return AnswerKey(label, "label") if label is not None else None
    if answer.tool_calls:
        return _key(calls_key(answer.tool_calls), "tools")
    if kind.name == "json":
        return _key(document_key(text, kind.ignored), "json")
    return None if cut else _open_key(text, kind)


def _open_key(text: str, kind: BallotKind) -> AnswerKey | None:
    document = _document(text, kind)
    said = lead_in_removed(text)
    if document or len(said) > _MAX_SAID_CHARS:
        return document or _prose(text)
    said = normal(said)
    bare = peeled(said)
    forms: tuple[tuple[Form, str | None], ...] = (
        ("number", number_key(bare)),
        ("date", date_key(bare)),
        ("yes_no", _YES_NO.get(bare.casefold())),
    )
    for form, value in forms:
        if value is not None:
            return AnswerKey(value, form)
    if not said or _REFUSAL.match(folded(said)):
        return None
    words = short_text(bare)
    if words is None:
        return _prose(text)
    return AnswerKey(words, "text") if words else None


def short_text(text: str) -> str | None:
    """Words without case, markdown, emoji and the punctuation around them; None where they are too many to compare."""
    words = [word.strip(_EDGES) for word in folded(text).split()]
    plain = [bare for bare in map(_without_emoji, words) if any(map(_means_something, bare))]
    kept = plain or [word for word in words if any(unicodedata.category(c) == "So" for c in word)]
    line = " ".join(kept)
    return line if len(kept) <= MAX_WORDS and len(line) <= MAX_CHARS else None


def _without_emoji(word: str) -> str:
    return "".join(c for c in word if unicodedata.category(c) != "So" and c not in _SKIN_TONES)


def _means_something(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character) == "Sm"  # ≈ 42 is not 42


def _document(text: str, kind: BallotKind) -> AnswerKey | None:
    """The text as JSON, if it is an object or a list: a bare number or word is read as what it is."""
    found = text.lstrip(" \t\r\n`jsonJSON")[:1] in ("{", "[")
    return _key(document_key(text, kind.ignored), "json") if found else None


def _prose(text: str) -> AnswerKey:
    return AnswerKey(_digest(" ".join(text.casefold().split())), "prose")


def _key(value: str | None, form: Form) -> AnswerKey | None:
    if value is None:
        return None
    return AnswerKey(value if len(value) <= _MAX_KEY_CHARS else _digest(value), form)


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}"
