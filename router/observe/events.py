"""The hub: whoever has something to tell publishes an event, whoever subscribed to its type hears of it at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog

from router.core.stages import Stage

E = TypeVar("E")


class Hub:
    """Events go to subscribers in the order of their subscription, in the call that publishes them: nothing waits.

    A subscriber that raises is logged; the others hear all the same, and whoever published is not disturbed.
    """

    def __init__(self) -> None:
        self._subscribers: dict[type[Any], list[Callable[[Any], None]]] = {}
        self._watchers: dict[str, Callable[[Stage], None]] = {}

    def subscribe(self, kind: type[E], hear: Callable[[E], None]) -> None:
        """Tells `hear` of every event of this very type from now on."""
        self._subscribers.setdefault(kind, []).append(hear)

    def publish(self, event: object) -> None:
        """Tells an event to all who subscribed to its type."""
        for hear in self._subscribers.get(type(event), ()):
            try:
                hear(event)
            except Exception:  # a bug in one who only listens must not cost whoever has something to tell
                structlog.get_logger().exception("event_bug", kind=type(event).__name__)

    @contextmanager
    def watching(self, request_id: str, hear: Callable[[Stage], None]) -> Iterator[None]:
        """Tells `hear` of every stage of one request while the body of the `with` runs."""
        self._watchers[request_id] = hear
        try:
            yield
        finally:
            del self._watchers[request_id]

    def is_watched(self, request_id: str) -> bool:
        """Whether anybody wants to be told of the stages of a request; if not, none need be made."""
        return request_id in self._watchers

    def reached(self, request_id: str, stage: Stage) -> None:
        """Tells a stage of a request to whoever watches it."""
        if (hear := self._watchers.get(request_id)) is not None:
            hear(stage)
