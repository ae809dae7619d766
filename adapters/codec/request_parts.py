"""Turns a request into bytes: the steps that every wire format shares."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import groupby
from typing import Any
from urllib.parse import quote

import orjson

from adapters.codec.json_values import decode, string
from adapters.errors import ErrorKind, ProviderError
from adapters.types import HttpRequest, Image, Message, Target

STREAM = frozenset({"n", "stream", "stream_options"})  # how we ask is ours to say: one choice, and usage in streams
SYSTEM = frozenset({"system", "developer"})

Convert = Callable[[Any], Any]
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*;base64,", re.IGNORECASE)


def encode(body: Any) -> bytes:
    """`body` as JSON; a value that JSON cannot hold is the caller's mistake."""
    try:
        # A copy of its own size: orjson's has room for 4 KiB, and a stream holds on to it as long as it lasts.
        return bytes(memoryview(orjson.dumps(body, default=_plain)))
    except TypeError as error:
        raise ProviderError(ErrorKind.INVALID_REQUEST, f"the request cannot be written as JSON: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def post(
    target: Target, path: str, body: Mapping[str, Any], *, stream: bool, key_header: str, headers: Mapping[str, str]
) -> HttpRequest:
    """The HTTP request for `body`, with the key on `key_header` and the target's quirks applied."""
    quirks = target.quirks
    sent = {
        "content-type": "application/json",
        "accept": "text/event-stream" if stream else "application/json",
        **headers,
    }
    if target.api_key is not None:
        name = quirks.auth_header or key_header
        bearer = "Bearer " if name.lower() == "authorization" else ""
        sent[name.lower()] = bearer + target.api_key.reveal()
    fields = merged(body, quirks.set) if quirks.set else body
    return HttpRequest("POST", target.base_url + (quirks.path or path), sent, encode(fields))


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `base` in which `over` wins; objects on both sides are merged."""
    return {**base, **{key: _merge(base.get(key), value) for key, value in over.items()}}


def _merge(old: Any, new: Any) -> Any:
    return merged(old, new) if isinstance(old, Mapping) and isinstance(new, Mapping) else new


def path_segment(model: str) -> str:
    """A model id as one segment of a URL path."""
    return quote(model, safe="")


def converted(params: Mapping[str, Any], table: Mapping[str, tuple[str, Convert]], target: Target) -> dict[str, Any]:
    """Those of `params` that `table` has a word for, under that word; None and the target's drops are not sent."""
    wanted = {name: value for name, value in limited(params, target).items() if name not in target.quirks.drop}
    pairs = ((table[name], value) for name, value in wanted.items() if name in table and value is not None)
    return {their_name: convert(value) for (their_name, convert), value in pairs}


def limited(params: Mapping[str, Any], target: Target) -> Mapping[str, Any]:
    """`params` with `max_tokens` inside the model's own cap, which providers refuse to exceed."""
    cap, asked = target.max_output_tokens, params.get("max_tokens")
    return params if cap is None or asked is None or asked <= cap else {**params, "max_tokens": cap}


def same(value: Any) -> Any:
    """The conversion that changes nothing."""
    return value


def clamped(low: float, high: float) -> Convert:
    """A conversion that moves a number into `low`..`high`."""
    return lambda value: min(max(value, low), high)


def worded(words: Mapping[Any, Any]) -> Convert:
    """A conversion that replaces the values `words` names and leaves all others as they are."""
    return lambda value: words.get(value, value)


def at_most(length: int) -> Convert:
    """A conversion that keeps the first `length` items."""
    return lambda value: list(value)[:length]


def inline_image(image: Image) -> tuple[str, str] | None:
    """The media type and base64 text of an inline image; None if it stands at a URL."""
    if image.url[:5].lower() != "data:":
        return None
    if (found := _DATA_URL.match(image.url)) is None:
        raise ProviderError(ErrorKind.INVALID_REQUEST, "an inline image must be data:<media type>;base64,<data>")
    return found[1], image.url[found.end() :]


def unknown_part(provider: str, raw: Mapping[str, Any]) -> ProviderError:
    """The refusal of a content part that `provider`'s wire cannot carry."""
    kind = string(raw.get("type")) or "unnamed"
    return ProviderError(ErrorKind.INVALID_REQUEST, f"{provider} takes text and image_url parts, not {kind!r}")


def turns(
    messages: Iterable[Message], assistant: str, content: str, read: Callable[[Message], Iterable[Any]]
) -> list[dict[str, Any]]:
    """The conversation for wires whose roles alternate between `assistant` and `user`; `read` gives a message's pieces.

    Neighbours of one role become one turn, what tools answered is the user's, and instructions are left out.
    """
    spoken = (message for message in messages if message.role not in SYSTEM)
    grouped = groupby(spoken, key=lambda message: assistant if message.role == "assistant" else "user")
    pieces = [(role, [piece for message in group for piece in read(message)]) for role, group in grouped]
    return [{"role": role, content: found} for role, found in pieces if found]


def system_text(messages: Iterable[Message]) -> str:
    """All instructions of a conversation in one text, for wires that keep them apart from the turns."""
    return "\n\n".join(message.text for message in messages if message.role in SYSTEM and message.text)


def arguments_object(arguments: str) -> Mapping[str, Any]:
    """A tool call's arguments as the object that native wires want; anything else is wrapped as `input`."""
    value = decode(arguments or "{}")
    return value if isinstance(value, dict) else {"input": arguments if value is None else value}
