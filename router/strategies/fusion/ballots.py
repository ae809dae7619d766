"""Reads a reviewer's reply as a ranking, or says what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from adapters.types import Answer

_READ_CHARS = 20_000  # of a reply, from its end: that is where a ballot stands after prose
_FLAT_OBJECT = re.compile(r"\{[^{}]*\}")
_LABEL = re.compile(r"(?:answer|response)?\s*([A-Z])", re.IGNORECASE)
_NUMBERED = re.compile(r"\d+\.\s*Response ([A-Z])")
_NAMED = re.compile(r"Response ([A-Z])")
_FINAL = "FINAL RANKING:"


@dataclass(frozen=True, slots=True)
class RankedBallot:
    """The labels of a reply, best first; `problem` says why it cannot be counted, in words the reviewer may be told."""

    ranking: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def valid(self) -> bool:
        """True when the ballot counts."""
        return self.problem is None


def read_ballot(answer: Answer, labels: Collection[str], nonce: str) -> RankedBallot:
    """The ballot in a reply: one JSON object with the nonce, naming each label once; prose around it does no harm.

    Objects without the nonce are quotations: what reviewers read cannot contain it. `labels` are those the reviewer was
    shown. A reviewer may say its ballot twice, but not two different ones.
    """
    found = [_checked(thing["ranking"], labels) for thing in _objects(answer.text) if _is_ballot(thing, nonce)]
    valid = {ballot for ballot in found if ballot.valid}
    match len(valid):
        case 1:
            return valid.pop()
        case 0 if found:
            return found[-1]
        case 0 if answer.refusal or not answer.text.strip():
            return RankedBallot(problem="it holds no ranking")
        case 0:
            return RankedBallot(problem="it holds no JSON object of the form that was asked for, with its nonce")
        case _:
            return RankedBallot(problem="it holds more than one ranking")


def read_final_ranking(answer: Answer, labels: Collection[str], nonce: str) -> RankedBallot:
    """The labels below the first `FINAL RANKING:` of a reply, else wherever it names them; the parity mode's reading.

    It takes what it finds: labels may be missing, unknown or repeated, and what is quoted cannot be told from a ballot.
    """
    _, marked, rest = answer.text.partition(_FINAL)
    section = rest.split(_FINAL)[0]
    ranking = _NUMBERED.findall(section) or _NAMED.findall(section if marked else answer.text)
    return RankedBallot(tuple(ranking)) if ranking else RankedBallot(problem="it names no response")


def _objects(text: str) -> Iterator[Any]:
    end = text[-_READ_CHARS:]
    for piece in (end, *_FLAT_OBJECT.findall(end)):
        try:
            yield json.loads(piece)
        except (ValueError, RecursionError):
            continue


def _is_ballot(thing: Any, nonce: str) -> bool:
    return isinstance(thing, dict) and thing.get("nonce") == nonce and isinstance(thing.get("ranking"), list)


def _checked(ranking: list[Any], labels: Collection[str]) -> RankedBallot:
    read = tuple(_label(entry) for entry in ranking)
    if unknown := sum(label not in labels for label in read):
        return RankedBallot(problem=f"its ranking has {unknown} entries that are no label of an answer")
    if len(set(read)) < len(read):
        return RankedBallot(problem="its ranking names a label twice")
    if missing := sorted(set(labels) - set(read)):
        return RankedBallot(problem=f"its ranking leaves out {', '.join(missing)}")
    return RankedBallot(read)


def _label(entry: Any) -> str:
    named = _LABEL.fullmatch(entry.strip()) if isinstance(entry, str) else None
    return named[1].upper() if named else ""
