"""How many callers this process has open files for: each needs a socket, and one more to a provider."""

from __future__ import annotations

import resource

_OWN_FILES = 200  # stores, logs, what is being read
_LEAST, _MOST = 256, 12_000


def raise_file_limit() -> None:
    """Lets this process open as many files as the system allows it; many systems begin with 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_callers() -> int:
    """How many callers can be answered at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(_LEAST, min(_MOST, (soft - _OWN_FILES) // 2))
