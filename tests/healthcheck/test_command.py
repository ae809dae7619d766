"""`python -m healthcheck` as a container and as an engineer on call use it, against a small server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from healthcheck.__main__ import main

UP = {
    "provider": "groq",
    "model": "openai/gpt-oss-20b",
    "verdict": "healthy",
    "state": "clear",
    "reason": "answered OK",
}
DOWN = {
    "provider": "gemini",
    "model": "gemini-3.8-flash",
    "verdict": "down",
    "state": "failing",
    "reason": "timeout: no",
}
REPORT = {"models": [{**UP, "latency_ms": 412}, {**DOWN, "latency_ms": 20_000}]}


class Daemon:
    """Says what a test told it to, and remembers who asked for what."""

    def __init__(self) -> None:
        self.status, self.body = 200, json.dumps(REPORT).encode()
        self.seen: list[tuple[str, str, str | None]] = []
        self.url = ""

    def says(self, document: Any, status: int = 200) -> None:
        self.status, self.body = status, json.dumps(document).encode()


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    for name in ("QUORUM_URL", "QUORUM_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    daemon = Daemon()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            daemon.seen.append((self.command, self.path, self.headers["Authorization"]))
            self.rfile.read(int(self.headers["Content-Length"] or 0))
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


def test_ready_is_zero_and_not_ready_one(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.says({"status": "ready"})
    assert run(capsys) == (0, "ready\n", "")
    daemon.says({"status": "draining"}, 503)
    assert run(capsys) == (1, "not ready: HTTP 503\n", "")
    assert [path for _, path, _ in daemon.seen] == ["/readyz", "/readyz"]


@pytest.mark.parametrize("words", [("--url", "ftp://x"), ("--json",), ("--shallow",)])
def test_a_wrong_use_is_two(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert words[0] in err


def test_deep_shows_every_model_in_columns_and_one_that_is_down_is_a_finding(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = run(capsys, "--deep")
    assert status == 1
    assert out.splitlines() == [
        "provider  model               verdict     ms  why",
        "groq      openai/gpt-oss-20b  healthy    412  answered OK",
        "gemini    gemini-3.8-flash    down     20000  failing: timeout: no",
    ]
    assert daemon.seen == [("POST", "/v1/probe", None)]


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (UP, 0),
        (DOWN, 1),
        ({**DOWN, "state": "clear"}, 1),
        ({**DOWN, "verdict": "degraded"}, 0),
        ({**DOWN, "verdict": None, "state": "billing"}, 0),
        ({**DOWN, "state": "disabled"}, 0),
        ({**DOWN, "state": "no-key"}, 0),
    ],
)
def test_only_what_could_be_routed_to_and_is_down_is_a_finding(
    row: dict[str, Any], status: int, daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.says({"models": [row]})
    assert run(capsys, "--deep")[0] == status


def test_deep_sends_the_key_and_speaks_json(
    daemon: Daemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUORUM_API_KEY", "qk_of_tests")
    status, out, err = run(capsys, "--deep", "--json")
    assert (status, json.loads(out), err) == (1, REPORT, "")
    assert daemon.seen[0][2] == "Bearer qk_of_tests"


def test_what_providers_say_cannot_drive_the_terminal(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.says({"models": [{**DOWN, "reason": "\x1b[2Jgone\nroot# " + "x" * 500}]})
    _, out, _ = run(capsys, "--deep")
    assert len(out.splitlines()) == 2
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) < 150


@pytest.mark.parametrize(
    ("document", "status", "sentence"),
    [
        ({"error": {"message": "the key is not known"}}, 401, "HTTP 401: the key is not known"),
        ("no", 500, "HTTP 500: the daemon did not say why"),
        (["a web server"], 200, "is no daemon of this kind"),
        ({"models": ["x"]}, 200, "is no daemon of this kind"),
    ],
)
def test_a_daemon_that_gives_no_report_is_one_sentence(
    document: Any, status: int, sentence: str, daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.says(document, status)
    code, out, err = run(capsys, "--deep")
    assert (code, out) == (1, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_no_daemon_at_all_is_one_sentence(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "--deep", "--url", "http://127.0.0.1:1")
    assert code == 1
    assert err.startswith("no daemon answers at http://127.0.0.1:1: ")
