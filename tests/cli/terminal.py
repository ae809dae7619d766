"""A terminal to run the command at: a pseudo-terminal of a given size, and what its screen shows after some output."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import sys
import termios
import unicodedata
from collections.abc import Mapping

from tests.support.paths import ROOT

_TOKEN = re.compile(r"\x1b\[(\?25[lh]|\d+A|2K|[\d;]*m)|([^\x1b])", re.DOTALL)


async def at_terminal(
    *words: str,
    columns: int = 80,
    rows: int = 24,
    env: Mapping[str, str] | None = None,
    stderr: int = asyncio.subprocess.PIPE,
) -> tuple[int, str, str]:
    """Runs the command at a terminal of its own, without colours; exit code, the bytes it was sent, stderr.

    `stderr` may be a file descriptor; then its text is not returned.
    """
    ours, theirs = open_terminal(columns, rows)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router", *words,
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", "PYTHONUTF8": "1", **({"NO_COLOR": "1"} if env is None else env)},
        stdout=theirs, stderr=stderr,
    )  # fmt: skip
    os.close(theirs)
    heard = asyncio.get_running_loop().run_in_executor(None, all_of, ours)
    async with asyncio.timeout(60):
        _, err = await process.communicate()
        return process.returncode or 0, (await heard).decode(), (err or b"").decode()


def open_terminal(columns: int = 80, rows: int = 24) -> tuple[int, int]:
    """Both ends of a pseudo-terminal: ours, and the one a process is given."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    return ours, theirs


def all_of(terminal: int) -> bytes:
    """Everything that is written to a terminal until its other end is closed."""
    heard = b""
    try:
        while piece := os.read(terminal, 65536):
            heard += piece
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(terminal)
    return heard


def on_screen(output: str, columns: int = 80, rows: int = 24) -> list[str]:
    """The lines a terminal shows after `output`, those that have scrolled away included.

    Fails on any sequence but the few that a live view needs: moves up, wiping a line, colours, and hiding the cursor.
    While the cursor is hidden, which is while a live view draws, it also fails on a line that the terminal would wrap,
    and on a move above the screen.
    """
    lines, row, column, drawing = [""], 0, 0, False
    at = 0
    while at < len(output):
        token = _TOKEN.match(output, at)
        assert token, f"a sequence that drives the terminal: {output[at : at + 20]!r}"
        at = token.end()
        command, char = token.groups()
        if command is None:
            row, column = _typed(lines, row, column, char)
            assert not drawing or width_of(lines[row]) <= columns, f"the terminal wraps {lines[row]!r}"
        elif command.startswith("?"):
            drawing = command == "?25l"
        elif command == "2K":
            lines[row] = ""
        elif command.endswith("A"):
            row -= int(command[:-1])
            assert row >= max(0, len(lines) - rows), "a move to above the screen"
    return lines


def _typed(lines: list[str], row: int, column: int, char: str) -> tuple[int, int]:
    if char == "\r":
        return row, 0
    if char == "\n":
        if row + 1 == len(lines):
            lines.append("")
        return row + 1, column
    assert char.isprintable(), f"a control character reaches the terminal: {char!r}"
    assert column == width_of(lines[row]), "text is only ever written at the end of a line"
    lines[row] += char
    return row, column + width_of(char)


def width_of(text: str) -> int:
    """The columns that a terminal takes for a text."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)
