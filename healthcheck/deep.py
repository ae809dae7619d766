"""`python -m healthcheck --deep`: has the daemon ask every model now, and shows what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from http.client import HTTPException
from typing import Any, TypeGuard
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

_TIMEOUT_S = 600.0  # many models, few at a time, and some of them think for a minute
_MAX_BYTES = 16 << 20
_COLUMNS = ("provider", "model", "verdict", "ms", "why")
_NUMBERS = ("ms",)
_MAX_WIDTH = 80
_NOT_ROUTABLE = frozenset({"disabled", "no-key"})


class DeepError(Exception):
    """The daemon could not be asked; the message is for a person."""


def probe(url: str, api_key: str) -> dict[str, Any]:
    """The daemon's report on every model, which it asks now; DeepError if it gives none. No key is sent if empty."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {})
    request = Request(f"{url.rstrip('/')}/v1/probe", data=b"{}", headers=headers, method="POST")  # noqa: S310 - http(s)
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=_TIMEOUT_S) as response:
            report: Any = json.loads(response.read(_MAX_BYTES))
    except HTTPError as error:
        raise DeepError(f"HTTP {error.code}: {_sentence(error.read(_MAX_BYTES))}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise DeepError(f"no daemon answers at {url}: {getattr(error, 'reason', error)}") from None
    if not _is_report(report):
        raise DeepError(f"what answers at {url} is no daemon of this kind")
    return report


def any_down(report: Mapping[str, Any]) -> bool:
    """Whether a model that could be routed to is down."""
    return any(row.get("verdict") == "down" and row.get("state") not in _NOT_ROUTABLE for row in report["models"])


def table(report: Mapping[str, Any]) -> str:
    """The report as aligned columns."""
    lines = [_COLUMNS, *(_cells(row) for row in report["models"])]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS))]
    return "\n".join(_line(line, widths) for line in lines)


def _cells(row: Mapping[str, Any]) -> Sequence[str]:
    latency_ms, state = row.get("latency_ms"), row.get("state")
    why = [row.get("reason")] if state in (None, "clear") else [state, row.get("reason")]
    values = (row.get("provider"), row.get("model"), row.get("verdict"), latency_ms, ": ".join(_said(why)))
    return [_printable(value) for value in values]


def _said(words: Iterable[Any]) -> Iterable[str]:
    return (str(word) for word in words if word)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (
        cell.rjust(width) if column in _NUMBERS else cell.ljust(width)
        for cell, width, column in zip(cells, widths, _COLUMNS, strict=True)
    )
    return "  ".join(padded).rstrip()


def _printable(value: Any) -> str:
    # What models and providers say is hostile: no control character reaches the terminal.
    text = "".join(char if char.isprintable() else " " for char in str("-" if value in (None, "") else value))
    return text if len(text) <= _MAX_WIDTH else text[: _MAX_WIDTH - 1] + "…"


def _is_report(report: Any) -> TypeGuard[dict[str, Any]]:
    models = report.get("models") if isinstance(report, dict) else None
    return isinstance(models, list) and all(isinstance(row, dict) for row in models)


def _sentence(body: bytes) -> str:
    try:
        return _printable(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return "the daemon did not say why"
