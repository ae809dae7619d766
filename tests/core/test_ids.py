"""Ids and times of rows: UUIDv7, which sorts by time, and UTC."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from router.core.clock import SYSTEM_CLOCK, Clock, utc
from router.core.ids import new_id


def test_an_id_is_a_uuid_of_version_7_that_holds_its_millisecond() -> None:
    made = uuid.UUID(new_id(Clock(wall=lambda: 1_700_000_000.123)))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == 1_700_000_000_123


def test_ids_sort_by_time_and_do_not_repeat() -> None:
    times = [1_700_000_000 + step / 500 for step in range(500)]
    ids = [new_id(Clock(wall=lambda now=now: now)) for now in times]  # type: ignore[misc]
    assert ids == sorted(ids)
    assert len({new_id(SYSTEM_CLOCK) for _ in range(10_000)}) == 10_000


def test_utc() -> None:
    assert utc(0.0) == datetime(1970, 1, 1, tzinfo=UTC)
