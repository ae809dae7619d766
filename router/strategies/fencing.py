"""Quotes what other models and callers wrote, so that a model reads it as material and not as its instructions.

The fences carry a code that no author of the material could know. The material never passes through a template.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

from adapters.types import Answer, ChatRequest, Image, Message, Text

ANSWER_CHARS = 12_000  # of one answer; more than nearly every answer has
ANSWERS_CHARS = 48_000  # of all answers together, so that eight long ones still fit a window of 32k tokens
CONVERSATION_CHARS = 24_000
_REMOVED = "[…]"


def new_nonce() -> str:
    """A code for the fences of one request: 64 bits, unknown to the authors of what stands between them."""
    return secrets.token_hex(8)


def fenced(name: str, text: str, nonce: str, limit_chars: int) -> str:
    """The text between two lines that carry the nonce, cut at `limit_chars`; the nonce itself is taken out of it."""
    # Something stays where a code was: without it, what stood around the code could close up to the same code again.
    clean = re.sub(re.escape(nonce), _REMOVED, text, flags=re.IGNORECASE)
    if len(clean) > limit_chars:
        clean = f"{clean[:limit_chars]}\n[cut here: {len(clean) - limit_chars} more characters]"
    return f"[{name} {nonce}]\n{clean}\n[end of {name} {nonce}]"


def answer_chars(answers: int) -> int:
    """How many characters are shown of each of so many answers."""
    return min(ANSWER_CHARS, ANSWERS_CHARS // max(answers, 1))


def readable(answer: Answer) -> str:
    """An answer as text: what it says, and what it would call."""
    calls = (f"[calls {call.name} with {call.arguments}]" for call in answer.tool_calls)
    return "\n".join((*filter(None, (answer.text or answer.refusal,)), *calls))


def conversation(request: ChatRequest, nonce: str) -> str:
    """The caller's conversation as quoted material, its last user message apart, since that is what was answered."""
    asked = _last_user_message(request)
    before = "\n\n".join(f"{message.role}: {_quoted(message)}" for message in request.messages if message is not asked)
    parts = []
    if before:
        # The end of a long conversation says more of what is asked than its beginning does.
        left_out = max(0, len(before) - CONVERSATION_CHARS)
        note = f"[cut here: {left_out} characters before this]\n" if left_out else ""
        parts.append(fenced("conversation", note + before[left_out:], nonce, len(note) + CONVERSATION_CHARS))
    if asked is not None:
        parts.append(fenced("last message of the user", _quoted(asked), nonce, CONVERSATION_CHARS))
    return "\n\n".join(parts)


def _last_user_message(request: ChatRequest) -> Message | None:
    return next((message for message in reversed(request.messages) if message.role == "user"), None)


def _quoted(message: Message) -> str:
    return "\n".join(_pieces(message))


def _pieces(message: Message) -> Iterator[str]:
    for part in message.content:
        match part:
            case Text():
                yield part.text
            case Image():
                yield "[an image that is not shown here]"
            case _:
                yield "[an attachment that is not shown here]"
    for call in message.tool_calls:
        yield f"[called {call.name} with {call.arguments}]"
