"""New connections: DNS lookups are shared and checked, TLS certificates verified; idle connections are closed."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trustme

from adapters.errors import ErrorKind
from adapters.types import HttpRequest
from router.upstream import pool
from router.upstream.dial import Dialer, Origin
from router.upstream.transport import HttpTransport, NotSent
from tests.support.rim import Providers, until
from tests.support.scripted import whole

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    opened = HttpTransport()
    yield opened
    await opened.close()


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> Iterator[trustme.CA]:
    """A certificate authority that this machine trusts for the length of a test."""
    ca = trustme.CA()
    with ca.cert_pem.tempfile() as path:
        monkeypatch.setenv("SSL_CERT_FILE", path)
        yield ca


@asynccontextmanager
async def server(*, host: str = "127.0.0.1", proves: trustme.LeafCert | None = None) -> AsyncIterator[int]:
    """The port of a server that answers each request with `hello`, over TLS if it can prove a name."""
    tls = None
    if proves is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        proves.configure_cert(tls)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(ANSWER)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.transport.abort()

    running = await asyncio.start_server(answer, host, 0, ssl=tls)
    async with running:
        yield running.sockets[0].getsockname()[1]


async def ask(
    transport: HttpTransport,
    url: str,
    headers: dict[str, str] | None = None,
    *,
    provider: str = "p",
    connect_s: float = 5,
) -> bytes:
    request = HttpRequest("GET", url, headers or {}, b"")
    response = await transport.send(request, provider=provider, connect_s=connect_s)
    try:
        return await response.read()
    finally:
        response.close()


async def refusal(
    transport: HttpTransport, url: str, headers: dict[str, str] | None = None, connect_s: float = 5
) -> str:
    with pytest.raises(NotSent) as caught:
        await ask(transport, url, headers, connect_s=connect_s)
    assert caught.value.kind is ErrorKind.CONNECTION
    return caught.value.message


# --- TLS --------------------------------------------------------------------------------------------------------------


async def test_a_host_with_a_valid_certificate_gets_the_request(
    authority: trustme.CA, transport: HttpTransport
) -> None:
    async with server(proves=authority.issue_cert("localhost")) as port:
        for _ in range(2):
            assert await ask(transport, f"https://localhost:{port}/v1") == b"hello"


@pytest.mark.parametrize("name", ["other.example", "127.0.0.2"])
async def test_a_host_with_a_certificate_for_another_name_gets_nothing(
    authority: trustme.CA, transport: HttpTransport, name: str
) -> None:
    async with server(proves=authority.issue_cert(name)) as port:
        assert "CERTIFICATE_VERIFY_FAILED" in await refusal(transport, f"https://localhost:{port}/v1")


async def test_a_host_with_an_unknown_authority_gets_nothing(transport: HttpTransport) -> None:
    async with server(proves=trustme.CA().issue_cert("localhost")) as port:
        assert "CERTIFICATE_VERIFY_FAILED" in await refusal(transport, f"https://localhost:{port}/v1")


async def test_a_host_without_tls_gets_nothing(transport: HttpTransport) -> None:
    async with server() as port:  # it waits for a whole request, and we for its part of the handshake
        assert await refusal(transport, f"https://localhost:{port}/v1", connect_s=0.3) == "could not connect: timed out"


# --- names ------------------------------------------------------------------------------------------------------------


class Names:
    """What the system says of every name, and how often it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self.look_up)

    async def look_up(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked += 1
        await asyncio.sleep(0)
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        family = {True: socket.AF_INET6, False: socket.AF_INET}
        return [(family[":" in a], socket.SOCK_STREAM, 6, "", (a, port)) for a in self.addresses]


async def test_a_name_is_looked_up_once_for_many_sockets(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(monkeypatch, "127.0.0.1")
    async with server() as port:
        url = f"http://one.local:{port}/v1"
        answers = await asyncio.gather(*(ask(transport, url, provider=f"p{n}") for n in range(20)))
    assert answers == [b"hello"] * 20
    assert names.asked == 1


async def test_a_silent_or_closed_first_address_falls_back_to_the_next(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    Names(monkeypatch, "::1", "127.0.0.1")
    async with server() as port:  # on the second address only
        assert await ask(transport, f"http://two.local:{port}/v1") == b"hello"


@pytest.mark.parametrize("address", ["169.254.169.254", "100.100.100.200", "::ffff:169.254.169.254", "0.0.0.0"])
async def test_a_name_that_resolves_to_a_metadata_service_is_refused(
    transport: HttpTransport, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    Names(monkeypatch, "127.0.0.1", address)
    async with server() as port:
        said = await refusal(transport, f"http://rebound.local:{port}/v1")
    assert said == "could not connect: its name leads to a metadata service or an address that no provider has"


async def test_a_failed_lookup_is_not_cached(transport: HttpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    async with server() as port:
        url = f"http://late.local:{port}/v1"
        assert await refusal(transport, url) == "could not connect: Name or service not known"
        names.addresses = ("127.0.0.1",)
        assert await ask(transport, url) == b"hello"


# --- what is sent, and how long sockets stay --------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["sk-1\nX-Other: y", "sk-1\r", "sk\0", "sk\x7f"])
async def test_a_header_value_cannot_inject_another_header(transport: HttpTransport, value: str) -> None:
    async with server() as port:
        said = await refusal(transport, f"http://127.0.0.1:{port}/v1", {"Authorization": value})
    assert (
        said
        == "could not connect: the value of the header Authorization has a character that HTTP headers cannot carry"
    )


async def test_a_path_is_quoted_as_urls_are(transport: HttpTransport, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(whole("hello"))
    response = await transport.send(
        HttpRequest("POST", f"{one.url}/v1/chat/completions?x=a b&y=%2F", {}, b"{}"), provider="p", connect_s=5
    )
    response.close()
    assert response.status == 200


async def test_an_idle_socket_is_closed(
    transport: HttpTransport, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_KEEP_IDLE_S", 0.05)
    (one,) = await providers(1)
    one.then(whole("hello"))
    await ask_scripted(transport, one.url)
    (connection,) = one.connections
    await until(lambda: connection.is_closing())

    await ask_scripted(transport, one.url)
    assert len(one.connections) == 2


async def test_a_socket_that_the_provider_closed_is_not_used() -> None:
    serving: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWER)

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as running:
        port = running.sockets[0].getsockname()[1]
        idle = pool.Pool(Origin("127.0.0.1", port, tls=False), Dialer())
        first, _ = await idle.take(5)
        first.send(b"GET / HTTP/1.1\r\n\r\n")
        await first.head()
        assert await first.piece() == b"hello"
        idle.give_back(first)
        serving[0].close()
        await until(lambda: not first.reusable)

        second, connect_ms = await idle.take(5)

        assert second is not first
        assert connect_ms is not None
        await idle.close()
        await until(lambda: len(serving) == 2)
        serving[1].close()


async def ask_scripted(transport: HttpTransport, url: str) -> None:
    response = await transport.send(
        HttpRequest("POST", f"{url}/v1/chat/completions", {}, b"{}"), provider="p", connect_s=5
    )
    assert b"hello" in await response.read()
    response.close()
