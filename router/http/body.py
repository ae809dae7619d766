"""JSON in and out: request bodies under limits of size, time and media type; JSON responses."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from aiohttp import web

from router.http.errors import ApiError

MAX_BODY_BYTES = 4 * 1024 * 1024
BODY_TIMEOUT_S = 30.0  # for a whole body; a slow upload holds an in-flight slot all the while


async def read_json_body(request: web.Request, *, timeout_s: float = BODY_TIMEOUT_S) -> bytes:
    """The whole body, unparsed.

    Raises `ApiError`: 415 for another media type than JSON, 413 for a body above `MAX_BODY_BYTES`, 408 for one that
    takes longer than `timeout_s`, 400 for a broken encoding.
    """
    if request.content_type != "application/json":
        raise ApiError(415, "unsupported_media_type", "Content-Type must be application/json")
    try:
        if request.content.is_eof():  # the body arrived with the head, as it nearly always does: no timer is needed
            return _bounded(request.content.read_nowait())
        async with asyncio.timeout(timeout_s):
            return await request.read()
    except TimeoutError:
        raise ApiError(408, "request_timeout", f"the request body did not arrive within {timeout_s:g} s") from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    except web.RequestPayloadError:
        message = "the body does not match its Content-Encoding or Transfer-Encoding header"
        raise ApiError(400, "invalid_body", message) from None


def _bounded(body: bytes) -> bytes:
    if len(body) > MAX_BODY_BYTES:
        raise _too_large()
    return body


def _too_large() -> ApiError:
    return ApiError(413, "request_too_large", f"the body is larger than {MAX_BODY_BYTES} bytes")


def json_response(document: Any, status: int = 200) -> web.Response:
    """A JSON response; a value without a JSON type, such as a `Decimal`, is written as a string."""
    return web.Response(status=status, body=orjson.dumps(document, default=str), content_type="application/json")
