"""What is said of a socket that failed: short causes, without URL, address, header or body."""

from __future__ import annotations

import os
import socket
import ssl

from adapters.errors import ErrorKind, ProviderError


class NotSent(ProviderError):
    """The connection could not be made: the provider saw nothing of the request."""


def not_connected(why: str) -> NotSent:
    """The error of a request that could not leave."""
    return NotSent(ErrorKind.CONNECTION, f"could not connect: {why}")


def reason(error: BaseException) -> str:
    """Why, in the system's words: the error's own text may have in it what must not be logged."""
    match error:
        case TimeoutError():
            return "timed out"
        case ssl.SSLError() | socket.gaierror() if error.strerror:
            return error.strerror
        case OSError() if error.errno:
            return os.strerror(error.errno)
        case _:
            return type(error).__name__
