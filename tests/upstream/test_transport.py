"""The transport: sockets are reused only after a complete answer, answers bounded, errors show no URL and no key."""

from __future__ import annotations

import asyncio
import functools
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.errors import ErrorKind, ProviderError
from adapters.types import HttpRequest
from router.upstream.transport import MAX_ANSWER_BYTES, HttpTransport, NotSent
from tests.support.daemon import Start
from tests.support.rim import Providers, chat_body, log_text, seats
from tests.support.scripted import HANG, Step, error, stream, whole

MIB = 2**20
PROCESS = Path("/proc/self")
SSE = {"Content-Type": "text/event-stream"}
KEY = "sk-very-secret"


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    transport = HttpTransport()
    yield transport
    await transport.close()


def request(url: str) -> HttpRequest:
    auth = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    return HttpRequest("POST", f"{url}/v1/chat/completions?mode=x", auth, chat_body())


async def body_of(transport: HttpTransport, url: str, connect_s: float = 1) -> bytes:
    response = await transport.send(request(url), provider="p", connect_s=connect_s)
    try:
        return await response.read()
    finally:
        response.close()


async def failure(transport: HttpTransport, url: str, connect_s: float = 1) -> ProviderError:
    """How a request fails; whatever it is, it tells nothing of where the request went or what it carried."""
    with pytest.raises(ProviderError) as caught:
        await body_of(transport, url, connect_s)
    told = f"{caught.value!r} {caught.value} {caught.value.__cause__}"
    for secret in (KEY, url, "127.0.0.1", "mode=x", "Bearer"):
        assert secret not in told
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value


# --- one pool per provider --------------------------------------------------------------------------------------------


async def test_a_socket_is_reused_after_every_kind_of_complete_answer(
    start_daemon: Start, providers: Providers
) -> None:
    (one,) = await providers(1)
    one.then(whole("one"), stream("two"), stream("three", tail=()), error(500), whole("four"), stream("five"))
    quorum = await start_daemon(seats([one]))

    for streaming in (False, True, True, False, False, True):
        await quorum.chat(stream=streaming)

    assert len(one.seen) == 6
    assert len(one.connections) == 1


async def test_a_socket_with_an_incomplete_answer_is_not_reused(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(stream("one", end="stay"), HANG, stream("two"))
    quorum = await start_daemon(seats([one], first_token="200ms"))

    texts = [(await quorum.chat(stream=True)).body for _ in range(3)]

    assert [b'"two"' in text for text in texts] == [False, False, True]
    assert len(one.connections) == 3


async def test_two_providers_at_one_address_share_no_socket(transport: HttpTransport, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(whole("hello"))

    for provider in ("p1", "p2", "p1", "p2"):
        response = await transport.send(request(one.url), provider=provider, connect_s=1)
        await response.read()
        response.close()

    assert len(one.connections) == 2


async def test_only_our_own_headers_are_sent_and_no_cookie_comes_back(
    transport: HttpTransport, providers: Providers
) -> None:
    (one,) = await providers(1)
    one.then(Step(headers={"Set-Cookie": "track=me; Path=/"}, pieces=[b"{}"]))

    await body_of(transport, one.url)
    await body_of(transport, one.url)

    first, second = one.headers
    assert dict(first) == dict(second)
    expected = {"Host", "Authorization", "Content-Type", "Content-Length", "User-Agent", "Accept-Encoding"}
    assert set(second) == expected
    assert (second["User-Agent"], second["Accept-Encoding"]) == ("quorum", "identity")


async def test_proxies_of_the_environment_are_ignored(
    transport: HttpTransport, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, canary = await providers(2)
    one.then(whole("hello"))
    canary.then(whole("intercepted"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, canary.url)

    assert b"hello" in await body_of(transport, one.url)
    assert canary.seen == []


# --- what was sent, and what was not ----------------------------------------------------------------------------------


@pytest.fixture
def refused() -> str:
    """The URL of a port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{sock.getsockname()[1]}"


@asynccontextmanager
async def blackhole() -> AsyncIterator[str]:
    """The URL of a port whose queue of new connections is full, so that no further one is ever made."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(address)
            fillers.append(filler)
        try:
            yield f"http://127.0.0.1:{address[1]}"
        finally:
            for filler in fillers:
                filler.close()


async def test_a_refused_connection_is_not_sent(transport: HttpTransport, refused: str) -> None:
    caught = await failure(transport, refused)
    assert isinstance(caught, NotSent)
    assert (caught.kind, caught.message) == (ErrorKind.CONNECTION, "could not connect: Connection refused")


async def test_connecting_takes_no_longer_than_its_timeout(transport: HttpTransport) -> None:
    loop = asyncio.get_running_loop()
    async with blackhole() as url:
        began = loop.time()
        caught = await failure(transport, url, connect_s=0.2)
    assert isinstance(caught, NotSent)
    assert caught.message == "could not connect: timed out"
    assert loop.time() - began < 1


@pytest.mark.parametrize("url", ["http://", "not a url", "ftp://127.0.0.1"])
async def test_a_malformed_url_is_not_sent(transport: HttpTransport, url: str) -> None:
    with pytest.raises(NotSent, match="could not connect: the provider's base_url is not an http or https URL"):
        await transport.send(HttpRequest("POST", url, {"Authorization": KEY}, b""), provider="p", connect_s=1)


async def test_the_vote_tells_whether_anything_was_sent(
    start_daemon: Start, providers: Providers, refused: str
) -> None:
    gone, one, two = await providers(3)
    gone.url = refused
    one.then(Step(raw=b"", end="reset"))
    two.then(whole("hello"))
    quorum = await start_daemon(seats([gone, one, two]))

    reply = await quorum.chat(model="ranked-fallback")

    votes = (await quorum.recorded(reply))["votes"]
    assert [(v["provider"], v["sent"], v["error_type"], v["http_status"]) for v in votes] == [
        ("p1", False, "connection", None),
        ("p2", True, "connection", None),
        ("p3", True, None, 200),
    ]
    assert votes[0]["connect_ms"] is None
    assert votes[2]["connect_ms"] > 0


# --- what comes back --------------------------------------------------------------------------------------------------

JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

NO_ANSWER = {
    "reset before the headers": (Step(raw=b"", end="reset"), ErrorKind.CONNECTION),
    "closed before the headers": (Step(raw=b""), ErrorKind.CONNECTION),
    "closed in mid-header": (Step(raw=JSON_HEAD[:30]), ErrorKind.CONNECTION),
    "not HTTP": (Step(raw=b"SSH-2.0-OpenSSH_9.7\r\n"), ErrorKind.BAD_RESPONSE),
    "binary": (Step(raw=bytes(range(256))), ErrorKind.BAD_RESPONSE),
    "a huge header": (Step(raw=JSON_HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n"), ErrorKind.BAD_RESPONSE),
    "very many headers": (Step(raw=JSON_HEAD + b"X: x\r\n" * 20_000 + b"\r\n"), ErrorKind.BAD_RESPONSE),
    "cut in mid-body": (Step(raw=JSON_HEAD + b'Content-Length: 99\r\n\r\n{"id"'), ErrorKind.BAD_RESPONSE),
    "reset in mid-body": (Step(pieces=[b'{"id"'], end="reset"), ErrorKind.BAD_RESPONSE),
    "a broken chunk": (Step(raw=JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}"), ErrorKind.BAD_RESPONSE),
    "not the gzip it says": (Step(headers={"Content-Encoding": "gzip"}, pieces=[b"{}"]), ErrorKind.BAD_RESPONSE),
    "an unasked encoding": (Step(headers={"Content-Encoding": "br"}, pieces=[b"{}"]), ErrorKind.BAD_RESPONSE),
    "two encodings": (Step(headers={"Content-Encoding": "gzip, gzip"}, pieces=[b"{}"]), ErrorKind.BAD_RESPONSE),
}


@pytest.mark.parametrize(("step", "kind"), NO_ANSWER.values(), ids=NO_ANSWER)
async def test_each_malformed_answer_is_an_error_of_its_kind(
    transport: HttpTransport, providers: Providers, step: Step, kind: ErrorKind
) -> None:
    (one,) = await providers(1)
    one.then(step)

    caught = await failure(transport, one.url)

    assert caught.kind is kind
    assert not isinstance(caught, NotSent)


async def test_a_redirect_is_never_followed(start_daemon: Start, providers: Providers) -> None:
    one, canary = await providers(2)
    one.then(*(Step(status, {"Location": f"{canary.url}/v1/steal"}, [b""]) for status in (301, 302, 303, 307, 308)))
    canary.then(whole("stolen"))
    quorum = await start_daemon(seats([one]))

    for status in (301, 302, 303, 307, 308):
        reply = await quorum.chat()
        assert reply.status == 502
        vote = (await quorum.recorded(reply))["votes"][0]
        assert (vote["error_type"], vote["http_status"]) == ("bad_response", status)
        assert canary.url not in reply.body.decode()
    assert (canary.seen, canary.headers) == ([], [])


@functools.cache
def packed(encoding: str, piece: bytes, times: int = 1) -> bytes:
    """A piece of text, so many times over, compressed."""
    packer = zlib.compressobj(wbits={"gzip": 31, "deflate": 15}[encoding])
    return b"".join(packer.compress(piece) for _ in range(times)) + packer.flush()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compressed_answer_is_read_although_identity_was_asked_for(
    transport: HttpTransport, providers: Providers, encoding: str
) -> None:
    (one,) = await providers(1)
    one.then(Step(headers={"Content-Encoding": encoding}, pieces=[packed(encoding, b"hello " * 100_000)]))

    assert await body_of(transport, one.url) == b"hello " * 100_000


def forget_peak() -> None:
    (PROCESS / "clear_refs").write_text("5")


def peak_bytes() -> int:
    """The most memory this process has had at once since the peak was forgotten."""
    (line,) = (line for line in (PROCESS / "status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@pytest.mark.skipif(not (PROCESS / "clear_refs").exists(), reason="only Linux tells the peak of a moment")
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("head", [{}, SSE], ids=["whole", "stream"])
async def test_a_decompression_bomb_hits_the_bound_before_it_fills_memory(
    start_daemon: Start, providers: Providers, encoding: str, head: dict[str, str]
) -> None:
    (one,) = await providers(1)
    one.then(Step(headers={**head, "Content-Encoding": encoding}, pieces=[packed(encoding, bytes(MIB), 300)]))
    quorum = await start_daemon(seats([one]))
    forget_peak()
    before = peak_bytes()

    reply = await quorum.chat(stream=bool(head))

    assert peak_bytes() - before < 40 * MIB
    assert reply.status == 502
    assert (await quorum.recorded(reply))["votes"][0]["error_type"] == "bad_response"


async def test_an_answer_may_be_large_but_not_larger_than_its_bound(
    transport: HttpTransport, providers: Providers
) -> None:
    (one,) = await providers(1)
    one.then(Step(pieces=[bytes(MIB)] * 16), Step(pieces=[bytes(MIB)] * 16 + [b"!"]))

    assert len(await body_of(transport, one.url)) == MAX_ANSWER_BYTES
    caught = await failure(transport, one.url)
    assert caught.message == f"answer larger than {MAX_ANSWER_BYTES} bytes"


async def test_no_error_shows_a_url_or_a_key(start_daemon: Start, providers: Providers, refused: str) -> None:
    gone, one, two = await providers(3)
    gone.url = refused
    one.then(Step(raw=b"sk-scripted-key is your key\r\n\r\n"))
    two.then(Step(raw=b"", end="reset"))
    log = log_text()
    quorum = await start_daemon(seats([gone, one, two]))

    reply = await quorum.chat(model="ranked-fallback")
    row = str(await quorum.recorded(reply))

    assert reply.status == 502
    assert reply.headers["X-Request-Id"] in log.getvalue()
    for text in (reply.body.decode(), str(reply.headers), row, log.getvalue()):
        assert "sk-scripted-key" not in text
        assert not any(provider.url in text for provider in (gone, one, two))
