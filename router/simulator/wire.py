"""The protocol of a simulated wire format, and the values that pass between it and the server."""

from __future__ import annotations

import base64
import binascii
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from router.simulator.answers import draw
from router.simulator.conversation import Ask, Picture, Reply
from router.simulator.limits import Standing
from router.simulator.weather import Fault

ALNUM = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
REFUSED_KEYS = ("bad", "wrong", "invalid")  # keys that begin so are bad at every provider
IMAGE_HEADS = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
}


class Invalid(Exception):
    """A request that the provider would refuse, in the provider's own words."""

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400, given: Any = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.status = status
        self.given = given


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as it came: header names in lower case; `path_model` and `verb` from the path, where it has them."""

    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    path_model: str | None = None
    verb: str | None = None

    def peek(self, key: str) -> Any:
        """A top-level field of the body, or None: never an error."""
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None
        return body.get(key) if isinstance(body, dict) else None


@dataclass(frozen=True, slots=True)
class Stamp:
    """What identifies one exchange: its number at this provider, its time (Unix seconds), and the caller's counters."""

    provider: str
    model: str
    seed: int
    ordinal: int
    wall: float
    standing: Standing

    def ident(self, length: int, alphabet: str = ALNUM, what: object = "id") -> str:
        """An id for `what` in this exchange: random-looking, and the same each time it is asked for."""
        letters: list[str] = []
        while len(letters) < length:
            number = draw(self.seed, self.provider, self.ordinal, what, len(letters))
            for _ in range(10):
                number, rest = divmod(number, len(alphabet))
                letters.append(alphabet[rest])
        return "".join(letters[:length])

    def uuid(self, what: object = "id") -> str:
        """The same as a UUID."""
        digits = self.ident(32, HEX, what)
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault, before it is put in a provider's words; `retry_after_s` is None if no wait is to be named."""

    fault: Fault
    stamp: Stamp
    retry_after_s: float | None = None
    invalid: Invalid | None = None

    def words(self) -> dict[str, Any]:
        """The values that a message can contain."""
        standing = self.stamp.standing
        return {
            "model": self.stamp.model,
            "limit": standing.quota.per_minute or 30,
            "day_limit": standing.quota.per_day or 1_000,
            "wait": go_duration(self.retry_after_s or 0.0),
            "wait_s": self.retry_after_s or 0.0,
            "message": self.invalid.message if self.invalid else "",
        }


@dataclass(frozen=True, slots=True)
class Refusal:
    """A failed HTTP answer; `body` is a value to be written as JSON, None for an empty body."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a provider's error table: the status, its sentence, and its own names for the error."""

    status: int
    message: str
    kind: str = ""
    code: str | None = None
    param: str | None = None


class Wire(Protocol):
    """One provider's wire format: requests to `Ask`, `Reply` to bytes, and every fault in the provider's own words."""

    def key(self, incoming: Incoming) -> str | None:
        """The API key, from the place where this wire carries it."""

    def model(self, incoming: Incoming) -> str:
        """The model asked for, or an empty string; never an error."""

    def parse(self, incoming: Incoming) -> Ask:
        """The request, checked as strictly as the provider checks it. Raises Invalid."""

    def whole(self, ask: Ask, reply: Reply, stamp: Stamp) -> Any:
        """The body of a whole answer: a value to be written as JSON, or bytes."""

    def frames(self, ask: Ask, reply: Reply, stamp: Stamp) -> Iterator[bytes]:
        """The body of a streamed answer, event by event."""

    def stream_type(self, ask: Ask) -> str:
        """The content type of a streamed answer."""

    def stream_error(self, ask: Ask, problem: Problem) -> bytes:
        """An error event in the middle of a stream."""

    def refuse(self, problem: Problem) -> Refusal | None:
        """The refusal in the provider's words; None if it reports this fault inside a 200."""

    def headers(self, stamp: Stamp) -> dict[str, str]:
        """Headers of every answer: limits and ids."""

    def models(self, names: Sequence[str], stamp: Stamp) -> Any:
        """The listing of models, as a value to be written as JSON."""


def is_good_key(key: str | None) -> bool:
    """True for every key except an empty one and those that begin with one of REFUSED_KEYS."""
    return bool(key) and not str(key).lower().startswith(REFUSED_KEYS)


def bearer(incoming: Incoming) -> str | None:
    """The key of an `Authorization: Bearer` header."""
    scheme, _, key = incoming.headers.get("authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def go_duration(seconds: float) -> str:
    """Seconds as Go prints a duration: `120ms`, `2s`, `1m26.4s`, `6m0s`, `1h0m2s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms" if seconds > 0 else "0s"
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{f'{hours}h' if hours else ''}{f'{minutes}m' if hours or minutes else ''}{round(rest, 3):g}s"


def sse(data: Any, *, event: str = "", end: str = "\n") -> bytes:
    """One server-sent event; `data` is text, sent as it is, or a value to be written as JSON."""
    text = data if isinstance(data, str) else orjson.dumps(data).decode()
    return f"{f'event: {event}{end}' if event else ''}data: {text}{end}{end}".encode()


def decoded(data: Any) -> bytes | None:
    """The bytes of strict base64 text, or None."""
    try:
        return base64.b64decode(data, validate=True) if isinstance(data, str) else None
    except (binascii.Error, ValueError):
        return None


def picture(media_type: str, data: Any) -> Picture | None:
    """An inline image; None if `data` is not base64 of a PNG, JPEG, GIF or WebP as `media_type` says."""
    raw = decoded(data)
    known = raw is not None and raw.startswith(IMAGE_HEADS.get(media_type, b"\0none"))
    return Picture(media_type, len(raw)) if known and raw is not None else None


def data_url(url: str) -> Picture | None:
    """The image of a URL: an inline one is decoded, any other is known by its URL only; None if it is neither."""
    if not url.startswith("data:"):
        return Picture("image at a URL") if url.startswith(("http://", "https://")) else None
    head, _, data = url.removeprefix("data:").partition(",")
    return picture(head.removesuffix(";base64"), data)
