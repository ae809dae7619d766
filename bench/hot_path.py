"""Measures the daemon's CPU time per request, beside a bare aiohttp proxy and, if installed, nginx.

    .venv/bin/python bench/hot_path.py [REQUESTS]

Absolute figures belong to one machine and one moment: compare the ratio to the bare proxy. Each server runs in a
process of its own; its CPU time (user and system) over the run is divided by the number of requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

CONNECTIONS = 64
REPLY = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "bench-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 200}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 200, "total_tokens": 220},
    }
).encode()
ASK = json.dumps(
    {"model": "auto", "messages": [{"role": "user", "content": "Say word two hundred times. " * 8}]}
).encode()
REGISTRY = """
version: 1
defaults: {{strategy: single-query, tier: cheap}}
tiers: {{cheap: {{council_size: 3}}}}
providers:
  bench:
    adapter: compatible
    base_url: {url}/v1
    models:
      bench-1: {{tier: cheap, price: {{input: 1, output: 2}}}}
"""
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream up {{ server {address}; keepalive 128; }}
  server {{ listen 127.0.0.1:{port};
    location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection ""; }} }}
}}
"""


class Upstream(asyncio.Protocol):
    """A provider that answers every request with the same bytes, as cheaply as Python can."""

    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(REPLY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            size = _content_length(self.buffer[:end])
            if len(self.buffer) < end + 4 + size:
                return
            self.buffer = self.buffer[end + 4 + size :]
            self.transport.write(self.head + REPLY)  # type: ignore[attr-defined]


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def upstream() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def bare(url: str) -> None:
    """The baseline, what any aiohttp proxy costs: reads a request, posts it, passes the answer back."""
    from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web

    session = ClientSession(connector=TCPConnector(limit=0), cookie_jar=DummyCookieJar())

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        headers = {"Content-Type": "application/json"}
        async with session.post(f"{url}/v1/chat/completions", data=body, headers=headers) as response:
            return web.Response(body=await response.read(), content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


@contextlib.contextmanager
def process(*words: str, **options: str) -> Iterator[tuple[psutil.Process, str]]:
    """A process that prints its port or URL as the last word of its first line; yields it and the port."""
    started = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **options}
    )
    try:
        assert started.stdout is not None
        where = started.stdout.readline().split()[-1].rsplit(":", 1)[-1]
        yield psutil.Process(started.pid), where
    finally:
        started.terminate()
        started.wait()


async def load(port: int, requests: int) -> float:
    """Sends the requests over `CONNECTIONS` connections; returns the seconds it took."""
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: {len(ASK)}"
    )
    message = head.encode() + b"\r\n\r\n" + ASK
    left = requests

    async def one() -> None:
        nonlocal left
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while left > 0:
            left -= 1
            writer.write(message)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"not an answer: {answer[:200]!r}")
            await reader.readexactly(_content_length(answer))
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return time.perf_counter() - began


def measure(name: str, server: psutil.Process, port: str, requests: int) -> tuple[str, float, float]:
    """CPU microseconds per request of the server and of its children, and requests per second."""
    asyncio.run(load(int(port), max(500, requests // 10)))
    before = cpu_s(server)
    took = asyncio.run(load(int(port), requests))
    return name, (cpu_s(server) - before) / requests * 1e6, requests / took


def cpu_s(server: psutil.Process) -> float:
    names = {"nginx"} if server.name() == "nginx" else set()
    family = [server, *(child for child in server.children() if child.name() in names)]
    return sum(times.user + times.system for times in (one.cpu_times() for one in family))


def main(requests: int) -> None:
    python, here = sys.executable, str(Path(__file__))
    rows = []
    with tempfile.TemporaryDirectory() as folder, process(python, here, "upstream") as (_, up):
        url = f"http://127.0.0.1:{up}"
        with process(python, here, "bare", url) as (server, port):
            rows.append(measure("bare aiohttp proxy", server, port, requests))
        if shutil.which("nginx"):
            rows.append(measure_nginx(Path(folder), up, requests))
        registry = Path(folder) / "registry.yaml"
        registry.write_text(REGISTRY.format(url=url))
        words = (
            python,
            "-m",
            "router",
            "serve",
            "--port",
            "0",
            "--registry",
            str(registry),
            "--data-dir",
            f"{folder}/d",
        )
        for name, options in (
            ("quorum, vote log with payloads", {}),
            ("quorum, vote log without payloads", {"QUORUM_PAYLOADS": "off"}),
        ):
            with process(*words, **options) as (server, port):
                rows.append(measure(name, server, port, requests))
    base = rows[0][1]
    print(f"{requests} requests over {CONNECTIONS} connections, answers of {len(REPLY)} bytes")
    print(f"{'server':36}{'CPU µs/request':>16}{'ratio':>8}{'requests/s':>12}")
    for name, cost, rate in rows:
        print(f"{name:36}{cost:16.0f}{cost / base:8.2f}{rate:12.0f}")


def measure_nginx(folder: Path, up: str, requests: int) -> tuple[str, float, float]:
    port = int(up) + 1 if int(up) < 65000 else int(up) - 1
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, address=f"127.0.0.1:{up}", port=port))
    started = subprocess.Popen(["nginx", "-c", str(config), "-p", str(folder)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                asyncio.run(load(port, 1))
                break
            time.sleep(0.05)
        return measure("nginx reverse proxy", psutil.Process(started.pid), str(port), requests)
    finally:
        started.terminate()
        started.wait()


if __name__ == "__main__":
    import uvloop

    match sys.argv[1:]:
        case ["upstream"]:
            uvloop.run(upstream())
        case ["bare", address]:
            uvloop.run(bare(address))
        case [number]:
            main(int(number))
        case _:
            main(10_000)
