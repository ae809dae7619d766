"""The steps that all adapters share to turn a request into the bytes of an HTTP request."""

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

ROUTER_PARAMS = frozenset({"n", "stream", "stream_options"})
"""Parameters never taken from the caller: the router decides how it asks, for one choice and with usage in streams."""

INSTRUCTION_ROLES = frozenset({"system", "developer"})

Convert = Callable[[Any], Any]
"""How the value of a parameter changes on its way to a wire."""

# --- the HTTP request ------------------------------------------------------------------------------------------------


def post(
    target: Target, path: str, body: Mapping[str, Any], *, stream: bool, key_header: str, headers: Mapping[str, str]
) -> HttpRequest:
    """The HTTP request for `body`, with the key on `key_header` and the target's quirks applied.

    On `authorization` the key is a bearer token (RFC 6750), on any other header it stands bare. Without a key, as with
    local servers, there is no such header at all.
    """
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


def encode(body: Any) -> bytes:
    """`body` as JSON; raises `ProviderError(INVALID_REQUEST)` for a value that JSON cannot hold."""
    try:
        # A copy of its own size: orjson's result keeps a buffer of 4 KiB or more, and a stream holds on to its request.
        return bytes(memoryview(orjson.dumps(body, default=_plain)))
    except TypeError as error:
        raise ProviderError(ErrorKind.INVALID_REQUEST, f"the request cannot be written as JSON: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `base` in which `over` wins; objects on both sides are merged field by field."""
    return {**base, **{key: _merge(base.get(key), value) for key, value in over.items()}}


def _merge(old: Any, new: Any) -> Any:
    return merged(old, new) if isinstance(old, Mapping) and isinstance(new, Mapping) else new


def path_segment(model: str) -> str:
    """A model id as one segment of a URL path: a slash in it must not begin another segment."""
    return quote(model, safe="")


# --- parameters ------------------------------------------------------------------------------------------------------


def convert_params(
    params: Mapping[str, Any], table: Mapping[str, tuple[str, Convert]], target: Target
) -> dict[str, Any]:
    """Those of `params` that `table` {our name: (their name, conversion)} knows, under their names and converted.

    Parameters that are None or that the registry drops for this target are left out.
    """
    wanted = {name: value for name, value in capped(params, target).items() if name not in target.quirks.drop}
    pairs = ((table[name], value) for name, value in wanted.items() if name in table and value is not None)
    return {their_name: convert(value) for (their_name, convert), value in pairs}


def capped(params: Mapping[str, Any], target: Target) -> Mapping[str, Any]:
    """`params` with `max_tokens` lowered to the model's own cap, above which providers refuse the request."""
    cap, asked = target.max_output_tokens, params.get("max_tokens")
    return params if cap is None or asked is None or asked <= cap else {**params, "max_tokens": cap}


def unchanged(value: Any) -> Any:
    """The conversion that changes nothing."""
    return value


def clamped(low: float, high: float) -> Convert:
    """A conversion that moves a number into `low`..`high`.

    A caller asks with one temperature whichever model answers; a provider with a narrower range would answer 400.
    """
    return lambda value: min(max(value, low), high)


def mapped(values: Mapping[Any, Any]) -> Convert:
    """A conversion that replaces the values named in `values` and leaves all others as they are."""
    return lambda value: values.get(value, value)


def first(length: int) -> Convert:
    """A conversion that keeps the first `length` items of a list."""
    return lambda value: list(value)[:length]


# --- messages --------------------------------------------------------------------------------------------------------


def alternating_turns(
    messages: Iterable[Message], assistant: str, content: str, read: Callable[[Message], Iterable[Any]]
) -> list[dict[str, Any]]:
    """The conversation for wires on which the roles `user` and `assistant` must alternate (Anthropic, Gemini).

    `assistant` is the wire's name for that role, `content` its field for a turn's pieces, and `read` gives the pieces
    of a message. Neighbours of one role become one turn, tool results belong to the user's, and instructions are left
    out: see `instructions`.
    """
    spoken = (message for message in messages if message.role not in INSTRUCTION_ROLES)
    grouped = groupby(spoken, key=lambda message: assistant if message.role == "assistant" else "user")
    pieces = [(role, [piece for message in group for piece in read(message)]) for role, group in grouped]
    return [{"role": role, content: found} for role, found in pieces if found]


def instructions(messages: Iterable[Message]) -> str:
    """All system and developer messages as one text, for wires that keep instructions apart from the turns."""
    return "\n\n".join(message.text for message in messages if message.role in INSTRUCTION_ROLES and message.text)


def inline_image(image: Image) -> tuple[str, str] | None:
    """The media type and base64 text of an inline image (RFC 2397); None if the image is at a URL.

    Raises `ProviderError(INVALID_REQUEST)` for a `data:` URL without a media type or not in base64.
    """
    if image.url[:5].lower() != "data:":
        return None
    if (found := _DATA_URL.match(image.url)) is None:
        raise ProviderError(
            ErrorKind.INVALID_REQUEST, "an inline image must be a URL of the form data:<media type>;base64,<data>"
        )
    return found[1], image.url[found.end() :]


_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*;base64,", re.IGNORECASE)


def unsupported_part(provider: str, raw: Mapping[str, Any]) -> ProviderError:
    """The refusal of a content part that `provider`'s wire cannot carry.

    It is refused and not left out: a model that is asked about a file it never got makes an answer up.
    """
    kind = string(raw.get("type")) or "unnamed"
    return ProviderError(
        ErrorKind.INVALID_REQUEST, f"{provider} takes content parts of type text and image_url, not {kind!r}"
    )


def arguments_object(arguments: str) -> Mapping[str, Any]:
    """A tool call's arguments as the object that native wires want; anything but an object is wrapped as `input`."""
    value = decode(arguments or "{}")
    return value if isinstance(value, dict) else {"input": arguments if value is None else value}


# --- schemas ---------------------------------------------------------------------------------------------------------

_LITERALS = frozenset({"enum", "const", "default", "examples"})  # these keywords hold data, not schemas


def closed_schema(schema: Mapping[str, Any]) -> Any:
    """A copy of a JSON Schema in which every object has `additionalProperties: false`.

    OpenAI's strict mode, Anthropic's structured outputs and Cerebras refuse a schema whose objects are open.
    """
    copy = orjson.loads(encode(schema))
    _close(copy)
    return copy


def _close(node: Any) -> None:
    if isinstance(node, list):
        for item in node:
            _close(item)
    elif isinstance(node, dict):
        if node.get("type") == "object":
            node["additionalProperties"] = False
        for keyword, value in node.items():
            if keyword not in _LITERALS:
                _close(value)
