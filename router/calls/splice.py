"""Splices a continuation onto an answer whose stream was cut, so that no word is doubled or missing at the seam.

Told to continue, a model rarely begins exactly where the text ended: it repeats the last words, the last sentence or
the whole answer, and puts a label, dots or quotes before it. `Splice` removes these from the beginning of the
continuation while it streams, and changes nothing else.

Text alone cannot always tell a repetition from new words: after "ha ha", a continuation "ha ha" may be the same two
words or two more. The longest repetition counts, since models repeat themselves more often than texts do. Part of a
word counts only from its first letter on: "lo" after "hel" is far more likely the rest of "hello".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

_REACH = 400  # characters at the end in which a repetition may begin; as many repeated from the start are a restart
_RESTART = 80  # characters: a continuation that begins with the text's first ones is a new answer, if it then differs
_LONG = 6  # characters: a shorter repetition must begin at a word, or it is likely part of a new word
_LONG_PREFILLED = 40  # characters: after a prefill, a shorter match is chance, as the model continues its own text
_MOST_HELD = 4096  # characters: a continuation of white space alone would otherwise be held back without end
_MARKER = re.compile(r"(?:^|\n)[^\S\n]*([-*+>|]|#{1,6})\s*$")  # a last line that has only its list bullet so far
_UNIT = re.compile(r"\s+|\S")
_LABELS = (
    "Continuing:",
    "Continuing...",
    "Continuing…",
    "Continuing where I left off:",
    "Continuing from where I left off:",
    "Continuation:",
    "Continued:",
    "(continued)",
    "(Continued)",
    "(continuing)",
    "Here is the rest:",
    "Here's the rest:",
    "Here is the continuation:",
    "Here's the continuation:",
)
_CLOSING = {'"': '"', "“": "”", "„": "“", "«": "»", "'": "'", "‘": "’", "`": "`"}
_LEADS: tuple[tuple[str, ...], ...] = (_LABELS, ("…", "..."), tuple(_CLOSING))


class Splice:
    """Joins a continuation to `said`: pieces are fed in, and come out without what `said` already contains.

    Text is held back only while it could still be a repetition. White space of any kind counts as equal, and is not
    doubled at the seam. `overlap` counts the characters removed so far. `strayed` is True when the model began the
    whole answer anew and then worded it differently: none of that is passed on, and another seat may be asked.
    `prefill` says that the model was given `said` as the beginning of its own answer, and so rarely repeats it.
    """

    def __init__(self, said: str, *, prefill: bool = False) -> None:
        body = said.rstrip()
        self._said = _spaced(body)
        self._space = said[len(body) :][-_REACH:]
        self._echoes = _echoes(self._said, _MARKER.search(said), prefill=prefill)
        self._held = ""
        self._skipped = 0  # characters of `_said` that were repeated since a restart became certain
        self._quote = ""
        self._state: Callable[[str, bool], str] = self._listening if body else self._passing
        self.overlap = 0
        self.strayed = False

    def feed(self, piece: str) -> str:
        """The text that may be passed on after this piece."""
        return self._state(self._taken() + piece, False)

    def close(self) -> str:
        """The text still held back, once the continuation has ended."""
        return self._state(self._taken(), True)

    def _listening(self, text: str, last: bool) -> str:
        """First state: nothing has been passed on yet, since all of it may be repetition."""
        lead = _lead(text)
        views = [(at, _spaced(text[at:])) for at in lead.starts]
        for at, heard in views:
            if self._is_restart(heard.lstrip(" ")):
                self.overlap += at
                return self._goes_on(self._skipping, text[at:].lstrip(), last)
        if not last and len(text) < _MOST_HELD and (lead.may_grow or any(self._may_echo(heard) for _, heard in views)):
            return self._hold(text)
        for at, heard in views:
            if echo := self._echo(heard):
                end = at + _end(text[at:], len(echo) + heard.startswith(" "))
                self._quote = _CLOSING.get(text[:at].rstrip()[-1:], "")
                self.overlap += end
                return self._goes_on(self._joining, text[end:], last)
        if len(self._said) >= _RESTART and any(
            heard.lstrip(" ").startswith(self._said[:_RESTART]) for _, heard in views
        ):
            return self._goes_on(self._straying, text, last)
        self.overlap += lead.label_end
        return self._goes_on(self._joining, text[lead.label_end :], last)

    def _is_restart(self, heard: str) -> bool:
        return len(self._said) > _REACH <= len(heard) and self._said.startswith(heard[:_REACH])

    def _may_echo(self, heard: str) -> bool:
        begun = heard.lstrip(" ")
        return self._said.startswith(begun) or any(echo.startswith(begun) for echo in self._echoes)

    def _echo(self, heard: str) -> str:
        """The longest repetition that `heard` begins with, or an empty text."""
        begun, spaced = heard.lstrip(" "), heard.startswith(" ")
        found = (echo for echo in self._echoes if begun.startswith(echo) and _holds(echo, begun, spaced=spaced))
        return max(found, key=len, default="")

    def _skipping(self, text: str, last: bool) -> str:
        """State after a restart: the model repeats the whole answer, which is removed."""
        again = _spaced(text)
        if self._said[self._skipped - 1] == " ":  # index -1 at the start is the last character, never a space
            again = again.lstrip(" ")
        missing = len(self._said) - self._skipped
        if len(again) >= missing and again.startswith(self._said[self._skipped :]):
            end = _end(text, missing + len(_spaced(text)) - len(again))
            self.overlap += end
            return self._goes_on(self._joining, text[end:], last)
        if last or not self._said.startswith(again, self._skipped):
            return self._goes_on(self._straying, text, last)
        self._skipped += len(again)
        self.overlap += len(text)
        return ""

    def _straying(self, text: str, last: bool) -> str:
        """Last state of a new answer: all of it is removed."""
        self.strayed = True
        self.overlap += len(text)
        return ""

    def _joining(self, text: str, last: bool) -> str:
        """State at the seam: the repetition is over; white space that ended `said` is not doubled."""
        ends = [self._space[at:] for at in range(len(self._space))]
        if not last and any(end.startswith(text) and end != text for end in ends):
            return self._hold(text)
        twice = next((len(end) for end in ends if text.startswith(end)), 0)
        self.overlap += twice
        return self._goes_on(self._passing, text[twice:], last)

    def _passing(self, text: str, last: bool) -> str:
        """Last state: all text is new, except a closing quote whose opening one was removed."""
        shown = text.rstrip()
        if not (self._quote and shown.endswith(self._quote)):
            return text
        rest = text[len(shown) - len(self._quote) :]
        if last:
            self.overlap += len(rest)
        else:
            self._hold(rest)
        return text[: -len(rest)]

    def _goes_on(self, state: Callable[[str, bool], str], text: str, last: bool) -> str:
        self._state = state
        return state(text, last)

    def _hold(self, text: str) -> str:
        self._held = text
        return ""

    def _taken(self) -> str:
        held, self._held = self._held, ""
        return held


class _Lead(NamedTuple):
    """Where a continuation may really start: at 0, or behind a label, dots or a quote.

    `label_end` is the end of a label, 0 without one; `may_grow` is True while more text could complete a lead.
    """

    starts: list[int]
    label_end: int
    may_grow: bool


def _lead(text: str) -> _Lead:
    at, starts, label_end, may_grow = _behind_space(text, 0), [0], 0, False
    for marks in _LEADS:
        begun = text[at:]
        may_grow = may_grow or any(mark.startswith(begun) and mark != begun for mark in marks)
        if mark := next((mark for mark in marks if begun.startswith(mark)), ""):
            label_end = at + len(mark) if marks is _LABELS else label_end
            at = _behind_space(text, at + len(mark))
            starts.append(at)
    return _Lead(starts, label_end, may_grow)


def _behind_space(text: str, at: int) -> int:
    return len(text) - len(text[at:].lstrip())


def _spaced(text: str) -> str:
    """`text` with one space for each run of white space."""
    return re.sub(r"\s+", " ", text)


def _end(text: str, length: int) -> int:
    """Where the first `length` characters of the spaced text end in the text itself."""
    return next((found.start() for at, found in enumerate(_UNIT.finditer(text)) if at == length), len(text))


def _echoes(said: str, marker: re.Match[str] | None, *, prefill: bool) -> frozenset[str]:
    """The ends of `said` that count as a repetition when a continuation begins with them."""
    starts = range(max(0, len(said) - _REACH), len(said))
    found = {said[at:] for at in starts if _counts(said, at, prefill=prefill)}
    return frozenset(found | {said} | ({marker[1]} if marker and not prefill else set()))


def _counts(said: str, at: int, *, prefill: bool) -> bool:
    echo = said[at:]
    if echo[0] == " " or (prefill and len(echo) < _LONG_PREFILLED):
        return False
    begins_word = at == 0 or not (_in_word(said[at - 1]) and _in_word(said[at]))
    says_word = any(char.isalpha() for char in echo)
    says_number = begins_word and len(echo) >= 4 and any(char.isdigit() for char in echo)
    return says_number or (says_word and (begins_word or len(echo) >= _LONG))


def _holds(echo: str, begun: str, *, spaced: bool) -> bool:
    """False if a longer word or number merely begins like the repetition: " theory" after "the", 1000 after 100."""
    goes_on = _in_word(echo[-1]) and _in_word(begun[len(echo) : len(echo) + 1] or " ")
    return not goes_on or " " in echo or not (spaced or echo.isdigit())


def _in_word(char: str) -> bool:
    return char.isalnum() or char in "_'’"
