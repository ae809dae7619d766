"""Writes the vote log: rows are queued without waiting, and a background task ships them to Postgres in batches."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from itertools import islice
from typing import Any, NamedTuple

import asyncpg

from router.stores.errors import StoreDown, StoreRefused
from router.stores.postgres import Postgres
from router.votelog.dead_letter import DeadLetter
from router.votelog.rows import TABLES, PayloadRow, Row, Table

BATCH_ROWS = 500
MOST_BATCH_ROWS = 4_000
LINGER_S = 0.1  # how long a row waits for others to share its batch
MAX_ROWS = 20_000  # in the queue, and the next bound is for the bytes of their payloads; beyond them rows are lost
MAX_PAYLOAD_BYTES = 64 << 20
_WRITE_TIMEOUT_S = 5.0
_BACKOFF_S = (0.1, 5.0)  # the first pause and the longest


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows so far by what became of them; at every moment `appended = committed + pending + dead + lost`.

    `dead` rows were rejected by Postgres and stand in the dead-letter file; `lost` ones found no room, in it or in
    the queue.
    """

    appended: int = 0
    committed: int = 0
    pending: int = 0
    dead: int = 0
    lost: int = 0


class _WaitingRow(NamedTuple):
    """A row in the queue: its table, its record, its partition's day (UTC) if the table has any, its payload's size."""

    table: Table
    record: tuple[Any, ...]
    day: date | None
    payload_bytes: int


class VoteLog:
    """Takes rows on the event loop's thread and writes them to Postgres, in order, each exactly once.

    `say` receives one sentence when Postgres stops accepting rows, when it accepts them again, and when the queue is
    full, so that rows are lost.
    """

    def __init__(self, postgres: Postgres, dead_letter: DeadLetter, *, say: Callable[[str], None]) -> None:
        self._postgres = postgres
        self._dead_letter = dead_letter
        self._say = say
        self._queue: deque[_WaitingRow] = deque()
        self._payload_bytes = 0
        self._appended = self._committed = self._dead = self._lost = 0
        self._gone = 0  # rows that have left the queue, however
        self._flush_to = 0  # rows up to this count are shipped without lingering
        self._away = self._full = False
        self._something, self._at_once, self._moved = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def counts(self) -> Counts:
        """The counters now."""
        return Counts(self._appended, self._committed, len(self._queue), self._dead, self._lost)

    def append(self, row: Row) -> None:
        """Queues a row. Never waits and never raises: a row that finds no room is counted as lost."""
        self._appended += 1
        table = TABLES[type(row)]
        try:
            queued = _waiting_row(table, row)
        except Exception as error:  # a row that cannot be encoded must not cost a caller the answer
            self._bury(table, table.read(row), repr(error))
            return
        waiting = len(self._queue)
        if waiting >= MAX_ROWS or self._payload_bytes + queued.payload_bytes > MAX_PAYLOAD_BYTES:
            self._lose()
            return
        self._payload_bytes += queued.payload_bytes
        self._queue.append(queued)
        if not waiting:
            self._something.set()
        if waiting + 1 >= BATCH_ROWS:
            self._at_once.set()

    def start(self) -> None:
        """Starts the background task that ships rows."""
        self._task = asyncio.create_task(self._run(), name="vote-log")

    async def stop(self) -> None:
        """Stops shipping at once; rows in the queue stay pending."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def flush(self, timeout_s: float) -> bool:
        """Ships without lingering, and waits until every row appended so far has left the queue.

        False if that took longer than `timeout_s`.
        """
        target = self._flush_to = self._gone + len(self._queue)
        self._at_once.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._gone < target:
                    await self._moved.wait()
        return self._gone >= target

    async def drain(self, timeout_s: float) -> bool:
        """Flushes, then stops, when the daemon ends; False if rows stayed behind, which `counts` shows as pending."""
        flushed = await self.flush(timeout_s)
        await self.stop()
        return flushed

    # --- shipping -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        pause_s, longest_s = _BACKOFF_S
        while True:
            await self._due()
            try:
                await self._ship(tuple(islice(self._queue, self._batch_rows())))
            except StoreDown as error:
                self._became_unreachable(str(error))
                await (asyncio.sleep(pause_s) if self._postgres.up else self._postgres.wait_up(longest_s))
                pause_s = min(2 * pause_s, longest_s)
            else:
                pause_s = _BACKOFF_S[0]
                self._became_reachable()

    def _batch_rows(self) -> int:
        """Rows of the next batch: more when many wait, since under load round trips are the bottleneck."""
        return max(BATCH_ROWS, min(len(self._queue) // 2, MOST_BATCH_ROWS))

    async def _due(self) -> None:
        """Waits for a full batch, for the oldest row to have lingered, or for a flush."""
        await self._something.wait()
        if self._gone >= self._flush_to:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await self._at_once.wait()
        self._at_once.clear()

    async def _ship(self, batch: Sequence[_WaitingRow]) -> None:
        """Writes a batch from the head of the queue; a rejected batch is halved until the bad row stands alone."""
        try:
            await self._write(batch)
        except StoreRefused as error:
            if len(batch) == 1:
                self._bury(batch[0].table, batch[0].record, str(error))
                self._leave(1)
                return
            middle = len(batch) // 2
            await self._ship(batch[:middle])
            await self._ship(batch[middle:])
        else:
            self._committed += len(batch)
            self._leave(len(batch))

    async def _write(self, batch: Sequence[_WaitingRow]) -> None:
        async with self._postgres.connection(_WRITE_TIMEOUT_S) as connection:
            if days := {row.day for row in batch if row.day}:
                # The next day's too, so that they exist at midnight. Outside the transaction, to hold locks briefly.
                days.add(max(days) + timedelta(days=1))
                await connection.execute("SELECT quorum.ensure_partitions($1::date[])", sorted(days))
            async with connection.transaction():
                for table in {row.table.name: row.table for row in batch}.values():
                    await _copy(connection, table, [row.record for row in batch if row.table is table])

    # --- accounting ---------------------------------------------------------------------------------------------------

    def _leave(self, rows: int) -> None:
        for _ in range(rows):
            self._payload_bytes -= self._queue.popleft().payload_bytes
        self._gone += rows
        if not self._queue:
            self._something.clear()
        elif len(self._queue) >= BATCH_ROWS:
            self._at_once.set()
        self._moved.set()
        self._moved = asyncio.Event()

    def _bury(self, table: Table, record: tuple[Any, ...], error: str) -> None:
        if self._dead_letter.put(table.name, dict(zip(table.columns, record, strict=True)), error):
            self._dead += 1
        else:
            self._lost += 1

    def _lose(self) -> None:
        self._lost += 1
        if not self._full:
            self._full = True
            self._say(f"the vote log has no more room ({len(self._queue)} rows wait): further rows are lost")

    def _became_unreachable(self, why: str) -> None:
        if not self._away:
            self._away = True
            self._say(f"the vote log waits for Postgres ({why}); rows are kept in memory")

    def _became_reachable(self) -> None:
        if self._away:
            self._say(
                f"the vote log is written again; {len(self._queue)} rows wait, {self._lost} were lost since the start"
            )
        self._away = self._full = False


def _waiting_row(table: Table, row: Row) -> _WaitingRow:
    record = table.record(row)
    day = None if table.dated_by is None else record[table.dated_by].astimezone(UTC).date()
    return _WaitingRow(table, record, day, len(row.body) if isinstance(row, PayloadRow) else 0)


async def _copy(connection: asyncpg.Connection, table: Table, records: Iterable[tuple[Any, ...]]) -> None:
    """Copies records into a table by way of a staging table, inside a transaction; rows it already has are skipped.

    COPY itself knows no ON CONFLICT, and a batch may come twice: after a time-out it may have been committed.
    """
    stage, columns = f"stage_{table.name}", ", ".join(table.columns)
    await connection.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {stage} (LIKE quorum.{table.name}) ON COMMIT DELETE ROWS"
    )
    await connection.copy_records_to_table(stage, records=records, columns=table.columns)
    await connection.execute(
        f"INSERT INTO quorum.{table.name} ({columns}) SELECT {columns} FROM {stage} ON CONFLICT DO NOTHING"  # noqa: S608
    )
