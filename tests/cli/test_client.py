"""The command line's HTTP client: what it sends, what it makes of answers, and that the key stays at one address."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ServerDisconnectedError, web

from adapters.types import Secret
from router.cli import client
from router.cli.client import Client, ClientError, DaemonAway, reading_answer
from router.core.settings import SettingsError
from tests.http.apps import served
from tests.support.aiohttp_mock import FakeHttp
from tests.support.rim import Providers
from tests.support.scripted import HANG, Step, chunk, event

URL = "http://daemon.test:8080"
KEY = Secret("qk_of_tests")


async def asked(path: str, query: dict[str, str | None] | None = None, **options: Any) -> Any:
    async with Client(options.get("url", URL), options.get("key", KEY), options.get("timeout_s", 5.0)) as daemon:
        return await daemon.get(path, query)


async def streamed(url: str = URL) -> list[Any]:
    chunks = []
    async with (
        Client(url, KEY, 5.0) as daemon,
        aclosing(daemon.stream("/v1/chat/completions", {"stream": True})) as all_,
    ):
        async for one in all_:
            chunks.append(one)  # noqa: PERF401 - what came before an error counts
    return chunks


async def test_json_is_sent_and_read_with_the_key() -> None:
    with FakeHttp() as http:
        http.post(f"{URL}/v1/drain", payload={"ended": True})
        async with Client(URL, KEY) as daemon:
            assert await daemon.post("/v1/drain", {"provider": "grö\ud800q"}) == {"ended": True}
        ((_, (call,)),) = http.requests.items()
    assert json.loads(call.kwargs["data"]) == {"provider": "grö\ud800q"}
    assert call.kwargs["headers"] == {"Content-Type": "application/json", "Authorization": "Bearer qk_of_tests"}
    assert call.kwargs["allow_redirects"] is False


async def test_parameters_that_are_none_are_left_out_and_no_key_sends_no_header() -> None:
    with FakeHttp() as http:
        http.get(f"{URL}/v1/votes?since=1h&provider=a%26b", payload={"data": []})
        assert await asked("/v1/votes", {"since": "1h", "provider": "a&b", "outcome": None}, key=None) == {"data": []}
        ((_, (call,)),) = http.requests.items()
    assert "Authorization" not in call.kwargs["headers"]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"status": 404, "payload": {"error": {"message": "no provider 'groc'", "code": "x_not_found"}}},
         "no provider 'groc' (x_not_found)"),
        ({"status": 409, "payload": {"status": "refused", "problems": ["r.yaml:1:2: error: no", "and no"]}},
         "r.yaml:1:2: error: no\nand no"),
        ({"status": 502, "body": "<html>", "content_type": "text/html"},
         "what answers at http://daemon.test:8080 is not a Quorum daemon, or one of another version "
         "(HTTP 502, 'text/html')"),
        ({"status": 500, "payload": {"error": "no"}}, "HTTP 500"),
        ({"status": 500, "payload": {"error": {"message": ["no"]}}}, "HTTP 500"),
        ({"status": 500, "payload": {"problems": []}}, "HTTP 500"),
        ({"payload": ["a list"]}, "HTTP 200"),
        ({"body": b"\xff\xfe"}, "HTTP 200"),
        ({"body": "[" * 100_000}, "HTTP 200"),
        ({"body": ""}, "HTTP 200"),
    ],
    ids=range(10),
)  # fmt: skip
async def test_an_answer_that_is_not_as_hoped_is_one_sentence(answer: dict[str, Any], sentence: str) -> None:
    with FakeHttp() as http:
        http.get(f"{URL}/x", **answer)
        with pytest.raises(ClientError) as caught:
            await asked("/x")
    assert sentence in str(caught.value)
    assert not isinstance(caught.value, DaemonAway)


async def test_the_attempts_behind_an_error_are_lines_below_it() -> None:
    attempts = [{"provider": "p1", "model": "m", "error_type": "timeout", "ms": 9}, "nonsense", {}]
    error = {"message": "all failed", "code": "all_providers_failed", "attempts": attempts}
    with FakeHttp() as http:
        http.get(f"{URL}/x", status=502, payload={"error": error})
        with pytest.raises(ClientError) as caught:
            await asked("/x")
    assert str(caught.value).splitlines() == [
        "all failed (all_providers_failed)",
        "  p1/m: timeout in 9 ms",
        "  None/None: None in None ms",
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "it takes too long"),
        (ServerDisconnectedError(), "Server disconnected"),
        (ClientConnectionError("a\x1b[2J\nb"), "a [2J b"),
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"), "Connection refused"),
    ],
)
async def test_no_answer_at_all_means_that_the_daemon_is_away(error: Exception, words: str) -> None:
    with FakeHttp() as http:
        http.get(f"{URL}/x", exception=error)
        with pytest.raises(DaemonAway) as caught:
            await asked("/x")
    assert str(caught.value) == f"no daemon answers at {URL}: {words}"


@pytest.mark.parametrize("path", ["/v1/votes", "/v1/chat/completions"])
async def test_an_answer_without_end_is_not_read_to_its_end(
    path: str, providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MAX_BYTES", 1 << 20)
    (fake,) = await providers(1)
    fake.then(Step(pieces=[b"data: " + b"x" * (1 << 20)], end="stay"))
    with pytest.raises(ClientError, match="is longer than 1"):
        await (asked(path, url=fake.url) if path == "/v1/votes" else streamed(fake.url))


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_a_stream_gives_its_chunks_and_skips_what_is_none() -> None:
    pieces = [b": keepalive\n\n", chunk({"content": "a"}), event({"choices": []}), b"data: [DONE]\n\n"]
    with FakeHttp() as http:
        http.post(f"{URL}/v1/chat/completions", body=b"".join(pieces), content_type="text/event-stream")
        first, second = await streamed()
    assert (first["choices"][0]["delta"], second) == ({"content": "a"}, {"choices": []})


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (event({"error": {"message": "all failed", "code": "c"}}), "all failed (c)"),
        (event({"error": 7}), "ended with an error that says nothing"),
        (b'data: {"half\n\n', "it streams events that are not JSON"),
        (b"data: {" + b"[" * 100_000 + b"\n\n", "it streams events that are not JSON"),
    ],
    ids=range(4),
)
async def test_a_stream_that_says_something_else_ends_in_one_sentence(body: bytes, sentence: str) -> None:
    with FakeHttp() as http:
        http.post(f"{URL}/v1/chat/completions", body=body, content_type="text/event-stream")
        with pytest.raises(ClientError) as caught:
            await streamed()
    assert sentence in str(caught.value)


async def test_chunks_come_as_they_are_sent_whatever_the_pieces_of_the_network_are(providers: Providers) -> None:
    large = chunk({"content": "x" * 300_000})  # far more than a line of aiohttp's own reader may have
    (fake,) = await providers(1)
    fake.then(Step(pieces=[large[:100_000], large[100_000:], chunk({"content": "b"})], end="stay"))
    async with Client(fake.url, None, 5.0) as daemon, aclosing(daemon.stream("/x", {})) as chunks:
        assert len((await anext(chunks))["choices"][0]["delta"]["content"]) == 300_000
        assert (await anext(chunks))["choices"][0]["delta"]["content"] == "b"


# --- against servers on loopback --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_error_and_carries_the_key_nowhere(status: int) -> None:
    asked_elsewhere: list[Any] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked_elsewhere.append(request.headers)
        return web.json_response({})

    async with served([web.route("*", "/{path:.*}", elsewhere)]) as other:

        async def moved(_: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": f"{other.url}/x"})

        async with served([web.route("*", "/{path:.*}", moved)]) as app:
            with pytest.raises(ClientError) as got:
                await asked("/v1/weather", url=app.url)
            with pytest.raises(ClientError) as posted:
                await streamed(app.url)

    assert asked_elsewhere == []
    for caught in (got, posted):
        assert f"redirects to '{other.url}/x' (HTTP {status}), which is not followed" in str(caught.value)
        assert "QUORUM_URL" in str(caught.value)


async def test_a_proxy_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def there(_: web.Request) -> web.Response:
        return web.json_response({"here": True})

    async with served([web.get("/x", there)]) as app:
        assert await asked("/x", url=app.url) == {"here": True}


async def test_a_daemon_that_hangs_or_breaks_off_is_away(providers: Providers) -> None:
    hangs, breaks_off = await providers(2)
    hangs.then(HANG)
    breaks_off.then(Step(headers={"Content-Length": "100"}, pieces=[b"{"], end="cut"))
    with pytest.raises(DaemonAway, match="it takes too long"):
        await asked("/v1/weather", url=hangs.url, timeout_s=0.2)
    with pytest.raises(DaemonAway, match="broke off"):
        await asked("/v1/weather", url=breaks_off.url, timeout_s=5.0)
    with pytest.raises(DaemonAway, match="Connection refused"):
        await streamed("http://127.0.0.1:1")


# --- addresses and keys -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8080", "ftp://h", "http://", "http://h:port", "http://h:0x", "http://[::1", "http://h?x=1",
            "http://h#x", "http://h/\n", "file:///etc/passwd"]
)  # fmt: skip
def test_an_address_nobody_can_be_asked_at_is_refused_at_once(url: str) -> None:
    with pytest.raises(SettingsError, match="write one as http://127"):
        Client(url, None)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="QUORUM_API_KEY") as caught:
        Client("http://me:canary@h", None)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("key", ["canary\r\nX-Evil: 1", "canary\n", "canarié", "canary\x00"])
def test_a_key_no_header_can_carry_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(SettingsError, match="QUORUM_API_KEY") as caught:
        Client(URL, Secret(key))
    assert "canar" not in str(caught.value)


# --- answers of another shape -----------------------------------------------------------------------------------------


EMPTY: Any = {}


@pytest.mark.parametrize(
    "read", [lambda: EMPTY["x"], lambda: EMPTY.x, lambda: EMPTY + 1, lambda: int("x"), lambda: 1 / 0], ids=range(5)
)
def test_an_answer_of_another_shape_is_one_sentence(read: Any) -> None:
    with pytest.raises(ClientError, match="is not a Quorum daemon, or one of another version"), reading_answer():
        read()
