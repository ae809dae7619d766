"""Keeps a model's thoughts out of its answer: finds `<think>` and its kin in text, whole or as it streams in.

What counts as a thought:

- A tag inside a markdown fence or an inline code span is ordinary text; a span ends with its line at the latest.
- An opening tag that begins a line opens a thought; if it is never closed, all the rest is the thought.
- An opening tag in mid-line opens one only if it is closed later; until that is known the text waits.
- Inside a thought only its own closing tag counts, unless that stands directly between two backticks: backticks
  in thoughts are too often unbalanced to be trusted further, and a missed end would swallow the answer.
- A closing tag that nothing opened ends a thought that began before the first word, as chat templates that open it
  in the prompt make them. A whole text is judged so; what a stream has given out stays, and `leaked` says so.
"""

from __future__ import annotations

import re
from typing import Literal

from adapters.codec.markdown import Line

_NAMES = ("think", "thinking", "thought", "reasoning")
_CLOSER_OF = {f"<{name}>": f"</{name}>" for name in _NAMES} | {"◁think▷": "◁/think▷"}
_TAGS = (*_CLOSER_OF, *_CLOSER_OF.values())
_LONGEST = max(map(len, _TAGS))
_PREFIXES = frozenset(tag[:end] for tag in _TAGS for end in range(1, len(tag)))


def _pattern(*tags: str) -> re.Pattern[str]:
    return re.compile("|".join(tags), re.IGNORECASE | re.ASCII)


_TAG = _pattern(*_TAGS)
_CLOSERS = {tag: _pattern(tag) for tag in _CLOSER_OF.values()}
_ANY_CLOSER = _pattern(*_CLOSERS)
_MARK = re.compile("[<◁]|`+")
_SPACE = re.compile(r"\s*")

Kind = Literal["text", "thought", "lone"]
Pieces = list[tuple[Kind, str]]


def split_reasoning(text: str, *, starts_open: bool = False) -> tuple[str, str]:
    """The answer and the reasoning of a whole text."""
    if "<" not in text and "◁" not in text and not starts_open:
        return text, ""
    pieces = ReasoningFilter(starts_open=starts_open).pieces(text, final=True)
    lone = max((at for at, (kind, _) in enumerate(pieces) if kind == "lone"), default=-1)
    answer, after = _sorted(pieces[lone + 1 :])
    before = "".join(piece for kind, piece in pieces[: lone + 1] if kind != "lone")
    return (answer[_end_of_space(answer, 0) :] if lone >= 0 else answer), before + after


def _sorted(pieces: Pieces) -> tuple[str, str]:
    return (
        "".join(piece for kind, piece in pieces if kind == "text"),
        "".join(piece for kind, piece in pieces if kind == "thought"),
    )


class ReasoningFilter:
    """The same rule for text that arrives in pieces; what it says does not depend on where they are cut.

    It holds back no more than a tag, except from a mid-line opening tag on, until that is closed or the text ends.
    """

    def __init__(self, *, starts_open: bool = False) -> None:
        self.leaked = False  # a closing tag came too late for thoughts that were already given out
        self._closer = _ANY_CLOSER if starts_open else None  # inside a thought: what ends it
        self._held: list[str] | None = None  # a thought in doubt: the opening tag in mid-line, and what follows it
        self._never: set[str] = set()  # closing tags that are known not to come any more
        self._tail = ""  # the undecided end of what came in
        self._last = ""  # the character before the tail, inside a thought
        self._line = Line()
        self._shown = False  # something has been given out as text,
        self._blank = True  # but only white space so far
        self._trim = False  # white space that comes next is dropped
        self._out: Pieces = []

    def feed(self, text: str) -> tuple[str, str]:
        """What `text` adds to the answer and to the reasoning."""
        if text and self._closer is None and not self._tail and not self._trim and not _has_mark(text):
            self._line.words(text)  # nearly all text: worth the look, since a search costs far more
            self._shown = True
            self._blank = self._blank and text.isspace()
            return text, ""
        return _sorted(self.pieces(text, final=False))

    def close(self) -> tuple[str, str]:
        """What was held back, now that the text has ended."""
        if not self._tail and self._held is None:
            return "", ""
        return _sorted(self.pieces("", final=True))

    def pieces(self, text: str, *, final: bool) -> Pieces:
        """What `text` adds, in order; `lone` marks a closing tag that nothing opened."""
        text, self._tail = self._tail + text, ""
        at = 0
        while at < len(text) or (final and self._held is not None):
            if at == len(text):
                text, at = self._release(), 0
            elif self._closer:
                at = self._think(text, at, final)
            else:
                at = self._speak(text, at, final)
        out, self._out = self._out, []
        return out

    def _speak(self, text: str, at: int, final: bool) -> int:
        """Shows `text` from `at` up to the next tag, and returns where that ends."""
        if self._trim:
            at = _end_of_space(text, at)
            self._trim = at == len(text)
        shown = at
        while (mark := _MARK.search(text, at)) is not None:
            start, end = mark.span()
            self._line.words(text[at:start])
            at = end
            if text[start] == "`":
                self._line.backticks(end - start)
                continue
            if not final and len(text) - start < _LONGEST and not self._line.in_code and _is_begun(text[start:]):
                self._show(text[shown:start])
                self._tail = text[start:]
                return len(text)
            tag = None if self._line.in_code else _TAG.match(text, start)
            if tag is None or self._is_mention(tag[0].lower()):
                self._line.words(text[start])
                continue
            self._show(text[shown:start])
            self._meet(tag[0])
            return tag.end()
        self._line.words(text[at:])
        self._show(text[shown:])
        return len(text)

    def _is_mention(self, tag: str) -> bool:
        return not self._line.is_blank and _CLOSER_OF.get(tag) in self._never

    def _meet(self, tag: str) -> None:
        closer = _CLOSER_OF.get(tag.lower())
        if closer is None:
            self.leaked = self.leaked or self._shown
            self._out.append(("lone", tag))
            self._trim = self._blank
            return
        self._closer = _CLOSERS[closer]
        self._held = None if self._line.is_blank else [tag]
        self._last = ""

    def _show(self, text: str) -> None:
        if text:
            self._out.append(("text", text))
            self._shown = True
            self._blank = self._blank and text.isspace()

    def _think(self, text: str, at: int, final: bool) -> int:
        """Puts `text` away from `at` to the end of the thought, and returns where the tag that closes it ends."""
        assert self._closer is not None
        begin = at
        while (tag := self._closer.search(text, at)) is not None:
            start, at = tag.span()
            before = text[start - 1] if start > begin else self._last
            if before == "`" and at == len(text) and not final:
                return self._wait(text, begin, start)
            if before != "`" or text[at : at + 1] != "`":
                self._put_away(text[begin:start])
                self._leave()
                return at
        return self._wait(text, begin, len(text) if final else _begun_at(text, at))

    def _wait(self, text: str, begin: int, end: int) -> int:
        self._put_away(text[begin:end])
        self._tail = text[end:]
        return len(text)

    def _put_away(self, text: str) -> None:
        if not text:
            return
        self._last = text[-1]
        if self._held is None:
            self._out.append(("thought", text))
        else:
            self._held.append(text)

    def _leave(self) -> None:
        if self._held is not None:
            self._out.append(("thought", "".join(self._held[1:])))
        self._held = self._closer = None
        self._trim = self._blank

    def _release(self) -> str:
        """Shows a tag that was only mentioned; what follows is judged again, knowing that nothing closes it."""
        assert self._held is not None
        tag, *rest = self._held
        self._never.add(_CLOSER_OF[tag.lower()])
        self._held = self._closer = None
        self._line.words(tag)
        self._show(tag)
        return "".join(rest)


def _has_mark(text: str) -> bool:
    return "<" in text or "`" in text or "◁" in text


def _is_begun(text: str) -> bool:
    return text.lower() in _PREFIXES


def _begun_at(text: str, at: int) -> int:
    """Where a tag begins that `text` may be cut in; its length if there is none."""
    last = max(text.rfind("<", max(at, len(text) - _LONGEST)), text.rfind("◁", max(at, len(text) - _LONGEST)))
    return last if last >= 0 and _is_begun(text[last:]) else len(text)


def _end_of_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
