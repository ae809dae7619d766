"""Reads what went wrong out of any provider's error, in any of the shapes they come in.

The shapes differ in where the error stands (`error`, `errors[0]`, at the top, inside a JSON array), in whether it is
an object or a string, and in what its message is called (`message`, `error`, `detail`, `title`). All are accepted from
every provider, because proxies and gateways answer in their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapters.codec.error_rules import MAY_WAIT, Facts, Rules, judge, scope_of
from adapters.codec.headers import limits_seen, retry_after_s, spent_wait_s, wait_in_text_s
from adapters.codec.json_values import decode, items, obj, string
from adapters.errors import ErrorKind, ProviderError, Scope
from adapters.types import NOTHING, Event

MAX_MESSAGE = 500
MAX_WORDS = 4000  # what the rules look at of a long error
_DEPTH = 4  # messages are wrapped in objects and arrays, but not deeply

# --- what adapters call ----------------------------------------------------------------------------------------------


def error_of(status: int, headers: Mapping[str, str], body: bytes, rules: Rules) -> ProviderError:
    """The error that an answer with a failing status is."""
    doc = decode(body)
    document = doc[0] if isinstance(doc, list) and doc else doc
    facts = _facts(status, document, headers) if isinstance(document, dict) else _page_facts(status, body, headers)
    return _error(facts, rules, status)


def answer_documents(status: int, headers: Mapping[str, str], body: bytes, rules: Rules) -> Sequence[Mapping[str, Any]]:
    """The JSON objects that a whole answer is: one, or those of an array that stands for a stream.

    Raises for a failing status, for anything else, and for an error inside.
    """
    if not 200 <= status < 300:
        raise error_of(status, headers, body, rules)
    if status == 202:
        raise ProviderError(ErrorKind.OVERLOADED, "HTTP 202: the answer is still pending", status=status)
    decoded = decode(body)
    documents = decoded if isinstance(decoded, list) and decoded else [decoded]
    for document in documents:
        if not isinstance(document, dict):
            what = "an empty body" if not body.strip() else "a body that is not a JSON object"
            raise ProviderError(ErrorKind.BAD_RESPONSE, f"HTTP {status} with {what}", status=status)
        if is_error(document):
            raise _error_inside(document, rules, headers, status)
    return documents


def answer_document(status: int, headers: Mapping[str, str], body: bytes, rules: Rules) -> Mapping[str, Any]:
    """The one JSON object that a whole answer is; raises as `answer_documents` does."""
    return answer_documents(status, headers, body, rules)[0]


def event_document(event: Event, rules: Rules) -> Mapping[str, Any] | None:
    """The JSON object of a stream event; None for a line that is none. Raises for an error inside the stream."""
    document = decode(event.data)
    if isinstance(document, dict):
        if event.name == "error" or is_error(document):
            raise _error_inside(document, rules)
        return document
    if event.name == "error":
        raise ProviderError(ErrorKind.BAD_RESPONSE, clean(event.data) or "an error inside the stream")
    return None


def is_error(document: Mapping[str, Any]) -> bool:
    """True for an object that tells of an error instead of answering, in any of the shapes."""
    if document.keys().isdisjoint(_TELLING):  # as nearly every answer is
        return document.get("object") == "error"
    return bool(
        document.get("error")
        or document.get("errors")
        or "error" in (document.get("type"), document.get("object"))
        or document.get("success") is False
        or isinstance(document.get("message"), str)
        or isinstance(document.get("detail"), str | list | dict)
    )


_TELLING = frozenset({"error", "errors", "type", "success", "message", "detail"})


def clean(text: str) -> str:
    """A provider's sentence as it may stand in a log: one line, cut, without anything that looks like a key."""
    line = " ".join(_CONTROL.sub(" ", text[: 4 * MAX_MESSAGE]).split())
    return _KEY.sub("***", line)[:MAX_MESSAGE]


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:sk|pk|gsk|xai|nvapi|hf|csk|fw|tgp|r8|pplx|key)[-_][\w*.-]{6,}|AIza[\w-]{10,})"
    r"|(?<=[Bb]earer )\S{8,}|(?<=[?&]key=)[^\s&]+|(?<=provided: )\S+"
    r"|\b(?=[A-Za-z_]*[0-9])(?=[0-9_]*[A-Za-z])\w{32,}\b"
)


# --- from facts to an error ------------------------------------------------------------------------------------------


def _error_inside(
    document: Mapping[str, Any], rules: Rules, headers: Mapping[str, str] = NOTHING, status: int | None = None
) -> ProviderError:
    error = _error(_facts(None, document, headers), rules, status)
    if error.kind is ErrorKind.INVALID_REQUEST:  # they had accepted the request, so it is not wrong everywhere
        error.kind = ErrorKind.BAD_RESPONSE
    return error


def _error(facts: Facts, rules: Rules, status: int | None) -> ProviderError:
    rule = judge(facts, rules)
    scope = scope_of(rule)
    waits = rule.kind in MAY_WAIT and rule.trust_wait
    return ProviderError(
        rule.kind,
        facts.message,
        status=status,
        retry_after_s=_wait_s(rule.kind, scope, facts) if waits else None,
        scope=scope,
        code=clean(facts.codes[0])[:100] if facts.codes else None,
    )


def _wait_s(kind: ErrorKind, scope: Scope | None, facts: Facts) -> float | None:
    """The headers know best, but for a spent quota they often speak of the minute only: there the longest counts."""
    said = (
        retry_after_s(facts.headers, facts.wait),
        wait_in_text_s(facts.headers, facts.words),
        spent_wait_s(facts.headers, limits_seen(facts.headers, {}), scope),
    )
    waits = [wait for wait in said if wait is not None]
    return max(waits, default=None) if kind is ErrorKind.QUOTA_EXHAUSTED else next(iter(waits), None)


# --- from shapes to facts --------------------------------------------------------------------------------------------


def _facts(status: int | None, document: Mapping[str, Any], headers: Mapping[str, str]) -> Facts:
    places = _layers(document)
    message = next(filter(None, (_message(place) for place in places)), "")
    raw = next(filter(None, (obj(place.get("metadata")).get("raw") for place in places)), None)
    said = _message(raw)  # what a gateway's own provider said
    names = tuple(dict.fromkeys(name.lower() for place in places for name in _codes(place)))
    return Facts(
        status or next((code for place in places for code in _statuses(place)), None),
        names,
        clean(f"{message}: {said}" if said else message) or "an error without a message",
        " ".join((message, string(raw) or said, *names))[:MAX_WORDS],
        next((hint for place in places for hint in _hints(place)), ""),
        headers,
    )


def _layers(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The objects that tell of the error, the innermost first; some providers wrap another's in their own."""
    layers = [document]
    while len(layers) < _DEPTH and (inner := _inner(layers[0])):
        layers.insert(0, inner)
    return layers


def _inner(place: Mapping[str, Any]) -> Mapping[str, Any]:
    errors = items(place.get("errors"))
    wrapped = (place.get("error"), place.get("message"), place.get("detail"), errors[0] if errors else None)
    return next(filter(None, (obj(_unwrapped(value)) for value in wrapped)), {})


def _unwrapped(value: Any) -> Any:
    """`value`, or what it holds if it is JSON in a string."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        decoded = decode(value)
        return value if decoded is None else decoded
    return value


def _page_facts(status: int, body: bytes, headers: Mapping[str, str]) -> Facts:
    """The facts of a body that is not JSON: a gateway's page, a line of text, or nothing."""
    text = body[:MAX_WORDS].decode("utf-8", "replace").strip()
    title = _TITLE.search(text)
    words = clean(_TAG.sub(" ", title[1] if title else text))[:200]
    message = f"HTTP {status}: {words}" if words else f"HTTP {status} with an empty body"
    return Facts(status, (), message, text, headers=headers)


_TITLE = re.compile(r"<title[^>]{0,100}>([^<]{1,300})", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{0,300}>")
_WORDS = ("message", "error", "detail", "errors", "msg", "title")


def _message(value: Any, depth: int = _DEPTH) -> str:
    held = _unwrapped(value)
    if isinstance(held, str) or depth == 0:
        return string(held)
    if isinstance(held, list):
        found = _message(held[0], depth - 1) if held else ""
    else:
        found = next(filter(None, (_message(obj(held).get(key), depth - 1) for key in _WORDS)), "")
    return found or string(value)


def _codes(place: Mapping[str, Any]) -> Iterator[str]:
    """Every name the error is given, the most telling first."""
    for detail in _details(place):
        yield from filter(None, (string(detail.get("error_code")), string(detail.get("reason"))))
        yield from filter(None, (string(obj(failed).get("quotaId")) for failed in items(detail.get("violations"))))
    yield from filter(None, (string(obj(place.get("innererror")).get("code")),))
    named = [place.get(key) for key in ("code", "error_type", "reason", "type", "status")]
    named.append(obj(place.get("metadata")).get("limit_source"))
    yield from (name for name in named if isinstance(name, str) and name not in _NO_CODES)
    yield from (str(name) for name in named if isinstance(name, int))


_NO_CODES = frozenset({"", "error", "about:blank"})


def _statuses(place: Mapping[str, Any]) -> Iterator[int]:
    for key in ("status_code", "code", "status"):
        value = place.get(key)
        number = (
            int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3 else value
        )
        if isinstance(number, int) and 400 <= number < 600:
            yield number


def _hints(place: Mapping[str, Any]) -> Iterator[str]:
    """When to come back, as a duration or a moment."""
    metadata = obj(place.get("metadata"))
    yield from filter(None, (string(detail.get("retryDelay")) for detail in _details(place)))
    told = (where.get(name) for where in (place, metadata) for name in ("retry_after", "retry_after_seconds"))
    yield from (str(value) for value in told if isinstance(value, str | int | float) and value)
    sent_on = {str(key).lower(): value for key, value in obj(metadata.get("headers")).items()}
    waits = (sent_on.get(name) for name in ("retry-after", "x-ratelimit-reset"))
    yield from (str(value) for value in waits if isinstance(value, str | int | float) and value)


def _details(place: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    details = place.get("details")
    yield from map(obj, details if isinstance(details, list) else [details])
