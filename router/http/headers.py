"""Response headers that all endpoints share: the request's id, and how it was routed."""

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
    """`X-Request-Id` and `X-Quorum-*`, as far as the values are known.

    `plan` is the plan behind the decision: after an escalation its strategy and tier differ from the context's.
    """
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
    """Text from outside, reduced to printable ASCII and `limit` characters: CR or LF would inject a header."""
    cut = text[:limit]
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(char for char in cut if char.isascii() and char.isprintable())
