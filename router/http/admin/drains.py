"""`POST /v1/drain` and `/v1/undrain`: an operator takes a provider or a model out of service, or puts it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from aiohttp import web

from router.core.block import Block
from router.core.clock import Clock
from router.core.registry import Provider, Registry, Seat
from router.core.text import did_you_mean
from router.http.admin.seat_state import told
from router.http.body import json_response, read_json_body
from router.http.errors import ApiError
from router.http.values import invalid, named, quoted, typed

MAX_REASON_CHARS = 200
MAX_DRAIN_S = 31 * 86400.0
_NO_REASON = "drained by an operator"
_DRAIN = ("provider", "model", "for_s", "reason")
_UNDRAIN = ("provider", "model")


class Drains(Protocol):
    """Stores drains of providers (subject `groq`) and models (subject `groq/openai/gpt-oss-20b`)."""

    def drain(self, subject: str, reason: str, until: float | None) -> None:
        """Takes a subject out of service until a Unix time in seconds; None until it is undrained."""

    def undrain(self, subject: str) -> bool:
        """Puts a subject back in service; False if nothing had taken it out."""


@dataclass(frozen=True, slots=True)
class _Drained:
    provider: Provider
    model: str | None

    @property
    def id(self) -> str:
        return self.provider.id if self.model is None else f"{self.provider.id}/{self.model}"

    @property
    def models(self) -> list[str]:
        return list(self.provider.models) if self.model is None else [self.model]


class DrainsApi:
    """Both commands; each returns the state of the models concerned after it, as `block` reports it."""

    def __init__(
        self,
        *,
        registry: Callable[[], Registry],
        drains: Drains,
        block: Callable[[Seat], Block | None],
        clock: Clock,
    ) -> None:
        self._registry = registry
        self._drains = drains
        self._block = block
        self._clock = clock

    async def drain(self, request: web.Request) -> web.Response:
        """Drains for `for_s` seconds, or until undrained; never shortens a longer drain."""
        registry, document = self._registry(), await _document(request, _DRAIN)
        subject, reason, for_s = _drained(registry, document), _reason(document), _for_s(document)
        self._drains.drain(subject.id, reason, None if for_s is None else self._clock.wall() + for_s)
        return json_response(self._now(registry, subject))

    async def undrain(self, request: web.Request) -> web.Response:
        """Undrains; forgets refused keys, retired models and unpaid bills too, so that the next request tries again."""
        registry, document = self._registry(), await _document(request, _UNDRAIN)
        subject = _drained(registry, document)
        ended = self._drains.undrain(subject.id)
        return json_response({**self._now(registry, subject), "ended": ended})

    def _now(self, registry: Registry, subject: _Drained) -> dict[str, Any]:
        seats = [registry.seats[f"{subject.provider.id}/{model}"] for model in subject.models]
        models = [{"model": seat.model.id, **told(self._block(seat))} for seat in seats]
        return {"provider": subject.provider.id, "model": subject.model, "models": models}


async def _document(request: web.Request, fields: tuple[str, ...]) -> Mapping[str, Any]:
    try:
        document = orjson.loads(await read_json_body(request))
    except orjson.JSONDecodeError:
        raise invalid("the body is not JSON") from None
    if not isinstance(document, dict):
        raise invalid(f"the body must be a JSON object, not {named(document)}")
    for name in document:
        if name not in fields:
            near = did_you_mean(name, fields)
            raise invalid(f"unknown field {quoted(name)}{near}; valid are {', '.join(fields)}", name[:60])
    return document


def _drained(registry: Registry, document: Mapping[str, Any]) -> _Drained:
    name = typed(document, "provider", str, "the name of a provider")
    if not name:
        raise invalid("provider is missing: it must be the name of a provider", "provider")
    provider = registry.providers.get(name)
    if provider is None:
        raise _unknown("provider", name, registry.providers)
    model = typed(document, "model", str, "the name of a model")
    if model is not None and model not in provider.models:
        raise _unknown("model", model, provider.models)
    return _Drained(provider, model)


def _unknown(what: str, name: str, known: Mapping[str, Any]) -> ApiError:
    words = f"no {what} {quoted(name)}{did_you_mean(name, known)}; valid are {', '.join(known)}"
    return ApiError(404, f"{what}_not_found", words, param=what)


def _reason(document: Mapping[str, Any]) -> str:
    reason = typed(document, "reason", str, "a text") or ""
    if len(reason) > MAX_REASON_CHARS:
        raise invalid(f"reason has {len(reason)} characters, at most {MAX_REASON_CHARS} are allowed", "reason")
    one_line = " ".join("".join(char if char.isprintable() else " " for char in reason).split())
    return one_line or _NO_REASON


def _for_s(document: Mapping[str, Any]) -> float | None:
    value = document.get("for_s")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_DRAIN_S:
        bounds = f"more than 0 and at most {MAX_DRAIN_S:.0f}"
        raise invalid(f"for_s must be a number of seconds, {bounds}, not {named(value)}", "for_s")
    return float(value)
