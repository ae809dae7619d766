"""Answers to aiohttp's client without a socket: aioresponses, made to work with aiohttp 3.14."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from aiohttp import ClientResponse
from aioresponses import aioresponses


class _Response(ClientResponse):
    """A response that needs no writer of the request, which aiohttp 3.14 asks for and aioresponses 0.7.9 lacks."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, stream_writer=Mock(output_size=0), **options)


class FakeHttp(aioresponses):
    """`with FakeHttp() as web: web.get(url, payload={…})`; `web.requests` has what was asked for."""

    def add(self, url: Any, *args: Any, **options: Any) -> None:
        """As aioresponses adds an answer, in a class that aiohttp 3.14 can build."""
        super().add(url, *args, **{"response_class": _Response, **options})
