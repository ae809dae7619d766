"""Short causes of socket failures for logs and callers, free of URL, address, header and body."""

from __future__ import annotations

import os
import socket
import ssl

from adapters.errors import ErrorKind, ProviderError


class NotSent(ProviderError):
    """No connection could be made, so the provider saw nothing of the request and a retry is safe."""


def not_connected(why: str) -> NotSent:
    """The error for a request that could not be sent because of `why`."""
    return NotSent(ErrorKind.CONNECTION, f"could not connect: {why}")


def reason(error: BaseException) -> str:
    """The cause in the operating system's words.

    The exception's own text may quote an address or a certificate, which must not reach a log.
    """
    match error:
        case TimeoutError():
            return "timed out"
        case ssl.SSLError() | socket.gaierror() if error.strerror:
            return error.strerror
        case OSError() if error.errno:
            return os.strerror(error.errno)
        case _:
            return type(error).__name__
