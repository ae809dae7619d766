"""The context of a request: made once at its endpoint, then passed along unchanged."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from adapters.types import NOTHING
from router.core.registry import Registry
from router.core.strategy_options import FreeText, OnNoQuorum, Strategy

Api = Literal["chat.completions", "responses", "messages", "embeddings", "probe"]


@dataclass(frozen=True, slots=True)
class Options:
    """Routing options of a request; None leaves the choice to the registry or the strategy.

    `pinned` is the only seat that may answer (`provider/model`), `council_size` the most seats asked, `labels` the
    allowed answers of a vote; `strict` excludes seats that cannot take every parameter; `explain` returns every vote.
    """

    strategy: Strategy
    tier: str
    pinned: str | None = None
    council_size: int | None = None
    timeout_s: float | None = None
    labels: tuple[str, ...] = ()
    on_no_quorum: OnNoQuorum | None = None
    free_text: FreeText | None = None
    include_reasoning: bool = False
    explain: bool = False
    strict: bool = False
    end_user: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One request: its options, its times, and the registry it began with, which a reload does not change.

    `created_at` is Unix time, `began` and `deadline` are monotonic, all in seconds. `request_model` is the model name
    as the caller wrote it, `ignored` the body's unknown fields, `body` its raw bytes.
    """

    id: str
    api: Api
    created_at: float
    began: float
    deadline: float
    registry: Registry
    options: Options
    request_model: str = ""
    stream: bool = False
    ignored: tuple[str, ...] = ()
    body: bytes = b""
    caller: str | None = None
    trace: str | None = None

    @property
    def seed(self) -> int:
        """The seed of all random draws of this request, derived from its id, so that replay repeats them."""
        return zlib.crc32(self.id.encode())
