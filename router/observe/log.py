"""Logging: one line per request and per state change, JSON for machines or coloured text for a terminal.

Whatever reaches a sink has passed `MASK`, which knows every secret value the process holds.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from router.observe.masking import MASK

_MAX_FIELD_CHARS = 2_000
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def _explain(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """The stack of an exception as text, where there is one."""
    return structlog.processors.format_exc_info(logger, name, event) if "exc_info" in event else event


_PLAIN = frozenset({str, int, float, bool})


def _tame(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Leaves out what is None; cuts long texts, and escapes what could forge a second line or move a cursor."""
    told = {key: value for key, value in event.items() if value is not None}
    if {*map(type, told.values())} <= _PLAIN:
        # One look at all texts together is enough for nearly every line.
        texts = "".join([value for value in told.values() if type(value) is str])
        if len(texts) <= _MAX_FIELD_CHARS and texts.isprintable():
            return told
    return {key: _tamed(value) for key, value in told.items()}


def _tamed(value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case str() if len(value) <= _MAX_FIELD_CHARS and value.isprintable():
            return value
        case str():
            # What is cut is masked before, so that no half of a secret stays behind.
            return MASK.clean(value)[:_MAX_FIELD_CHARS].encode("unicode_escape").decode("ascii")
        case list() | tuple():
            return [_tamed(item) for item in value]
        case _:
            return _tamed(str(value))


def _as_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    return orjson.dumps(event, default=str).decode()


def _mask(_: WrappedLogger, __: str, line: Any) -> Any:
    return MASK.clean(line)


class _Plain(logging.Handler):
    """Brings the standard library's records (aiohttp, asyncio, asyncpg) into the same lines, without stacks."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        level = min(record.levelno // 10 * 10, logging.CRITICAL)  # libraries may have levels of their own
        structlog.get_logger().log(level, record.getMessage(), **fields)


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Sets up structlog for this process; `form` is `json`, `console` or `auto` (console on a terminal)."""
    stream = stream or sys.stderr
    console = form == "console" or (form == "auto" and stream.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer(colors=stream.isatty()) if console else _as_json
    written = structlog.WriteLogger(stream)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _explain,
            _tame,
            renderer,
            _mask,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: written,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Plain()]
    root.setLevel(logging.WARNING)
