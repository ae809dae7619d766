"""Reads recorded provider traffic, which is kept outside this repository."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.support.paths import RECORDED


@dataclass(frozen=True)
class Recording:
    """One exchange: the request, if it was kept, and the response byte for byte."""

    provider: str
    stem: str
    kinds: tuple[str, ...]
    request: dict[str, Any]
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.stem}"

    @property
    def is_stream(self) -> bool:
        return self.status == 200 and (self.body.startswith((b"data:", b"event:", b":")) or b"\ndata:" in self.body)


def recordings(*providers: str, api: str = "chat") -> list[Recording]:
    """All recordings of `providers` for `api`; empty if this machine has none."""
    return [found for provider in providers for found in _of(provider, api)]


@cache
def _of(provider: str, api: str) -> tuple[Recording, ...]:
    return tuple(_read(provider, api))


def _read(provider: str, api: str) -> Iterator[Recording]:
    for path in sorted((RECORDED / provider).glob("*.json")):
        document = json.loads(path.read_bytes())
        if document["api"] == api:
            response = document["response"]
            yield Recording(
                provider=provider,
                stem=path.stem,
                kinds=tuple(document["kinds"]),
                request=document["request"] or {},
                status=response["status"],
                headers=response["headers"],
                body=_bytes(response["body"]),
            )


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, dict) and "$base64" in body:
        return base64.b64decode(body["$base64"])
    return json.dumps(body).encode()
