"""The writer of the vote log: rows are appended without waiting, and shipped in batches behind the scenes."""

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
LINGER_S = 0.1
MAX_ROWS = 20_000
MAX_PAYLOAD_BYTES = 64 << 20
_WRITE_TIMEOUT_S = 5.0
_BACKOFF_S = (0.1, 5.0)  # the first pause and the longest


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the rows so far: `appended = committed + pending + dead + lost`, at every moment."""

    appended: int = 0
    committed: int = 0
    pending: int = 0
    dead: int = 0
    lost: int = 0


class _Entry(NamedTuple):
    """A row on its way: its table, its record, its day in UTC if the table has days, and how many bytes of payload."""

    table: Table
    record: tuple[Any, ...]
    day: date | None
    payload_bytes: int


class VoteLog:
    """Takes rows from the event loop's thread and brings them to Postgres, in order, each exactly once.

    `say` receives one sentence when Postgres stops taking rows, when it takes them again, and when there is no more
    room, so that rows are lost.
    """

    def __init__(self, postgres: Postgres, dead_letter: DeadLetter, *, say: Callable[[str], None]) -> None:
        self._postgres = postgres
        self._dead_letter = dead_letter
        self._say = say
        self._queue: deque[_Entry] = deque()
        self._payload_bytes = 0
        self._appended = self._committed = self._dead = self._lost = 0
        self._gone = 0  # entries that have left the queue, one way or another
        self._flush_to = 0  # up to here they leave without lingering
        self._away = self._full = False
        self._something, self._at_once, self._moved = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def counts(self) -> Counts:
        """The counters now."""
        return Counts(self._appended, self._committed, len(self._queue), self._dead, self._lost)

    def append(self, row: Row) -> None:
        """Puts a row on its way. Never waits and never raises: a row without room is counted as lost."""
        self._appended += 1
        table = TABLES[type(row)]
        try:
            entry = _entry(table, row)
        except Exception as error:  # whatever a caller put into a row, it has an answer to give
            self._bury(table, table.read(row), repr(error))
            return
        waiting = len(self._queue)
        if waiting >= MAX_ROWS or self._payload_bytes + entry.payload_bytes > MAX_PAYLOAD_BYTES:
            self._lose()
            return
        self._payload_bytes += entry.payload_bytes
        self._queue.append(entry)
        if not waiting:
            self._something.set()
        if waiting + 1 >= BATCH_ROWS:
            self._at_once.set()

    def start(self) -> None:
        """Begins to ship."""
        self._task = asyncio.create_task(self._run(), name="vote-log")

    async def stop(self) -> None:
        """Ends the shipping at once; what is pending stays pending."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def flush(self, timeout_s: float) -> bool:
        """Ships at once, and waits until everything appended so far is out; False if that took too long."""
        target = self._flush_to = self._gone + len(self._queue)
        self._at_once.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._gone < target:
                    await self._moved.wait()
        return self._gone >= target

    async def drain(self, timeout_s: float) -> bool:
        """Flushes and stops, for the daemon's end; False if rows stayed behind, which `counts` tells as pending."""
        flushed = await self.flush(timeout_s)
        await self.stop()
        return flushed

    # --- private: the shipping ---------------------------------------------------------------------------------------

    async def _run(self) -> None:
        pause_s, longest_s = _BACKOFF_S
        while True:
            await self._due()
            try:
                await self._ship(tuple(islice(self._queue, self._batch_rows())))
            except StoreDown as error:
                self._out_of_reach(str(error))
                await (asyncio.sleep(pause_s) if self._postgres.up else self._postgres.wait_up(longest_s))
                pause_s = min(2 * pause_s, longest_s)
            else:
                pause_s = _BACKOFF_S[0]
                self._within_reach()

    def _batch_rows(self) -> int:
        """More at once when many wait: under load the round trips are what is scarce."""
        return max(BATCH_ROWS, min(len(self._queue) // 2, MOST_BATCH_ROWS))

    async def _due(self) -> None:
        """Waits for a full batch, for the first row to have lingered long enough, or for a flush."""
        await self._something.wait()
        if self._gone >= self._flush_to:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LINGER_S):
                    await self._at_once.wait()
        self._at_once.clear()

    async def _ship(self, batch: Sequence[_Entry]) -> None:
        """Writes a batch from the head of the queue; halves one that is refused, until the bad row stands alone."""
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

    async def _write(self, batch: Sequence[_Entry]) -> None:
        async with self._postgres.connection(_WRITE_TIMEOUT_S) as connection:
            if days := {entry.day for entry in batch if entry.day}:
                # Tomorrow's tables as well, so that midnight finds them made; outside the transaction, to lock briefly.
                days.add(max(days) + timedelta(days=1))
                await connection.execute("SELECT quorum.ensure_partitions($1::date[])", sorted(days))
            async with connection.transaction():
                for table in {entry.table.name: entry.table for entry in batch}.values():
                    await _copy(connection, table, [entry.record for entry in batch if entry.table is table])

    # --- private: the accounts ---------------------------------------------------------------------------------------

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

    def _out_of_reach(self, why: str) -> None:
        if not self._away:
            self._away = True
            self._say(f"the vote log waits for Postgres ({why}); rows are kept in memory")

    def _within_reach(self) -> None:
        if self._away:
            self._say(
                f"the vote log is written again; {len(self._queue)} rows wait, {self._lost} were lost since the start"
            )
        self._away = self._full = False


def _entry(table: Table, row: Row) -> _Entry:
    record = table.record(row)
    day = None if table.dated_by is None else record[table.dated_by].astimezone(UTC).date()
    return _Entry(table, record, day, len(row.body) if isinstance(row, PayloadRow) else 0)


async def _copy(connection: asyncpg.Connection, table: Table, records: Iterable[tuple[Any, ...]]) -> None:
    """Copies records into a table; those it has already are left as they are. For use inside a transaction."""
    stage, columns = f"stage_{table.name}", ", ".join(table.columns)
    await connection.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {stage} (LIKE quorum.{table.name}) ON COMMIT DELETE ROWS"
    )
    await connection.copy_records_to_table(stage, records=records, columns=table.columns)
    await connection.execute(
        f"INSERT INTO quorum.{table.name} ({columns}) SELECT {columns} FROM {stage} ON CONFLICT DO NOTHING"  # noqa: S608
    )
