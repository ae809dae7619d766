"""The command line's HTTP client: JSON and event streams of one daemon, every failure as one sentence."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from adapters.codec.sse import SseParser
from adapters.errors import ProviderError
from adapters.types import Secret
from router.core.settings import Settings, SettingsError
from router.core.text import one_line, shown

if TYPE_CHECKING:  # aiohttp takes longer to import than most verbs take to run, and half of them need no daemon
    from aiohttp import ClientResponse

ANSWER_S = 600.0  # the longest deadline a request can have
LOOK_S = 10.0  # for answers from the daemon's memory: a daemon that is silent for longer hangs
MAX_BYTES = 64 << 20  # of one answer or one event: many times the largest ballot, and nothing a machine would notice
_MOST_ATTEMPTS = 50  # lines below an error
_NOT_OURS = "is not a Quorum daemon, or one of another version"


class ClientError(Exception):
    """The daemon could not be asked, or it refused; the message is for a person."""


class DaemonAway(ClientError):
    """No daemon answers at the address; it may be back in a moment."""


class Client:
    """A caller of one daemon, for the length of an `async with`; `timeout_s` bounds each silence, not the whole answer.

    Nothing is taken from the environment (proxies, .netrc), no cookie is kept, and no redirect is followed, so the API
    key reaches the address in the settings and no other. Raises `SettingsError` for an address or key HTTP cannot use.
    """

    def __init__(self, url: str, api_key: Secret | None, timeout_s: float = ANSWER_S) -> None:
        self._url = _checked(url)
        self._headers = {"Content-Type": "application/json", **_authorization(api_key)}
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        from aiohttp import ClientSession, ClientTimeout, DummyCookieJar

        timeout = ClientTimeout(total=None, connect=self._timeout_s, sock_read=self._timeout_s)
        self._session = ClientSession(timeout=timeout, cookie_jar=DummyCookieJar(), trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str, query: Mapping[str, str | None] | None = None) -> Any:
        """The JSON object at a path; parameters that are None are left out."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        async with self._answered("GET", path, params=given) as response:
            return await self._document(response)

    async def post(self, path: str, document: Mapping[str, Any]) -> Any:
        """The JSON object that answers a JSON document."""
        async with self._answered("POST", path, data=json.dumps(document).encode()) as response:
            return await self._document(response)

    async def stream(self, path: str, document: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """The chunks of a streamed answer as they come; an error event raises `ClientError`."""
        parser = SseParser(MAX_BYTES)
        async with self._answered("POST", path, data=json.dumps(document).encode()) as response:
            async for piece in response.content.iter_any():
                for event in self._fed(parser, piece):
                    if event.startswith("{"):
                        yield self._chunk(event)

    def _fed(self, parser: SseParser, piece: bytes) -> list[str]:
        try:
            return [event.data for event in parser.feed(piece)]
        except ProviderError:  # the parser's only complaint
            raise ClientError(f"an event of {self._url} is longer than {MAX_BYTES >> 20} MiB") from None

    def _chunk(self, data: str) -> dict[str, Any]:
        chunk = _json(data)
        if not isinstance(chunk, dict):
            raise ClientError(f"what answers at {self._url} {_NOT_OURS}: it streams events that are not JSON")
        if "error" in chunk:
            raise ClientError(_refusal(chunk) or f"the stream of {self._url} ended with an error that says nothing")
        return chunk

    async def _document(self, response: ClientResponse) -> dict[str, Any]:
        document = _json(await self._body(response))
        if not isinstance(document, dict):
            raise ClientError(self._stranger(response))
        return document

    async def _body(self, response: ClientResponse) -> bytes:
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > MAX_BYTES:
                raise ClientError(f"the answer of {self._url} is longer than {MAX_BYTES >> 20} MiB")
        return bytes(body)

    def _stranger(self, response: ClientResponse) -> str:
        return f"what answers at {self._url} {_NOT_OURS} (HTTP {response.status}, {shown(response.content_type)})"

    @asynccontextmanager
    async def _answered(self, method: str, path: str, **sent: Any) -> AsyncIterator[ClientResponse]:
        """The response to a request that went well; everything else is a `ClientError`."""
        import aiohttp

        try:
            async with self._session.request(
                method, self._url + path, headers=self._headers, allow_redirects=False, **sent
            ) as response:
                if 300 <= response.status < 400:
                    raise ClientError(self._redirected(response))
                if response.status >= 400:
                    raise ClientError(_refusal(_json(await self._body(response))) or self._stranger(response))
                yield response
        except (aiohttp.ClientError, OSError, ValueError) as error:  # a TimeoutError is an OSError
            raise DaemonAway(f"no daemon answers at {self._url}: {_reason(error)}") from None

    def _redirected(self, response: ClientResponse) -> str:
        target = shown(response.headers.get("Location", "nowhere"))
        return (
            f"{self._url} redirects to {target} (HTTP {response.status}), which is not followed, since the API key"
            f" belongs to one address only: set QUORUM_URL to the daemon's own"
        )


def daemon_at(settings: Settings, timeout_s: float = LOOK_S) -> Client:
    """A caller of the daemon in the settings."""
    return Client(settings.url, settings.api_key, timeout_s)


@contextmanager
def reading_answer() -> Iterator[None]:
    """Around code that reads a daemon's answer: a field that is missing or of a wrong type raises `ClientError`."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        reason = one_line(f"{type(error).__name__}: {error}")[:200]
        raise ClientError(f"the answer cannot be read ({reason}): what answers {_NOT_OURS}") from error


def _checked(url: str) -> str:
    """An address that requests can be built on; raises `SettingsError`."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or not url.isprintable():
        raise SettingsError(f"QUORUM_URL: {shown(url)} is not a daemon's address, write one as http://127.0.0.1:8080")
    if "@" in parts.netloc:
        raise SettingsError("QUORUM_URL: an address holds no password here, put the key into QUORUM_API_KEY")
    return url.rstrip("/")


def _authorization(api_key: Secret | None) -> Mapping[str, str]:
    key = api_key.reveal() if api_key else ""
    if not (key.isascii() and key.isprintable()):
        raise SettingsError("QUORUM_API_KEY: the key holds characters that no HTTP header can carry")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _reason(error: Exception) -> str:
    from aiohttp import ClientPayloadError

    if isinstance(error, TimeoutError):
        return "it takes too long"
    if isinstance(error, ClientPayloadError):
        return "the connection broke off in the middle of an answer"
    number, words = getattr(error, "errno", None), str(error) or type(error).__name__
    if isinstance(number, int) and number > 1:  # 1 is what the ssl module numbers all of its errors with
        words = os.strerror(number)
    return one_line(words)[:200]


def _json(text: bytes | str) -> Any:
    """The value of a JSON text, None if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _refusal(document: Any) -> str | None:
    """What a daemon's error says, with a line for each attempt behind it; None if it is not a daemon's error."""
    match document:
        case {"error": {"message": str(message), **rest}}:
            attempts = rest.get("attempts")
            known = [one for one in attempts if isinstance(one, dict)] if isinstance(attempts, list) else []
            lines = [
                f"  {one.get('provider')}/{one.get('model')}: {one.get('error_type')} in {one.get('ms')} ms"
                for one in known[:_MOST_ATTEMPTS]
            ]
            return "\n".join([f"{message} ({rest.get('code')})", *lines])
        case {"problems": [*problems]} if problems:
            return "\n".join(map(str, problems))
        case _:
            return None
