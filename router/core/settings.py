"""Every setting of the daemon, in one table; the only module that reads the process environment.

Each setting is one environment variable; a secret may also be given as `NAME_FILE`, the path of a file that holds it.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from adapters.types import Secret

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_DURATION_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_MAX_DIGITS = 9
_PASSWORD = re.compile(r"://[^/?#@:]*:([^/?#@]*)@")
_LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingsError(Exception):
    """A setting has a value the daemon cannot use; the message is one sentence for a person."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The daemon's settings, resolved once at start."""

    registry: Path
    database_url: Secret | None
    redis_url: Secret | None
    data_dir: Path
    host: str
    port: int
    workers: int
    log_level: Literal["debug", "info", "warning", "error"]
    log_format: Literal["console", "json", "auto"]
    drain_timeout_s: float
    payloads: Literal["off", "full"]
    insecure: bool
    url: str
    api_key: Secret | None

    def secrets(self) -> list[str]:
        """Every secret value among the settings, and the passwords inside addresses, for whoever must hide them."""
        values = [self.database_url, self.redis_url, self.api_key]
        plain = [value.reveal() for value in values if value]
        return [*plain, *filter(None, map(_password, plain))]


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: the field it fills, how its text is read, and what `quorum env` says of it."""

    name: str
    field: str
    default: str
    parse: Callable[[str], Any]
    meaning: str
    secret: bool = False
    also: str | None = None  # a second name that platforms use


def _whole_number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text[:_MAX_DIGITS]) <= high):
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return text.lower()

    return parse


def _duration_s(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError("a duration such as 250ms, 30s, 5m or 1h")
    return float(match[1]) * _DURATION_UNITS_S[match[2]]


def _optional_secret(text: str) -> Secret | None:
    return Secret(text) if text else None


def _password(address: str) -> str | None:
    """The password in a URL, decoded."""
    match = _PASSWORD.search(address)
    return unquote(match[1]) if match else None


VARIABLES: tuple[Variable, ...] = (
    Variable("QUORUM_REGISTRY", "registry", "./registry.yaml", Path, "the file that says what is routed to"),
    Variable(
        "DATABASE_URL",
        "database_url",
        "",
        _optional_secret,
        "Postgres, for the vote log; empty starts an embedded one",
        secret=True,
    ),
    Variable(
        "REDIS_URL",
        "redis_url",
        "",
        _optional_secret,
        "Redis or Valkey, for what replicas share; empty starts an embedded one",
        secret=True,
    ),
    Variable("QUORUM_DATA_DIR", "data_dir", "./.quorum", Path, "where embedded stores and local files live"),
    Variable("QUORUM_HOST", "host", "127.0.0.1", str, "the address to listen on"),
    Variable("QUORUM_PORT", "port", "8080", _whole_number(0, 65535), "the port to listen on; 0 picks one", also="PORT"),
    Variable("QUORUM_WORKERS", "workers", "1", _whole_number(1, 64), "processes that share the port"),
    Variable("QUORUM_LOG_LEVEL", "log_level", "info", _one_of(*_LOG_LEVELS), "the least level that is logged"),
    Variable(
        "QUORUM_LOG_FORMAT",
        "log_format",
        "auto",
        _one_of("console", "json", "auto"),
        "auto is console on a terminal, else json",
    ),
    Variable(
        "QUORUM_DRAIN_TIMEOUT",
        "drain_timeout_s",
        "30s",
        _duration_s,
        "how long a stopping daemon lets requests finish",
    ),
    Variable(
        "QUORUM_PAYLOADS",
        "payloads",
        "full",
        _one_of("off", "full"),
        "whether prompts and answers are kept in the table payloads",
    ),
    Variable(
        "QUORUM_INSECURE",
        "insecure",
        "0",
        lambda text: _one_of("0", "1")(text) == "1",
        "1 allows listening beyond loopback although callers need no key",
    ),
    Variable("QUORUM_URL", "url", "http://127.0.0.1:8080", str, "the daemon that the command line speaks to"),
    Variable(
        "QUORUM_API_KEY",
        "api_key",
        "",
        _optional_secret,
        "the key that the command line sends to the daemon",
        secret=True,
    ),
)
_KNOWN = {variable.name for variable in VARIABLES} | {f"{v.name}_FILE" for v in VARIABLES if v.secret}


def environment() -> Mapping[str, str]:
    """The process environment, for the few places that are handed it."""
    return os.environ


def load_settings(env: Mapping[str, str], **overrides: object) -> Settings:
    """Settings from the environment; `overrides` (from command-line flags, as text or None) win.

    Raises `SettingsError` naming the variable, its value unless secret, and what is allowed.
    """
    unknown = sorted(name for name in env if name.startswith("QUORUM_") and name not in _KNOWN)
    for name in unknown:
        near = difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0.8)
        if near:
            raise SettingsError(f"{name} is not a setting, did you mean {near[0]}?")
    values = {variable.field: _read(variable, env, overrides.get(variable.field)) for variable in VARIABLES}
    return Settings(**values)


def _read(variable: Variable, env: Mapping[str, str], override: object) -> Any:
    text = str(override) if override is not None else _text(variable, env)
    try:
        return variable.parse(text)
    except ValueError as error:
        shown = "its value" if variable.secret else repr(text)
        raise SettingsError(f"{variable.name}: {shown} is not allowed, it must be {error}") from None


def _text(variable: Variable, env: Mapping[str, str]) -> str:
    value = env.get(variable.name) or (env.get(variable.also) if variable.also else None)
    if value:
        return value
    path = env.get(f"{variable.name}_FILE") if variable.secret else None
    if not path:
        return variable.default
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise SettingsError(f"{variable.name}_FILE: cannot read {path}: {reason}") from None


def describe(settings: Settings) -> list[dict[str, str]]:
    """Every setting with name, default, current value (secrets hidden) and meaning, for `quorum env`."""
    return [
        {
            "name": variable.name,
            "default": variable.default,
            "value": _shown(getattr(settings, variable.field)),
            "meaning": variable.meaning,
        }
        for variable in VARIABLES
    ]


def _shown(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "1" if value else "0"
        case float():
            return f"{value:g}s"
        case _:
            return str(value)
