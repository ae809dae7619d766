"""A small registry of four providers for tests of what is decided before anything is sent, and clocks they can set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from adapters.types import ChatRequest, Message, Text
from router.core.block import Block
from router.core.clock import Clock
from router.core.context import Options, RequestContext
from router.core.registry import Registry, Seat
from router.core.strategy_options import Strategy
from router.http.openai.request import ChatBody, parse_chat
from router.registry.load import parse_registry

REGISTRY = """\
version: 1
defaults: {strategy: single-query, tier: cheap}
tiers:
  cheap:   {council_size: 3, first_token: 10s, total: 60s}
  complex: {council_size: 2, first_token: 25s, total: 180s}
providers:
  alpha:
    adapter: openai
    api_key: ${KEY}
    limits: [{requests: 100, per: day, resets: "00:00 UTC"}]
    models:
      small: {tier: cheap, rank: 1, context: 8k, supports: [tools, json], replaced_by: fresh}
      fresh: {tier: complex, rank: 9, context: 64k}
  beta:
    adapter: openai
    api_key: ${KEY}
    models:
      small: {tier: cheap, rank: 2, context: 128k, supports: [tools, json_schema, vision]}
      large: {tier: complex, rank: 1, context: 1M}
  gamma:
    adapter: openai
    api_key: ${KEY}
    models:
      plain: {tier: {cheap: 2, complex: 3}, supports: []}
  delta:
    adapter: openai
    api_key: ${KEY}
    models:
      unsaid: {tier: cheap, rank: 2}
"""


def registry(text: str = REGISTRY) -> Registry:
    """The registry of a text, which must be without errors."""
    checked = parse_registry(text.encode(), "registry.yaml", env={"KEY": "sk-of-tests"})
    assert checked.registry is not None, "\n".join(map(str, checked.problems))
    return checked.registry


def ids(seats: Iterable[Seat]) -> list[str]:
    return [seat.id for seat in seats]


def asking(text: str = "hello", **fields: Any) -> ChatRequest:
    """A request of one user message."""
    return ChatRequest(messages=(Message("user", (Text(text),)),), **fields)


def context(
    clock: Clock,
    registry: Registry,
    *,
    strategy: Strategy = "single-query",
    tier: str | None = None,
    deadline_s: float = 60.0,
    **facts: Any,
) -> RequestContext:
    """A request that comes in now, with the options of a caller who says nothing else."""
    return RequestContext(
        **{
            "id": "request",
            "api": "chat.completions",
            "created_at": clock.wall(),
            "began": clock.monotonic(),
            "deadline": clock.monotonic() + deadline_s,
            "registry": registry,
            "options": Options(strategy, tier or registry.default_tier),
            **facts,
        }
    )


def body(**fields: Any) -> dict[str, Any]:
    """A good chat body with some fields replaced or added."""
    return {"model": "auto", "messages": [{"role": "user", "content": "hello"}], **fields}


def parsed(**fields: Any) -> ChatBody:
    return parse_chat(orjson.dumps(body(**fields)))


@dataclass(frozen=True)
class States:
    """What is known of each seat, as a planner asks for it; by default nothing speaks against any."""

    blocks: Mapping[str, Block] = field(default_factory=dict)
    rooms: Mapping[str, float] = field(default_factory=dict)
    doubts: Mapping[str, int] = field(default_factory=dict)

    def block(self, seat: Seat) -> Block | None:
        return self.blocks.get(seat.id)

    def doubt_class(self, seat: Seat) -> int:
        return self.doubts.get(seat.id, 0)

    def cost_s(self, seat: Seat, *, streamed: bool) -> float:
        return 0.0

    def room(self, seat: Seat) -> float:
        return self.rooms.get(seat.id, float("inf"))


CLEAR = States()


@dataclass
class FakeTime:
    """Time that moves when told to; both clocks move together."""

    wall: float = 1_750_000_000.0
    monotonic: float = 1_000.0

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.monotonic, wall=lambda: self.wall)

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds
