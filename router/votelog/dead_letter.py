"""The dead-letter file: rows that Postgres rejects for good, one JSON object per line, for a person to inspect."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

MAX_BYTES = 64 << 20


class DeadLetter:
    """A JSON Lines file of at most `max_bytes`, readable only by its owner. Of a payload only the length is written."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes

    def put(self, table: str, row: dict[str, Any], error: str) -> bool:
        """Appends a row and why it was rejected. Never raises: False if the file is full or cannot be written."""
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
