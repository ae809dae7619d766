"""Sets up logging: structured lines as JSON for machines, or as coloured text for a terminal.

Every line passes `MASK`, which replaces each secret the process holds, before it reaches a sink. Control characters are
escaped, so that text from callers and providers can neither forge a line nor drive a terminal.
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
_PLAIN = frozenset({str, int, float, bool})
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def _add_stack(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Renders the stack of an exception as text, where the line has one."""
    return structlog.processors.format_exc_info(logger, name, event) if "exc_info" in event else event


def _tame(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Drops None, cuts long texts, and escapes characters that could start another line or move a cursor."""
    fields = {key: value for key, value in event.items() if value is not None}
    if {*map(type, fields.values())} <= _PLAIN:
        # One check of all texts together suffices for nearly every line.
        texts = "".join([value for value in fields.values() if type(value) is str])
        if len(texts) <= _MAX_FIELD_CHARS and texts.isprintable():
            return fields
    return {key: _tamed(value) for key, value in fields.items()}


def _tamed(value: Any) -> Any:
    match value:
        case None | bool() | int() | float():
            return value
        case str() if len(value) <= _MAX_FIELD_CHARS and value.isprintable():
            return value
        case str():
            # Masked before it is cut: half a secret would no longer be recognised.
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
    """Passes records of the standard library's logging (aiohttp, asyncio, asyncpg) to structlog, without stacks."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        level = min(record.levelno // 10 * 10, logging.CRITICAL)  # libraries may define levels in between
        structlog.get_logger().log(level, record.getMessage(), **fields)


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Configures logging for this process, to `stream` (default: stderr).

    `level` is the lowest level that is written; `form` is `json`, `console` or `auto` (console on a terminal).
    """
    stream = stream or sys.stderr
    console = form == "console" or (form == "auto" and stream.isatty())
    renderer: Any = structlog.dev.ConsoleRenderer(colors=stream.isatty()) if console else _as_json
    writer = structlog.WriteLogger(stream)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_stack,
            _tame,
            renderer,
            _mask,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_Plain()]
    root.setLevel(logging.WARNING)
