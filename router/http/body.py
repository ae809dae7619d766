"""JSON in and out: a request's body under bounds of size, time and kind, and a response of any document."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from aiohttp import web

from router.http.errors import ApiError

MAX_BODY_BYTES = 4 * 1024 * 1024
BODY_TIMEOUT_S = 30.0


async def read_json_body(request: web.Request, *, timeout_s: float = BODY_TIMEOUT_S) -> bytes:
    """The whole body, unparsed; raises `ApiError` 415 for another kind, 413 when too large, 408 when too slow."""
    if request.content_type != "application/json":
        raise ApiError(415, "unsupported_media_type", "Content-Type must be application/json")
    try:
        if request.content.is_eof():  # all of it came with the head, as nearly always
            return _bounded(request.content.read_nowait())
        async with asyncio.timeout(timeout_s):
            return await request.read()
    except TimeoutError:
        raise ApiError(408, "request_timeout", f"the body did not arrive within {timeout_s:g} s") from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    except web.RequestPayloadError:
        raise ApiError(400, "invalid_body", "the body is not encoded as its headers say") from None


def _bounded(body: bytes) -> bytes:
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    return body


def _too_large() -> ApiError:
    return ApiError(413, "request_too_large", f"the body is larger than {MAX_BODY_BYTES} bytes")


def json_response(document: Any, status: int = 200) -> web.Response:
    """A JSON answer; whatever JSON has no word for is written as text."""
    return web.Response(status=status, body=orjson.dumps(document, default=str), content_type="application/json")
