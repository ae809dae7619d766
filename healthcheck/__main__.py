"""`python -m healthcheck`: is the daemon ready? Exit 0 yes, 1 no, 2 a wrong use. Made for a container's HEALTHCHECK.

With `--deep` it asks how every model is, for the engineer on call: exit 1 if one that could be routed to is down.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from healthcheck.deep import DeepError, any_down, probe, table

_TIMEOUT_S = 3.0


def main(argv: list[str] | None = None) -> int:
    """Asks the daemon once and says the answer."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if not arguments.url.startswith(("http://", "https://")):
        print(f"--url must begin with http:// or https://, not {arguments.url!r}", file=sys.stderr)
        return 2
    if arguments.deep:
        return deep(arguments.url, as_json=arguments.json)
    if arguments.json:
        parser.error("--json goes with --deep")
    ready, said = ask(arguments.url)
    print(said)
    return 0 if ready else 1


def ask(url: str) -> tuple[bool, str]:
    """Whether the daemon at `url` is ready, and what it said of itself."""
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(f"{url.rstrip('/')}/readyz", timeout=_TIMEOUT_S) as response:
            return True, str(json.load(response)["status"])
    except HTTPError as error:
        return False, f"not ready: HTTP {error.code}"
    except (OSError, HTTPException, ValueError, KeyError) as error:
        return False, f"no daemon answers at {url}: {getattr(error, 'reason', error)}"


def deep(url: str, *, as_json: bool) -> int:
    """Prints how every model is, and returns the exit status."""
    try:
        report = probe(url, os.environ.get("QUORUM_API_KEY", ""))
    except DeepError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(report) if as_json else table(report))
    return 1 if any_down(report) else 0


def _parser() -> argparse.ArgumentParser:
    port = os.environ.get("QUORUM_PORT") or os.environ.get("PORT") or "8080"
    parser = argparse.ArgumentParser(prog="python -m healthcheck", description="Is the daemon ready?")
    parser.add_argument("--url", default=os.environ.get("QUORUM_URL") or f"http://127.0.0.1:{port}")
    parser.add_argument("--deep", action="store_true", help="ask every model now; QUORUM_API_KEY is sent if it is set")
    parser.add_argument("--json", action="store_true", help="with --deep: the daemon's report as it came")
    return parser


if __name__ == "__main__":
    sys.exit(main())
