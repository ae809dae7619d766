"""What is known of a request when it has come in: made once, at the door, and handed along unchanged."""

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
    """What a caller asked for besides the chat itself; None where the registry or the strategy decides."""

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
    """One request: who asks what of which registry, since when and until when.

    `created_at` is Unix time in seconds, `began` and `deadline` are monotonic. `request_model` is the model's name as
    the caller wrote it, `ignored` the fields of the body that nobody knows, `body` its bytes as they came.
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
        """The seed of everything that is drawn for this request: of its id, so that it can be drawn again."""
        return zlib.crc32(self.id.encode())
