"""How the command line speaks to a running daemon: plain HTTP from the standard library, errors as one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from adapters.types import Secret

ANSWER_S = 600.0  # the longest deadline a request can have
LOOK_S = 10.0  # for what the daemon answers from memory: longer than that means that it hangs


class ClientError(Exception):
    """The daemon could not be reached, or it said no; the message is for a person."""


class DaemonAway(ClientError):
    """Nothing answers at the daemon's address; it may be back in a moment."""


class Client:
    """A caller of one daemon, who waits `timeout_s` at most for each sign of life."""

    def __init__(self, url: str, api_key: Secret | None, timeout_s: float = ANSWER_S) -> None:
        self._url = url.rstrip("/")
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._opener = build_opener(ProxyHandler({}))

    def get(self, path: str, query: Mapping[str, str | None] | None = None) -> Any:
        """The JSON at a path; parameters that are None are left out."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self._document("GET", path + (f"?{urlencode(given)}" if given else ""))

    def post(self, path: str, document: Mapping[str, Any]) -> Any:
        """The JSON answer to a JSON document."""
        return self._document("POST", path, document)

    def stream(self, path: str, document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The chunks of a streamed answer; raises `ClientError` for an error event."""
        with self._errors_told():
            for line in self._open("POST", path, document):
                if line.startswith(b"data: {"):
                    chunk = json.loads(line[6:])
                    if "error" in chunk:
                        raise ClientError(_sentence(chunk))
                    yield chunk

    def _document(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Any:
        with self._errors_told():
            return json.loads(self._open(method, path, document).read())

    def _open(self, method: str, path: str, document: Mapping[str, Any] | None) -> Any:
        headers = {"Content-Type": "application/json"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key.reveal()}"
        body = None if document is None else json.dumps(document).encode()
        request = Request(self._url + path, data=body, headers=headers, method=method)  # noqa: S310 - http(s) only
        return self._opener.open(request, timeout=self._timeout_s)

    @contextmanager
    def _errors_told(self) -> Iterator[None]:
        try:
            yield
        except HTTPError as error:
            raise ClientError(_sentence(_json(error.read()))) from None
        except json.JSONDecodeError:
            raise ClientError(_sentence({})) from None
        except (URLError, OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", error)
            words = "it takes too long" if isinstance(reason, TimeoutError) else getattr(reason, "strerror", None)
            raise DaemonAway(f"no daemon answers at {self._url}: {words or reason}") from None


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return {}


def _sentence(document: Any) -> str:
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        problems = document.get("problems") if isinstance(document, dict) else None
        return "\n".join(problems) if problems else "the daemon answered with something that is not its own"
    tried = [
        f"  {attempt['provider']}/{attempt['model']}: {attempt['error_type']} in {attempt['ms']} ms"
        for attempt in error.get("attempts", [])
    ]
    return "\n".join([f"{error.get('message')} ({error.get('code')})", *tried])
