"""Puts an answer together from its deltas, and decides what of a stream may be passed on to the caller.

Whole answers are turned into deltas and take the same way, so that both forms obey one set of rules:

- An answer says something: text, a refusal or a tool call. Where it says nothing, `length` is an honest empty answer
  (all tokens went into reasoning), `content_filter` is the error of that name, and anything else is a bad response.
  An empty 200 counted as an answer would win votes with silence.
- An answer ends: with a finish reason, or with the provider's own end of stream. Without either the stream was cut,
  even if the text looks complete. A missing `[DONE]` is not an error: Gemini and some gateways never send one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from adapters.codec.json_values import short_hash
from adapters.codec.reasoning import ReasoningFilter, split_reasoning
from adapters.codec.reasoning_details import DetailCollector, ReasoningDetails
from adapters.errors import ErrorKind, ProviderError
from adapters.types import Answer, Delta, FinishReason, ToolCall, ToolCallDelta, Usage

_NO_DELTA = Delta()


def collect(deltas: Iterable[Delta]) -> Answer:
    """The answer that all of `deltas` together make; raises `ProviderError` if they make none."""
    collector = StreamCollector()
    for delta in deltas:
        collector.add(delta)
    return collector.answer()


class StreamCollector:
    """Takes a stream's deltas as they come, and returns for each what may be passed on to the caller.

    What is passed on has no reasoning in its text. Tool calls are numbered from 0 without gaps and named in their first
    piece, as OpenAI's SDKs expect. Reasoning details come whole, with the finish reason, and only if the answer makes
    tool calls: no provider wants them back otherwise.

    `starts_open` is for models whose text begins inside reasoning (see `codec.reasoning`).
    """

    def __init__(self, *, starts_open: bool = False) -> None:
        self._starts_open = starts_open
        self._filter = ReasoningFilter(starts_open=starts_open)
        self._raw_text: list[str] = []  # text as it came, reasoning and all
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._reasoning_fields: list[str] = []  # reasoning that came in fields of its own
        self._thoughts: list[str] = []  # reasoning that was found in the text
        self._calls = _ToolCallCollector()
        self._details = DetailCollector()
        self._finish: FinishReason | None = None
        self._usage = Usage()
        self._model = ""
        self._id = ""
        self._done = False

    @property
    def leaked(self) -> bool:
        """True if reasoning was passed on as text before the stream showed that it was reasoning."""
        return self._filter.leaked

    def add(self, delta: Delta) -> Delta:
        """What may be passed on now, of `delta` and of what was held back; after the end of the stream, nothing."""
        if self._done:
            return _NO_DELTA
        self._note(delta)
        text, thought = self._filter.feed(delta.text) if delta.text else ("", "")
        call = self._calls.add(delta.tool_call, self._id) if delta.tool_call else None
        finish = delta.finish_reason
        details: ReasoningDetails = ()
        if finish or delta.done:
            late, late_thought = self._filter.close()
            text, thought = text + late, thought + late_thought
            finish = finish and self._true_finish(finish)
            if self._calls.named:
                call = call or self._calls.release(self._id)
                details = self._details.release()
        if text:
            self._text.append(text)
        if thought:
            self._thoughts.append(thought)
        unchanged = text == delta.text and call == delta.tool_call and finish == delta.finish_reason
        if unchanged and not thought and details == delta.reasoning_details:
            return delta  # nearly every delta of a stream: no copy
        reasoning = delta.reasoning + thought
        return replace(
            delta, text=text, reasoning=reasoning, tool_call=call, finish_reason=finish, reasoning_details=details
        )

    def close(self) -> Delta:
        """What was still held back, now that the stream has ended."""
        text, thought = self._filter.close()
        self._text.append(text)
        self._thoughts.append(thought)
        call, details = self._calls.release(self._id), self._details.release() if self._calls.named else ()
        return Delta(text=text, reasoning=thought, tool_call=call, reasoning_details=details)

    def answer(self) -> Answer:
        """The whole answer; raises `ProviderError` if the stream was cut, empty, or stopped by a filter."""
        if not self._done:
            self.close()
        text, thoughts = "".join(self._text), "".join(self._thoughts)
        if self.leaked:  # what was passed on cannot be taken back, but the vote and its log can still be right
            text, thoughts = split_reasoning("".join(self._raw_text), starts_open=self._starts_open)
        answer = Answer(
            text=text,
            reasoning="".join(self._reasoning_fields) + thoughts,
            refusal="".join(self._refusal),
            tool_calls=self._calls.all(self._id),
            finish_reason=self._true_finish(self._finish or "stop"),
            usage=self._usage,
            response_model=self._model,
            response_id=self._id,
            reasoning_details=self._details.all() if self._calls.named else (),
        )
        self._check(answer)
        return answer

    def _note(self, delta: Delta) -> None:
        self._done = delta.done
        self._model = delta.response_model or self._model
        self._id = delta.response_id or self._id
        self._finish = delta.finish_reason or self._finish
        if delta.text:
            self._raw_text.append(delta.text)
        if delta.reasoning:
            self._reasoning_fields.append(delta.reasoning)
        if delta.reasoning_details:
            self._details.add(delta.reasoning_details)
        if delta.refusal:
            self._refusal.append(delta.refusal)
        if delta.usage is not None:
            self._usage = self._usage.updated_by(delta.usage)

    def _true_finish(self, finish: FinishReason) -> FinishReason:
        """`finish`, with `tool_calls` exactly where the answer makes some.

        Gemini finishes with STOP beside function calls, and others report the calls of tools that they run themselves,
        which no caller can answer.
        """
        if finish in ("stop", "tool_calls"):
            return "tool_calls" if self._calls.named else "stop"
        return finish

    def _check(self, answer: Answer) -> None:
        said = bool(answer.text.strip() or answer.refusal or answer.tool_calls)
        if self._finish is None and not self._done:
            raise ProviderError(
                ErrorKind.BAD_RESPONSE, "the provider's stream was cut: it ended without a finish reason"
            )
        if said or answer.finish_reason == "length":
            return
        if answer.finish_reason == "content_filter":
            raise ProviderError(ErrorKind.CONTENT_FILTER, "the provider's content filter withheld the answer")
        raise ProviderError(ErrorKind.BAD_RESPONSE, "the provider sent an empty answer: no text, tool call or refusal")


class _PartialCall:
    """A tool call as far as its pieces have come; `number` is its place among the named calls, None before that."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.id = ""
        self.name = ""
        self.signature: str | None = None
        self.arguments: list[str] = []

    def take(self, piece: ToolCallDelta) -> None:
        """Adds a piece. Later pieces leave id and name empty or, with some servers, repeat them: the first count."""
        self.id = self.id or piece.id
        self.name = self.name or piece.name
        self.signature = self.signature or piece.signature
        if piece.arguments:
            self.arguments.append(piece.arguments)


class _ToolCallCollector:
    """The tool calls of one answer, merged by index.

    A call is passed on once its arguments begin or once it is over: one that never gets arguments is given `{}`,
    because callers parse that field as JSON. A call that is never named is not for the caller: Anthropic, for one,
    streams the input of tools that it runs itself.
    """

    def __init__(self) -> None:
        self._last: _PartialCall | None = None
        self._by_index: dict[int, _PartialCall] = {}
        self.named: list[_PartialCall] = []
        self._passed = 0  # how many of the named calls have been passed on

    def all(self, response_id: str) -> tuple[ToolCall, ...]:
        """Every named call, whole."""
        return tuple(_whole(call, response_id) for call in self.named)

    def add(self, piece: ToolCallDelta, response_id: str) -> ToolCallDelta | None:
        """Takes a piece, and returns what may be passed on now, None for nothing."""
        call = self._call_of(piece)
        call.take(piece)
        if call.name and call.number is None:
            call.number = len(self.named)
            self.named.append(call)
        if call.number is not None and call.number < self._passed:
            return ToolCallDelta(call.number, arguments=piece.arguments)
        if self._passed == len(self.named):
            return None
        waiting = self.named[self._passed]
        if waiting is not call:
            return self.release(response_id)
        return self._begun(_whole(call, response_id)) if call.arguments else None

    def release(self, response_id: str) -> ToolCallDelta | None:
        """The call that waits for its arguments, now that none will come; None if none waits."""
        if self._passed == len(self.named):
            return None
        return self._begun(_whole(self.named[self._passed], response_id))

    def _begun(self, call: ToolCall) -> ToolCallDelta:
        self._passed += 1
        return ToolCallDelta(self._passed - 1, call.id, call.name, call.arguments, call.signature)

    def _call_of(self, piece: ToolCallDelta) -> _PartialCall:
        if piece.index is None:
            known = None if piece.id or piece.name else self._last
        else:
            known = self._by_index.get(piece.index)
        if known is None or (piece.name and piece.id and known.id and piece.id != known.id):
            known = _PartialCall()  # a new id at a known index is a new call: some servers number all their calls 0
        if piece.index is not None:
            self._by_index[piece.index] = known
        self._last = known
        return known


def _whole(call: _PartialCall, response_id: str) -> ToolCall:
    """The call with what a caller needs of it: JSON for arguments, and an id by which a result can name it."""
    arguments = "".join(call.arguments)
    call_id = call.id or _made_id(response_id, call.number or 0)
    return ToolCall(call_id, call.name, arguments if arguments.strip() else "{}", call.signature)


def _made_id(response_id: str, number: int) -> str:
    """An id for a call without one (Gemini's older models): the same for the same answer, another for another."""
    return "call_" + short_hash(f"{response_id}/{number}")
