"""`quorum ask`: one question to a running daemon, with the decision as it is made and the votes behind the answer."""

from __future__ import annotations

import argparse
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from router.cli.client import ANSWER_S, ClientError, DaemonAway, daemon_at, reading_answer
from router.cli.live_view import AnswerView, answer_view
from router.cli.output import GOOD, screen, show_answer
from router.cli.tables import render
from router.cli.verb import JSON, ROUTING, URL, Verb, chat_request, flag
from router.core.settings import Settings
from router.core.stages import from_document
from router.core.text import one_line, printable

_PATH = "/v1/chat/completions"
_VOTE_COLUMNS = (
    "seq",
    "role",
    "provider",
    "model",
    "outcome",
    "error_type",
    "status",
    "ms",
    "input_tokens",
    "output_tokens",
)


async def ask(arguments: argparse.Namespace, settings: Settings) -> int:
    """Asks a running daemon one question; shows the answer and its votes.

    On a terminal the answer is streamed, below what the seats have done so far. In a pipe it comes in one piece, or
    with --stream as it is written; then standard error has one line for each stage of the decision.
    """
    document, on = chat_request(arguments, arguments.question, explain=True), screen()
    async with daemon_at(settings, ANSWER_S) as daemon:
        if arguments.json or not (arguments.stream or on.tty):
            answer = await daemon.post(_PATH, document)
            return show_answer(arguments, answer, lambda: f"{_content(answer)}\n{_votes(answer['quorum'])}")
        quorum = await _watched(daemon.stream(_PATH, {**document, "stream": True}), answer_view(on))
    with reading_answer():
        votes = _votes(quorum)
    print(votes)
    return GOOD


async def _watched(chunks: AsyncGenerator[dict[str, Any], None], view: AnswerView) -> Any:
    """Shows the chunks of an answer as they come; returns the `quorum` object of the last one."""
    begun, quorum = False, None
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                begun = True
                match chunk.get("quorum"):
                    case {"event": event} if stage := from_document(event):
                        view.stage(stage)
                    case {"request_id": _} as facts:
                        quorum = facts
                if text := _delta(chunk):
                    view.text(text)
    except DaemonAway:
        if not begun:
            raise
    finally:
        view.close()
    if quorum is None:
        raise ClientError("the stream ended before the answer was done")
    return quorum


def _delta(chunk: dict[str, Any]) -> str:
    """What a chunk adds to the answer's text; nothing where it is not a chunk of text."""
    match chunk.get("choices"):
        case [{"delta": {"content": str(text)}}, *_] | [{"delta": {"refusal": str(text)}}, *_]:
            return printable(text)
        case _:
            return ""


def _content(answer: Any) -> str:
    message = answer["choices"][0]["message"]
    return printable(message["content"] or message.get("refusal") or json.dumps(message.get("tool_calls")))


def _votes(quorum: Any) -> str:
    cost = quorum["cost_usd"]
    table = render(quorum["votes"], _VOTE_COLUMNS, on=screen())
    spent = "" if cost is None else f", {cost:.6f} USD"
    decided = one_line(f"{quorum['strategy']} in {quorum['tier']}, {quorum['attempts']} attempt(s){spent}")
    return f"\n{table}\n\n{decided}\nrequest {one_line(str(quorum['request_id']))}"


VERB = Verb(
    "ask",
    ask,
    'quorum ask "What is 17+25?" --tier cheap --strategy ranked-fallback',
    (flag("question"), *ROUTING, flag("--stream", action="store_true", help="print the answer as it comes"), URL, JSON),
)
