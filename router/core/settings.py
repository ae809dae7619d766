"""The settings of the daemon and of the command line, in one table; only this module reads the process environment.

Each setting is one environment variable. A secret may also be given as `NAME_FILE`, the path of a file that holds it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from adapters.types import Secret
from router.core.duration import EXAMPLES, parse_duration
from router.core.text import near_miss

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
_MAX_DIGITS = 9
_NEAR = 0.8  # difflib's ratio from which an unknown QUORUM_ variable counts as a typing error, not as somebody else's
_PASSWORD = re.compile(r"://[^/?#@:]*:([^/?#@]*)@")
_LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingsError(Exception):
    """A setting has a value that cannot be used; the message is one sentence that says what is allowed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, read once at start; None or an empty default means that the setting is not given.

    `drain_timeout_s` is in seconds; paths may be relative to the working directory.
    """

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
        """Every secret among the settings, and the passwords inside their URLs, so that logs can mask them."""
        values = [self.database_url, self.redis_url, self.api_key]
        plain = [value.reveal() for value in values if value]
        return [*plain, *filter(None, map(_password, plain))]


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable: the field of `Settings` it fills, its default, its parser, and its meaning.

    `parse` raises `ValueError` with what is allowed ("a whole number from 0 to 65535"); `also` is another name for it.
    """

    name: str
    field: str
    default: str
    parse: Callable[[str], Any]
    meaning: str
    secret: bool = False
    also: str | None = None  # a name by which hosting platforms set it


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
    try:
        return parse_duration(text)
    except ValueError:
        raise ValueError(f"a duration such as {EXAMPLES}") from None


def _optional_secret(text: str) -> Secret | None:
    return Secret(text) if text else None


def _password(address: str) -> str | None:
    """The password in a URL, percent-decoded; None where it has none."""
    match = _PASSWORD.search(address)
    return unquote(match[1]) if match else None


VARIABLES: tuple[Variable, ...] = (
    Variable(
        "QUORUM_REGISTRY",
        "registry",
        "./registry.yaml",
        Path,
        "registry of providers and models that requests are routed to",
    ),
    Variable(
        "DATABASE_URL",
        "database_url",
        "",
        _optional_secret,
        "DSN of the Postgres that holds the vote log; empty starts an embedded one",
        secret=True,
    ),
    Variable(
        "REDIS_URL",
        "redis_url",
        "",
        _optional_secret,
        "URL of the Redis or Valkey that replicas share; empty starts an embedded Valkey",
        secret=True,
    ),
    Variable("QUORUM_DATA_DIR", "data_dir", "./.quorum", Path, "folder of the embedded stores and of local files"),
    Variable("QUORUM_HOST", "host", "127.0.0.1", str, "address to listen on"),
    Variable(
        "QUORUM_PORT", "port", "8080", _whole_number(0, 65535), "port to listen on; 0 picks a free one", also="PORT"
    ),
    Variable(
        "QUORUM_WORKERS", "workers", "1", _whole_number(1, 64), "number of worker processes, which share the port"
    ),
    Variable("QUORUM_LOG_LEVEL", "log_level", "info", _one_of(*_LOG_LEVELS), "lowest level that is logged"),
    Variable(
        "QUORUM_LOG_FORMAT",
        "log_format",
        "auto",
        _one_of("console", "json", "auto"),
        "format of log lines; auto is console on a terminal, else json",
    ),
    Variable(
        "QUORUM_DRAIN_TIMEOUT",
        "drain_timeout_s",
        "30s",
        _duration_s,
        "how long a stopping daemon waits for requests in flight",
    ),
    Variable(
        "QUORUM_PAYLOADS",
        "payloads",
        "full",
        _one_of("off", "full"),
        "full stores prompts and answers in the table payloads, off stores none",
    ),
    Variable(
        "QUORUM_INSECURE",
        "insecure",
        "0",
        lambda text: _one_of("0", "1")(text) == "1",
        "1 allows listening beyond loopback although callers need no key",
    ),
    Variable("QUORUM_URL", "url", "http://127.0.0.1:8080", str, "URL of the daemon that the command line talks to"),
    Variable(
        "QUORUM_API_KEY",
        "api_key",
        "",
        _optional_secret,
        "API key that the command line sends to the daemon",
        secret=True,
    ),
)
_KNOWN = {variable.name for variable in VARIABLES} | {f"{v.name}_FILE" for v in VARIABLES if v.secret}


def environment() -> Mapping[str, str]:
    """The process environment, read here and handed to the few places that need it."""
    return os.environ


def load_settings(env: Mapping[str, str], **overrides: object) -> Settings:
    """The settings from the environment; `overrides` are command-line flags, which win unless they are None.

    Raises `SettingsError` naming the variable, its value unless it is secret, and what is allowed; also for an unknown
    variable whose name is nearly that of a setting.
    """
    unknown = sorted(name for name in env if name.startswith("QUORUM_") and name not in _KNOWN)
    for name in unknown:
        if near := near_miss(name, _KNOWN, _NEAR):
            raise SettingsError(f"{name} is not a setting, did you mean {near}?")
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
    """Every setting's name, default, current value (secrets hidden) and meaning, for `quorum env`."""
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
