"""`python -m healthcheck`: is the daemon ready? Exit code 0 yes, 1 no, 2 a wrong use.

Made for a container's HEALTHCHECK: it needs the standard library only, and no API key.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

_TIMEOUT_S = 3.0
_DEEP = "--deep is gone, `quorum probe` asks every model now"


def main(argv: list[str] | None = None) -> int:
    """Asks the daemon once and prints its answer; returns the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.deep:
        print(_DEEP, file=sys.stderr)
        return 2
    if not arguments.url.startswith(("http://", "https://")):
        print(f"--url must begin with http:// or https://, not {arguments.url!r}", file=sys.stderr)
        return 2
    ready, said = ask(arguments.url)
    print(said)
    return 0 if ready else 1


def ask(url: str) -> tuple[bool, str]:
    """Whether the daemon at `url` is ready, and what it answered, in a few words."""
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(f"{url.rstrip('/')}/readyz", timeout=_TIMEOUT_S) as response:
            return True, str(json.load(response)["status"])
    except HTTPError as error:
        return False, f"not ready: HTTP {error.code}"
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
        return False, f"no daemon answers at {url}: {getattr(error, 'reason', error)}"


def _parser() -> argparse.ArgumentParser:
    port = os.environ.get("QUORUM_PORT") or os.environ.get("PORT") or "8080"
    parser = argparse.ArgumentParser(prog="python -m healthcheck", description="Is the daemon ready?")
    parser.add_argument("--url", default=os.environ.get("QUORUM_URL") or f"http://127.0.0.1:{port}")
    parser.add_argument("--deep", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
