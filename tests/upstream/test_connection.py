"""One connection, driven as the event loop drives it: bytes split anywhere, in any order with its reader."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import ErrorKind, ProviderError
from router.upstream.connection import Connection

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Request-Id: r1\r\n"
ENDS = {
    "a length": HEAD + b"Content-Length: 11\r\n\r\nhello world",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n",
    "the socket": HEAD + b"\r\nhello world",
    "an old length": HEAD.replace(b"1.1", b"1.0") + b"Content-Length: 11\r\n\r\nhello world",
    "a word before": b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + HEAD + b"Content-Length: 11\r\n\r\nhello world",
}
KEEPS = {"a length", "chunks", "a word before"}


class Socket(asyncio.Transport):
    """What a connection does to its socket."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.reading = True
        self.ended: str | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.ended is not None

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "aborted"


def connected() -> tuple[Connection, Socket]:
    """A connection on which a request was sent."""
    connection, socket = Connection(lambda _: None), Socket()
    connection.connection_made(socket)
    connection.send(b"GET / HTTP/1.1\r\n\r\n")
    return connection, socket


async def heard(connection: Connection) -> tuple[int, dict[str, str], bytes]:
    await connection.head()
    body = b""
    while piece := await connection.piece():
        body += piece
    return connection.status, connection.headers, body


def fed(pieces: Iterable[bytes], *, close: bool) -> tuple[int, dict[str, str], bytes, bool]:
    """What is heard of an answer that arrives in these pieces while somebody reads, and if more could be asked."""

    async def run() -> tuple[int, dict[str, str], bytes, bool]:
        connection, _ = connected()
        reading = asyncio.create_task(heard(connection))
        for piece in pieces:
            await asyncio.sleep(0)
            connection.data_received(piece)
        if close:
            connection.connection_lost(None)
        async with asyncio.timeout(5):
            return *(await reading), connection.reusable

    return asyncio.run(run())


def cut(data: bytes, at: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(at), len(data)]
    return [piece for begin, end in itertools.pairwise(edges) if (piece := data[begin:end])]


@pytest.mark.parametrize("how", ENDS)
@given(at=st.lists(st.integers(0, 200), max_size=8))
def test_an_answer_is_the_same_however_its_bytes_are_split(how: str, at: list[int]) -> None:
    raw = ENDS[how]
    status, headers, body, reusable = fed(cut(raw, (min(edge, len(raw)) for edge in at)), close=how == "the socket")

    assert (status, body) == (200, b"hello world")
    assert headers["content-type"] == "text/event-stream"
    assert headers["x-request-id"] == "r1"
    assert "x-trailer" not in headers
    assert reusable == (how in KEEPS)


@pytest.mark.parametrize("how", ["a length", "chunks"])
def test_an_answer_that_is_cut_anywhere_is_an_error(how: str) -> None:
    raw = ENDS[how]
    for end in range(len(raw)):
        with pytest.raises(ProviderError) as caught:
            fed([raw[:end]], close=True)
        begun = raw[:end].count(b"\r\n\r\n") > 0
        assert caught.value.kind is (ErrorKind.BAD_RESPONSE if begun else ErrorKind.CONNECTION)
        assert ("cut short" in caught.value.message) == begun


@given(noise=st.binary(max_size=400), after=st.sampled_from([b"", HEAD, ENDS["a length"], b"HTTP/1.1 200 OK\r\n\r\n"]))
def test_any_bytes_are_an_answer_or_a_provider_error(noise: bytes, after: bytes) -> None:
    def kind() -> ErrorKind | None:
        try:
            fed([after, noise], close=True)
        except ProviderError as error:
            return error.kind
        return None

    assert kind() in (None, ErrorKind.BAD_RESPONSE, ErrorKind.CONNECTION)


async def test_an_unread_answer_pauses_reading_from_the_socket() -> None:
    connection, socket = connected()
    connection.data_received(HEAD + b"\r\n")
    await connection.head()
    reads = []
    for _ in range(65):
        reads.append(socket.reading)
        connection.data_received(b"x" * 1024)
    reads.append(socket.reading)

    assert len(await connection.piece()) == 65 * 1024
    assert [*reads, socket.reading] == [True] * 65 + [False, True]


async def test_an_unread_answer_does_not_stop_the_next_one() -> None:
    connection, socket = connected()
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000)
    reads = [socket.reading]

    connection.send(b"GET / HTTP/1.1\r\n\r\n")

    assert [*reads, socket.reading] == [False, True]
    connection.data_received(ENDS["a length"])
    assert (await heard(connection))[2] == b"hello world"


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 200 OK\r\n", b"x", b"\0" * 100])
@pytest.mark.parametrize("together", [True, False], ids=["at once", "later"])
async def test_bytes_after_an_answer_end_the_connection_but_not_the_answer(surplus: bytes, together: bool) -> None:
    connection, socket = connected()
    for data in [ENDS["a length"] + surplus] if together else [ENDS["a length"], surplus]:
        connection.data_received(data)

    assert (await heard(connection))[2] == b"hello world"
    assert not connection.reusable
    assert socket.ended == "aborted"


async def test_a_connection_that_receives_bytes_before_a_request_is_not_used() -> None:
    connection, socket = Connection(lambda _: None), Socket()
    connection.connection_made(socket)
    connection.data_received(ENDS["a length"])
    assert not connection.reusable


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "it switches protocols"),
        (HEAD + b"X: " + b"x" * 70_000, "its headers are too long"),
        (HEAD + b"X: " + b"x" * 70_000 + b"\r\n\r\n", "its headers are too long"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, "its headers are too long"),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "it cannot be parsed"),
        (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "it cannot be parsed"),
        (HEAD + b"X: a\r\n b\r\n\r\n", "it cannot be parsed"),
    ],
)
async def test_a_malformed_head_is_a_bad_response(head: bytes, said: str) -> None:
    connection, socket = connected()
    connection.data_received(head)
    with pytest.raises(ProviderError, match=f"^not an HTTP answer: {said}$"):
        await connection.head()
    assert socket.ended == "aborted"


async def test_a_cancelled_read_leaves_a_readable_connection() -> None:
    connection, _ = connected()
    reading = asyncio.create_task(heard(connection))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])

    connection.data_received(ENDS["a length"])
    assert (await heard(connection))[2] == b"hello world"


async def test_the_loss_of_a_socket_is_reported_once_with_its_cause() -> None:
    lost: list[Connection] = []
    connection = Connection(lost.append)
    connection.connection_made(Socket())
    connection.send(b"")
    connection.connection_lost(ConnectionResetError(104, "sk-secret"))

    with pytest.raises(ProviderError, match=r"^connection lost before an answer: Connection reset by peer$"):
        await connection.head()
    assert lost == [connection]
    assert cast("object", connection._parser) is None, "it would keep a cycle of references alive"
