"""The event hub: delivers each published event to the subscribers of its type, synchronously."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog

from router.core.stages import Stage

E = TypeVar("E")


class Hub:
    """Calls subscribers in the order of subscription, inside `publish`; they must not block.

    An exception of a subscriber is logged; the other subscribers and the publisher are not affected.
    """

    def __init__(self) -> None:
        self._subscribers: dict[type[Any], list[Callable[[Any], None]]] = {}
        self._watchers: dict[str, Callable[[Stage], None]] = {}

    def subscribe(self, kind: type[E], hear: Callable[[E], None]) -> None:
        """Calls `hear` for every further event of exactly this type; subtypes are not included."""
        self._subscribers.setdefault(kind, []).append(hear)

    def publish(self, event: object) -> None:
        """Delivers an event to all subscribers of its type; never raises."""
        for hear in self._subscribers.get(type(event), ()):
            try:
                hear(event)
            except Exception:  # a bug in an observer must not fail the observed request
                structlog.get_logger().exception("event_bug", kind=type(event).__name__)

    @contextmanager
    def watching(self, request_id: str, hear: Callable[[Stage], None]) -> Iterator[None]:
        """Calls `hear` for every stage of one request while the block runs."""
        self._watchers[request_id] = hear
        try:
            yield
        finally:
            del self._watchers[request_id]

    def is_watched(self, request_id: str) -> bool:
        """Whether a request's stages have a watcher; if not, none need be built."""
        return request_id in self._watchers

    def reached(self, request_id: str, stage: Stage) -> None:
        """Delivers a stage of a request to its watcher, if there is one."""
        if (hear := self._watchers.get(request_id)) is not None:
            hear(stage)
