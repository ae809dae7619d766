"""A conversation with a simulated model: the request, the reply, and the tokens they cost.

Everything here is a pure function of the request, the provider's name and a seed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from typing import Any, Literal

import orjson

from router.simulator.answers import Question, answer_text, draw, pick_tool
from router.simulator.schema import Hints, fit

Role = Literal["system", "user", "assistant", "tool"]
Choice = Literal["auto", "none", "required"]
Form = Literal["text", "json_object", "json_schema"]
Finish = Literal["stop", "length", "tool_calls", "stop_sequence", "content_filter", "nothing"]

# Models that reason before they answer, by name, in lower case.
REASONING_MODELS = (
    "*gpt-oss*",
    "*reason*",
    "*qwen3*",
    "*qwen-3*",
    "*magistral*",
    "*deepseek-r*",
    "*nemotron*",
    "*thinking*",
    "*gpt-5*",
    "*gpt-6*",
    "o[1-9]*",
    "gemini-2.5*",
    "gemini-[3-9]*",
    "command-a-plus*",
    "grok-[3-9]*",
    "*glm-[4-9]*",
)
NOT_REASONING = ("*non-reasoning*",)
ANSWER_LIMIT = 16_384
PIECE = re.compile(r"\s*\w{1,8}|\s*[^\w\s]|\s+")


@dataclass(frozen=True, slots=True)
class Picture:
    """An image in a request; `size` in bytes is None if only its URL was sent."""

    media_type: str
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation, in whatever wire format it came."""

    role: Role
    text: str = ""
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """A tool the model may call; `schema` is its JSON Schema."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call the model makes."""

    name: str
    arguments: Mapping[str, Any]

    @property
    def json(self) -> str:
        """The arguments as JSON text."""
        return orjson.dumps(self.arguments).decode()


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as the model sees it.

    `thinks` overrides what the model's name implies; `asked` holds options that only one wire format has.
    """

    model: str
    turns: tuple[Turn, ...]
    functions: tuple[Function, ...] = ()
    choice: Choice = "auto"
    forced: str | None = None
    form: Form = "text"
    schema: Mapping[str, Any] = field(default_factory=dict)
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    stream: bool = False
    thinks: bool | None = None
    asked: frozenset[str] = frozenset()

    @property
    def prompt(self) -> str:
        """The text of the last user turn."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model replies; `output_tokens` is the visible part only, `reasoning_tokens` the rest."""

    model: str
    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    finish: Finish = "stop"
    stop_sequence: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0


def pieces(text: str) -> list[str]:
    """The text in pieces the size of tokens; joined, they give the text again."""
    return PIECE.findall(text)


def thinks(model: str) -> bool:
    """Whether a model of this name reasons before it answers."""
    name = model.lower()
    return any(fnmatch(name, one) for one in REASONING_MODELS) and not any(fnmatch(name, one) for one in NOT_REASONING)


def thought_aloud(reply: Reply) -> Reply:
    """The reply with its reasoning inside the text, as it comes from providers that do not separate the two."""
    return replace(reply, text=f"<think>\n{reply.reasoning}\n</think>\n\n{reply.text}", reasoning="")


def respond(ask: Ask, *, provider: str, seed: int) -> Reply:
    """The model's whole reply to a request."""
    blank = Reply(model=ask.model, input_tokens=_input_tokens(ask))
    reasoned = _with_reasoning(ask, blank)
    calls = _calls(ask, seed)
    if calls:
        cost = sum(len(pieces(call.name)) + len(pieces(call.json)) for call in calls)
        return replace(reasoned, calls=calls, finish="tool_calls", output_tokens=cost)
    return _cut(ask, replace(reasoned, text=_text(ask, provider, seed)[:ANSWER_LIMIT]))


def _text(ask: Ask, provider: str, seed: int) -> str:
    question = _question(ask, provider, seed)
    if ask.form == "json_schema":
        hints = Hints.from_prompt(ask.prompt, draw(seed, ask.model, ask.prompt))
        return orjson.dumps(fit(ask.schema, hints)).decode()
    said = answer_text(question)
    return orjson.dumps({"answer": said}).decode() if ask.form == "json_object" else said


def _question(ask: Ask, provider: str, seed: int) -> Question:
    last = ask.turns[-1]
    return Question(
        prompt=ask.prompt,
        rules="\n".join(turn.text for turn in ask.turns if turn.role == "system"),
        tool_result=last.text if last.role == "tool" else None,
        pictures=tuple((picture.media_type, picture.size) for turn in ask.turns for picture in turn.pictures),
        provider=provider,
        model=ask.model,
        seed=seed,
    )


def _calls(ask: Ask, seed: int) -> tuple[Call, ...]:
    if not ask.functions or ask.choice == "none" or ask.turns[-1].role == "tool":
        return ()
    offered = [(function.name, function.description) for function in ask.functions]
    name = ask.forced or pick_tool(offered, ask.prompt, must=ask.choice == "required")
    chosen = next((function for function in ask.functions if function.name == name), None)
    if chosen is None:
        return ()
    arguments = fit(chosen.schema or {"type": "object"}, Hints.from_prompt(ask.prompt, draw(seed, ask.prompt)))
    return (Call(chosen.name, arguments if isinstance(arguments, dict) else {}),)


def _with_reasoning(ask: Ask, reply: Reply) -> Reply:
    """The reply with reasoning, which counts as output and so takes at most half of the caller's limit of tokens."""
    if not (thinks(ask.model) if ask.thinks is None else ask.thinks):
        return reply
    about = " ".join(ask.prompt.split()[:8])
    thought = pieces(f"The user wrote: {about}. I will answer that directly.")
    kept = thought if ask.max_tokens is None else thought[: ask.max_tokens // 2]
    return replace(reply, reasoning="".join(kept), reasoning_tokens=len(kept))


def _cut(ask: Ask, reply: Reply) -> Reply:
    """The reply cut at the first stop sequence or at the caller's limit of tokens."""
    hits = [(at, word) for word in ask.stop if word and (at := reply.text.find(word)) >= 0]
    if hits:
        at, word = min(hits)
        reply = replace(reply, text=reply.text[:at], finish="stop_sequence", stop_sequence=word)
    parts = pieces(reply.text)
    room = len(parts) if ask.max_tokens is None else max(0, ask.max_tokens - reply.reasoning_tokens)
    if len(parts) > room:
        reply = replace(reply, text="".join(parts[:room]), finish="length", stop_sequence=None)
    return replace(reply, output_tokens=min(len(parts), room))


def _input_tokens(ask: Ask) -> int:
    letters = sum(len(turn.text) for turn in ask.turns) + sum(len(orjson.dumps(f.schema)) for f in ask.functions)
    return letters // 4 + 4 * len(ask.turns) + 250 * sum(len(turn.pictures) for turn in ask.turns)
