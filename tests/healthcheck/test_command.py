"""`python -m healthcheck` as a container uses it, against a small server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from healthcheck.__main__ import main


class Daemon:
    """Answers what a test told it to, and remembers who asked for what."""

    def __init__(self) -> None:
        self.status, self.body = 200, b"{}"
        self.seen: list[tuple[str, str, str | None]] = []
        self.url = ""

    def says(self, document: Any, status: int = 200) -> None:
        self.status, self.body = status, json.dumps(document).encode()


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.delenv("QUORUM_URL", raising=False)
    daemon = Daemon()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            daemon.seen.append((self.command, self.path, self.headers["Authorization"]))
            self.send_response(daemon.status)
            self.send_header("Content-Length", str(len(daemon.body)))
            self.end_headers()
            self.wfile.write(daemon.body)

        do_POST = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    daemon.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("QUORUM_URL", daemon.url)
    yield daemon
    server.shutdown()
    thread.join()
    server.server_close()


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        status = main(list(words))
    except SystemExit as ended:
        status = int(ended.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_ready_is_zero_and_not_ready_one(
    daemon: Daemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUORUM_API_KEY", "qk_of_tests")
    daemon.says({"status": "ready"})
    assert run(capsys) == (0, "ready\n", "")
    daemon.says({"status": "draining"}, 503)
    assert run(capsys) == (1, "not ready: HTTP 503\n", "")
    assert daemon.seen == [("GET", "/readyz", None)] * 2, "the check needs no key and sends none"


@pytest.mark.parametrize("document", [[], "ready", None, {"state": "ready"}])
def test_another_servers_answer_is_not_ready(document: Any, daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.says(document)
    status, out, err = run(capsys)
    assert (status, len(out.splitlines()), err) == (1, 1, "")


def test_no_daemon_at_all_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "--url", "http://127.0.0.1:1")
    assert (status, err) == (1, "")
    assert out.startswith("no daemon answers at http://127.0.0.1:1: ")


@pytest.mark.parametrize("words", [("--url", "ftp://x"), ("--json",), ("--shallow",)])
def test_a_wrong_use_is_two(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert words[0] in err


def test_deep_names_the_command_that_replaced_it(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "--deep")
    assert (status, out) == (2, "")
    assert "`quorum probe`" in err
    assert len(err.splitlines()) == 1
    assert daemon.seen == []
