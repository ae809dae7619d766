"""The headers that every answer carries once its facts are known, whatever its door."""

from __future__ import annotations

from collections.abc import Iterable

from router.core.context import RequestContext
from router.core.plan import Plan


def route_headers(
    context: RequestContext,
    *,
    plan: Plan | None = None,
    attempts: int | None = None,
    provider: str | None = None,
    model: str | None = None,
    dropped: Iterable[str] = (),
) -> dict[str, str]:
    """`X-Request-Id` and `X-Quorum-*`; `plan` is the one that was decided by, where that is known already."""
    options = context.options if plan is None else plan.options
    headers = {
        "X-Request-Id": context.id,
        "X-Quorum-Strategy": options.strategy,
        "X-Quorum-Tier": options.tier,
        "X-Quorum-Registry": context.registry.short_hash,
    }
    if attempts is not None:
        headers["X-Quorum-Attempts"] = str(attempts)
    if provider is not None:
        headers["X-Quorum-Provider"] = provider
    if model is not None:
        headers["X-Quorum-Model"] = _safe(model, 128)
    if dropped:
        headers["X-Quorum-Dropped-Params"] = _safe(", ".join(dropped), 512)
    return headers


def _safe(text: str, limit: int) -> str:
    """What comes from outside, as far as it is safe in a header."""
    cut = text[:limit]
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(char for char in cut if char.isascii() and char.isprintable())
