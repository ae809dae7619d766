"""Where rows go that Postgres will never take: one JSON object per line, for a person to look at."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

MAX_BYTES = 64 << 20


class DeadLetter:
    """A file that grows to `max_bytes` and no further. Of a payload only the length is written."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes

    def put(self, table: str, row: dict[str, Any], error: str) -> bool:
        """Writes down a row and why it was refused; False if there is no room or no disk for it."""
        try:
            line = json.dumps({"table": table, "error": error, "row": row}, default=_show).encode("ascii") + b"\n"
            with open(self._path, "ab", opener=_private) as file:
                if file.tell() + len(line) > self._max_bytes:
                    return False
                file.write(line)
        except (OSError, TypeError, ValueError, RecursionError):
            return False
        return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _show(value: Any) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else str(value)
