"""Reads what went wrong out of any provider's error body, in any of the shapes they come in.

The shapes differ in where the error stands (`error`, `errors[0]`, at the top, inside a JSON array, as JSON in a
string), in whether it is an object or a string, and in what its sentence is called (`message`, `error`, `detail`,
`title`; the last two are problem details, RFC 9457). All are accepted from every provider, because the error often is
not the provider's own: proxies, gateways and the hosts behind a router answer in their own shape.

The way is: body -> `ErrorFacts` -> `ErrorRule` (see `error_rules`) -> `ProviderError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adapters.codec.error_rules import MAY_WAIT, ErrorFacts, ErrorRules, classify, scope_of
from adapters.codec.headers import limits_seen, retry_after_s, spent_wait_s, wait_in_text_s
from adapters.codec.json_values import decode, items, obj, string
from adapters.codec.sse import SseEvent
from adapters.errors import ErrorKind, ProviderError, Scope
from adapters.types import NOTHING

MAX_MESSAGE = 500  # characters of a provider's sentence that are kept
MAX_TEXT = 4000  # characters of an error that the rules search, so that a hostile body costs no more than an honest one
_DEPTH = 4  # errors are wrapped in objects and arrays, but not deeply

# --- what adapters call ----------------------------------------------------------------------------------------------


def read_error(status: int, headers: Mapping[str, str], body: bytes, rules: ErrorRules) -> ProviderError:
    """The error in a response with a failing status."""
    doc = decode(body)
    document = doc[0] if isinstance(doc, list) and doc else doc
    facts = _json_facts(status, document, headers) if isinstance(document, dict) else _page_facts(status, body, headers)
    return _error(facts, rules, status)


def answer_documents(
    status: int, headers: Mapping[str, str], body: bytes, rules: ErrorRules
) -> Sequence[Mapping[str, Any]]:
    """The JSON objects of a whole answer: one, or those of an array (Gemini streams one where `alt=sse` is lost).

    Raises `ProviderError` for a failing status, for a body that is not JSON objects, and for an error inside a 200.
    """
    if not 200 <= status < 300:
        raise read_error(status, headers, body, rules)
    if status == 202:  # NVIDIA: queued, to be polled for; it counts as overload, so that another model is asked
        raise ProviderError(
            ErrorKind.OVERLOADED,
            "HTTP 202: the provider queued the request, its answer is still pending",
            status=status,
        )
    decoded = decode(body)
    documents = decoded if isinstance(decoded, list) and decoded else [decoded]
    for document in documents:
        if not isinstance(document, dict):
            what = "an empty body" if not body.strip() else "a body that is not a JSON object"
            raise ProviderError(ErrorKind.BAD_RESPONSE, f"HTTP {status} with {what}", status=status)
        if is_error(document):
            raise _error_inside(document, rules, headers, status)
    return documents


def answer_document(status: int, headers: Mapping[str, str], body: bytes, rules: ErrorRules) -> Mapping[str, Any]:
    """The one JSON object of a whole answer; raises as `answer_documents` does."""
    return answer_documents(status, headers, body, rules)[0]


def event_document(event: SseEvent, rules: ErrorRules) -> Mapping[str, Any] | None:
    """The JSON object of a stream event; None for data that is not one.

    Raises `ProviderError` for an error inside the stream, which comes with status 200: by then the headers were sent.
    """
    document = decode(event.data)
    if isinstance(document, dict):
        if event.name == "error" or is_error(document):
            raise _error_inside(document, rules)
        return document
    if event.name == "error":
        raise ProviderError(
            ErrorKind.BAD_RESPONSE, clean(event.data) or "the provider sent an error event without words in its stream"
        )
    return None


def is_error(document: Mapping[str, Any]) -> bool:
    """True for an object that is an error instead of an answer, in any of the shapes."""
    if document.keys().isdisjoint(_ERROR_KEYS):  # true of nearly every event, and one set operation
        return document.get("object") == "error"
    return bool(
        document.get("error")
        or document.get("errors")
        or "error" in (document.get("type"), document.get("object"))
        or document.get("success") is False
        or isinstance(document.get("message"), str)
        or isinstance(document.get("detail"), str | list | dict)
    )


_ERROR_KEYS = frozenset({"error", "errors", "type", "success", "message", "detail"})


def clean(text: str) -> str:
    """A provider's sentence made safe for a log: one line, shortened, and without anything that looks like a key.

    Providers quote the key they refuse. Bidirectional overrides and surrogates go too: in a terminal they can make one
    sentence look like another.
    """
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
    document: Mapping[str, Any], rules: ErrorRules, headers: Mapping[str, str] = NOTHING, status: int | None = None
) -> ProviderError:
    error = _error(_json_facts(None, document, headers), rules, status)
    if (
        error.kind is ErrorKind.INVALID_REQUEST
    ):  # it came with a 200: the request had been accepted, and is not at fault
        error.kind = ErrorKind.BAD_RESPONSE
    return error


def _error(facts: ErrorFacts, rules: ErrorRules, status: int | None) -> ProviderError:
    rule = classify(facts, rules)
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


def _wait_s(kind: ErrorKind, scope: Scope | None, facts: ErrorFacts) -> float | None:
    """Seconds to wait, from the headers, else from the sentence, else from the limits that are spent.

    For a spent day or month the longest of the three counts: the headers beside it are often about the minute.
    """
    said = (
        retry_after_s(facts.headers, facts.wait),
        wait_in_text_s(facts.headers, facts.text),
        spent_wait_s(facts.headers, limits_seen(facts.headers, {}), scope),
    )
    waits = [wait for wait in said if wait is not None]
    return max(waits, default=None) if kind is ErrorKind.QUOTA_EXHAUSTED else next(iter(waits), None)


# --- from shapes to facts --------------------------------------------------------------------------------------------


def _json_facts(status: int | None, document: Mapping[str, Any], headers: Mapping[str, str]) -> ErrorFacts:
    places = _layers(document)
    message = next(filter(None, (_message(place) for place in places)), "")
    raw = next(filter(None, (obj(place.get("metadata")).get("raw") for place in places)), None)
    said = _message(raw)  # OpenRouter: what the provider behind it answered
    names = tuple(dict.fromkeys(name.lower() for place in places for name in _codes(place)))
    return ErrorFacts(
        status=status or next((code for place in places for code in _statuses(place)), None),
        codes=names,
        message=clean(f"{message}: {said}" if said else message) or "the provider sent an error without a message",
        text=" ".join((message, string(raw) or said, *names))[:MAX_TEXT],
        wait=next((hint for place in places for hint in _hints(place)), ""),
        headers=headers,
    )


def _layers(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The nested objects that describe the error, the innermost first: gateways wrap another's error in their own."""
    layers = [document]
    while len(layers) < _DEPTH and (inner := _inner(layers[0])):
        layers.insert(0, inner)
    return layers


def _inner(place: Mapping[str, Any]) -> Mapping[str, Any]:
    errors = items(place.get("errors"))
    wrapped = (place.get("error"), place.get("message"), place.get("detail"), errors[0] if errors else None)
    return next(filter(None, (obj(_unwrapped(value)) for value in wrapped)), {})


def _unwrapped(value: Any) -> Any:
    """`value`, or what it holds if it is a string of JSON."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        decoded = decode(value)
        return value if decoded is None else decoded
    return value


def _page_facts(status: int, body: bytes, headers: Mapping[str, str]) -> ErrorFacts:
    """The facts of a body that is not JSON: a gateway's HTML page (by its title), a line of text, or nothing."""
    text = body[:MAX_TEXT].decode("utf-8", "replace").strip()
    title = _TITLE.search(text)
    sentence = clean(_TAG.sub(" ", title[1] if title else text))[:200]
    message = f"HTTP {status}: {sentence}" if sentence else f"HTTP {status} with an empty body"
    return ErrorFacts(status, (), message, text, headers=headers)


_TITLE = re.compile(r"<title[^>]{0,100}>([^<]{1,300})", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]{0,300}>")
_SENTENCE_KEYS = ("message", "error", "detail", "errors", "msg", "title")


def _message(value: Any, depth: int = _DEPTH) -> str:
    """The sentence in `value`, whatever it is wrapped in; empty if there is none."""
    held = _unwrapped(value)
    if isinstance(held, str) or depth == 0:
        return string(held)
    if isinstance(held, list):
        found = _message(held[0], depth - 1) if held else ""
    else:
        found = next(filter(None, (_message(obj(held).get(key), depth - 1) for key in _SENTENCE_KEYS)), "")
    return found or string(value)


def _codes(place: Mapping[str, Any]) -> Iterator[str]:
    """Every code that the error is given, the most specific first.

    Google's are in `details` (google.rpc.ErrorInfo and QuotaFailure), Azure's in `innererror`, OpenRouter's in
    `metadata.limit_source`.
    """
    for detail in _details(place):
        yield from filter(None, (string(detail.get("error_code")), string(detail.get("reason"))))
        yield from filter(None, (string(obj(failed).get("quotaId")) for failed in items(detail.get("violations"))))
    yield from filter(None, (string(obj(place.get("innererror")).get("code")),))
    named = [place.get(key) for key in ("code", "error_type", "reason", "type", "status")]
    named.append(obj(place.get("metadata")).get("limit_source"))
    yield from (name for name in named if isinstance(name, str) and name not in _NO_CODES)
    yield from (str(name) for name in named if isinstance(name, int))


_NO_CODES = frozenset({"", "error", "about:blank"})  # say nothing; the last is RFC 9457's default type


def _statuses(place: Mapping[str, Any]) -> Iterator[int]:
    """HTTP statuses in the body, for errors that come inside a 200."""
    for key in ("status_code", "code", "status"):
        value = place.get(key)
        number = (
            int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3 else value
        )
        if isinstance(number, int) and 400 <= number < 600:
            yield number


def _hints(place: Mapping[str, Any]) -> Iterator[str]:
    """When to come back, as durations or moments: Google's RetryInfo, fields, and headers that OpenRouter passes on."""
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
