"""Separates a model's reasoning from its answer: `<think>` and similar tags, in a whole text or in a stream.

Open models write their reasoning into the text, between tags, and not every server takes it out. A caller must not see
it, and a vote must not count it. But an answer may also be about such tags, so a plain search for them is not enough:

- A tag inside a markdown code block or code span is ordinary text (see `code_spans`).
- An opening tag that begins a line opens reasoning; if it is never closed, all the rest is reasoning. This is what an
  answer cut by `max_tokens` looks like.
- An opening tag in mid-line opens reasoning only if it is closed later; until that is known the text is held back. A
  sentence about `<think>` hardly ever closes it.
- Inside reasoning only its own closing tag counts, unless that stands directly between two backticks. Backticks in
  reasoning are too often unbalanced to be trusted further, and a missed end would swallow the answer.
- A closing tag that nothing opened ends reasoning that began before the first word: chat templates of DeepSeek-R1 and
  Qwen3 put the opening tag into the prompt, so that only the closing one is generated. A whole text is split there. In
  a stream, what has been passed on stays so, and `leaked` reports it; `starts_open` avoids that for models known to
  begin so.
"""

from __future__ import annotations

import re
from typing import Literal

from adapters.codec.code_spans import CodeSpanTracker

_NAMES = ("think", "thinking", "thought", "reasoning")
_CLOSER_OF = {f"<{name}>": f"</{name}>" for name in _NAMES} | {"◁think▷": "◁/think▷"}  # the last are Kimi's
_TAGS = (*_CLOSER_OF, *_CLOSER_OF.values())
_LONGEST = max(map(len, _TAGS))
_PREFIXES = frozenset(tag[:end] for tag in _TAGS for end in range(1, len(tag)))  # what a cut tag may look like


def _any_of(*tags: str) -> re.Pattern[str]:
    return re.compile("|".join(tags), re.IGNORECASE | re.ASCII)


_TAG = _any_of(*_TAGS)
_CLOSERS = {tag: _any_of(tag) for tag in _CLOSER_OF.values()}
_ANY_CLOSER = _any_of(*_CLOSERS)
_MARK = re.compile("[<◁]|`+")
_SPACE = re.compile(r"\s*")

PieceKind = Literal["text", "thought", "lone"]
Pieces = list[tuple[PieceKind, str]]


def split_reasoning(text: str, *, starts_open: bool = False) -> tuple[str, str]:
    """The answer and the reasoning in a whole text; `starts_open` if it begins inside reasoning."""
    if "<" not in text and "◁" not in text and not starts_open:
        return text, ""
    pieces = ReasoningFilter(starts_open=starts_open).pieces(text, final=True)
    lone = max((at for at, (kind, _) in enumerate(pieces) if kind == "lone"), default=-1)
    answer, after = _split(pieces[lone + 1 :])
    before = "".join(piece for kind, piece in pieces[: lone + 1] if kind != "lone")
    return (answer[_end_of_space(answer, 0) :] if lone >= 0 else answer), before + after


def _split(pieces: Pieces) -> tuple[str, str]:
    return (
        "".join(piece for kind, piece in pieces if kind == "text"),
        "".join(piece for kind, piece in pieces if kind == "thought"),
    )


class ReasoningFilter:
    """The same for text that arrives in pieces; the result does not depend on where they are cut.

    It holds back no more than the beginning of a tag, so that a stream stays a stream. Only from an opening tag in
    mid-line on it holds back everything, until the tag is closed or the text ends.
    """

    def __init__(self, *, starts_open: bool = False) -> None:
        self.leaked = False  # reasoning was passed on as text before its closing tag showed what it was
        self._closer = _ANY_CLOSER if starts_open else None  # inside reasoning: the pattern of the tag that ends it
        self._held: list[str] | None = None  # an opening tag in mid-line and what follows, until it proves to be one
        self._never: set[str] = set()  # closing tags known not to come any more
        self._tail = ""  # the end of the input that may be the beginning of a tag
        self._last = ""  # inside reasoning: the character before the tail
        self._code = CodeSpanTracker()
        self._passed = False  # something has been passed on as text
        self._blank = True  # nothing but white space has been
        self._trim = False  # drop the white space that comes next: it stood between the reasoning and the answer
        self._out: Pieces = []

    def feed(self, text: str) -> tuple[str, str]:
        """What `text` adds to the answer and to the reasoning."""
        if text and self._closer is None and not self._tail and not self._trim and not _has_mark(text):
            self._code.text(text)  # nearly every piece: three `in` tests cost far less than a regex search
            self._passed = True
            self._blank = self._blank and text.isspace()
            return text, ""
        return _split(self.pieces(text, final=False))

    def close(self) -> tuple[str, str]:
        """What was held back, now that the text has ended."""
        if not self._tail and self._held is None:
            return "", ""
        return _split(self.pieces("", final=True))

    def pieces(self, text: str, *, final: bool) -> Pieces:
        """What `text` adds, in order; `lone` marks a closing tag that nothing opened, `final` the end of the text."""
        text, self._tail = self._tail + text, ""
        at = 0
        while at < len(text) or (final and self._held is not None):
            if at == len(text):
                text, at = self._release_held(), 0
            elif self._closer:
                at = self._read_thought(text, at, final)
            else:
                at = self._read_answer(text, at, final)
        out, self._out = self._out, []
        return out

    def _read_answer(self, text: str, at: int, final: bool) -> int:
        """Passes on `text` from `at` up to the next tag, and returns where that tag ends."""
        if self._trim:
            at = _end_of_space(text, at)
            self._trim = at == len(text)
        shown = at
        while (mark := _MARK.search(text, at)) is not None:
            start, end = mark.span()
            self._code.text(text[at:start])
            at = end
            if text[start] == "`":
                self._code.backticks(end - start)
                continue
            if not final and len(text) - start < _LONGEST and not self._code.in_code and _is_begun(text[start:]):
                self._pass_on(text[shown:start])
                self._tail = text[start:]
                return len(text)
            tag = None if self._code.in_code else _TAG.match(text, start)
            if tag is None or self._is_mention(tag[0].lower()):
                self._code.text(text[start])
                continue
            self._pass_on(text[shown:start])
            self._take_tag(tag[0])
            return tag.end()
        self._code.text(text[at:])
        self._pass_on(text[shown:])
        return len(text)

    def _is_mention(self, tag: str) -> bool:
        """Whether `tag` stands in mid-line and cannot be closed any more."""
        return not self._code.line_is_blank and _CLOSER_OF.get(tag) in self._never

    def _take_tag(self, tag: str) -> None:
        """Enters reasoning at an opening tag, or notes a closing tag that nothing opened."""
        closer = _CLOSER_OF.get(tag.lower())
        if closer is None:
            self.leaked = self.leaked or self._passed
            self._out.append(("lone", tag))
            self._trim = self._blank
            return
        self._closer = _CLOSERS[closer]
        self._held = None if self._code.line_is_blank else [tag]
        self._last = ""

    def _pass_on(self, text: str) -> None:
        if text:
            self._out.append(("text", text))
            self._passed = True
            self._blank = self._blank and text.isspace()

    def _read_thought(self, text: str, at: int, final: bool) -> int:
        """Takes `text` from `at` on as reasoning up to its closing tag, and returns where that tag ends."""
        assert self._closer is not None
        begin = at
        while (tag := self._closer.search(text, at)) is not None:
            start, at = tag.span()
            before = text[start - 1] if start > begin else self._last
            if before == "`" and at == len(text) and not final:
                return self._hold(text, begin, start)
            if before != "`" or text[at : at + 1] != "`":
                self._add_thought(text[begin:start])
                self._end_thought()
                return at
        return self._hold(text, begin, len(text) if final else _begun_at(text, at))

    def _hold(self, text: str, begin: int, end: int) -> int:
        """Takes `text` up to `end` as reasoning, and keeps the rest until more comes."""
        self._add_thought(text[begin:end])
        self._tail = text[end:]
        return len(text)

    def _add_thought(self, text: str) -> None:
        if not text:
            return
        self._last = text[-1]
        if self._held is None:
            self._out.append(("thought", text))
        else:
            self._held.append(text)

    def _end_thought(self) -> None:
        if self._held is not None:
            self._out.append(("thought", "".join(self._held[1:])))
        self._held = self._closer = None
        self._trim = self._blank

    def _release_held(self) -> str:
        """Passes on a tag that was never closed, and returns what followed it, to be read again as answer."""
        assert self._held is not None
        tag, *rest = self._held
        self._never.add(_CLOSER_OF[tag.lower()])
        self._held = self._closer = None
        self._code.text(tag)
        self._pass_on(tag)
        return "".join(rest)


def _has_mark(text: str) -> bool:
    return "<" in text or "`" in text or "◁" in text


def _is_begun(text: str) -> bool:
    return text.lower() in _PREFIXES


def _begun_at(text: str, at: int) -> int:
    """Where in `text` a tag begins that its end cuts off; the length of `text` if there is none."""
    last = max(text.rfind("<", max(at, len(text) - _LONGEST)), text.rfind("◁", max(at, len(text) - _LONGEST)))
    return last if last >= 0 and _is_begun(text[last:]) else len(text)


def _end_of_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
