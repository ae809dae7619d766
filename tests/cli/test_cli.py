"""The command `quorum` as people type it: real processes for what runs, `main` for what only prints."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from router.cli.main import VERBS, main
from router.cli.verb import Verb
from router.registry.schema import SCHEMA_FILE
from tests.support.daemon import Start, registry_for
from tests.support.paths import ROOT
from tests.support.rim import Providers
from tests.support.scripted import HANG, error, stream, whole


async def quorum(*words: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Runs the command in a process of its own; exit status, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "router",
        *words,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **(env or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Runs the command in this process."""
    try:
        status = main(words)
    except SystemExit as ended:
        status = int(ended.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


async def test_ask_shows_the_answer_and_its_votes(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(error(503, "down for \x1b[31mrepairs"))
    two.then(whole("forty\x1b[2Jtwo"))
    running = await start_daemon(registry_for([one, two]))

    status, out, _ = await quorum("ask", "What is 17+25?", "--url", running.url)

    assert status == 0
    assert out.startswith("forty[2Jtwo\n"), "the answer, without what would drive the terminal"
    rows = [line.split() for line in out.splitlines() if " answer " in line]
    assert [(row[2], row[4], row[6]) for row in rows] == [("p1", "failed", "503"), ("p2", "ok", "200")]
    assert "2 attempt(s)" in out


async def test_ask_streams_and_says_errors_in_one_sentence(start_daemon: Start, providers: Providers) -> None:
    (one,) = await providers(1)
    one.then(stream("forty", "two"))
    running = await start_daemon(registry_for([one]))

    status, out, _ = await quorum("ask", "x", "--stream", "--url", running.url)
    assert (status, out.splitlines()[0]) == (0, "fortytwo")

    status, out, err = await quorum("ask", "x", "--tier", "chep", "--url", running.url)
    assert (status, out) == (1, "")
    assert "did you mean 'cheap'?" in err
    assert len(err.splitlines()) == 1


async def test_votes_weather_and_reload_speak_json_too(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(error(429, "slow down", retry_after="60"))
    two.then(whole("two"))
    text = registry_for([one, two])
    running = await start_daemon(text)
    await running.chat()
    where = ("--url", running.url, "--json")

    rows = json.loads((await quorum("votes", *where))[1])
    assert [(row["provider"], row["outcome"]) for row in rows] == [("p2", "ok"), ("p1", "failed")]
    failed = json.loads((await quorum("votes", "--outcome", "failed", *where))[1])
    assert [row["error_type"] for row in failed] == ["rate_limited"]
    weather = json.loads((await quorum("weather", *where))[1])
    assert [p["models"][0]["state"] for p in weather["providers"]] == ["limited", "clear"]

    running.registry.write_text(text.replace("council_size: 3", "council_size: 5"))
    status, out, _ = await quorum("diff", "--running", str(running.registry), "--url", running.url)
    assert (status, out) == (0, "tier cheap: council_size 3 → 5\n")
    assert json.loads((await quorum("reload", *where))[1])["status"] == "swapped"

    running.registry.write_text(text.replace("tier: cheap, rank: 1", "tier: chep, rank: 1"))
    status, _, err = await quorum("reload", "--url", running.url)
    assert status == 1
    assert f"{running.registry}:" in err
    assert "did you mean 'cheap'?" in err


async def test_on_call_a_provider_is_drained_explained_and_put_back(start_daemon: Start, providers: Providers) -> None:
    one, two = await providers(2)
    one.then(whole("one"))
    two.then(whole("two"))
    running = await start_daemon(registry_for([one, two]))
    where = ("--url", running.url)

    status, out, _ = await quorum("drain", "p1", "--for", "30m", "--reason", "flapping", *where)
    assert status == 0
    assert "in 30 min" in out
    status, out, _ = await quorum("explain", *where)
    seats, left_out = out.split("left out:")
    assert status == 0
    assert ("p2" in seats, "p1" in seats) == (True, False)
    assert "flapping" in left_out
    assert "at most 2 call(s)" in left_out  # the one that is left may be asked once more
    assert (await running.chat(model="ranked-fallback")).json["quorum"]["provider"] == "p2"
    assert one.seen == []

    status, out, _ = await quorum("undrain", "p1", *where, "--json")
    assert (status, json.loads(out)["ended"]) == (0, True)
    assert (await running.chat(model="ranked-fallback")).json["quorum"]["provider"] == "p1"
    changes = json.loads((await quorum("weather", "--changes", *where, "--json"))[1])
    assert [(row["provider"], row["model"], row["state"]) for row in changes] == [
        ("p1", None, "clear"),
        ("p1", None, "drained"),
    ]
    shown = (await quorum("weather", *where))[1].splitlines()
    assert shown[0].split() == ["provider", "model", "state", "until", "limits", "left", "last", "probe", "why"]
    assert len(shown) == 4


async def test_serve_with_no_key_starts_and_says_why_nobody_can_answer(stores: Any, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router", "serve", "--port", "0", "--data-dir", str(tmp_path),
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "DATABASE_URL": stores.postgres_dsn, "REDIS_URL": stores.redis_url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        assert line.startswith("quorum is ready at http://127.0.0.1:")
        status, _, err = await quorum("ask", "hello", "--url", line.split()[-1])
        assert status == 1
        assert "GROQ_API_KEY is not set" in err
        assert "(no_seat)" in err
        url = line.split()[-1]
        assert (await healthcheck("--url", url))[:2] == (0, "ready\n")
        process.send_signal(signal.SIGHUP)
        await reloaded(url)
        second = await quorum("serve", "--port", url.rsplit(":", 1)[1], "--data-dir", str(tmp_path))
        assert second[0] == 2
        assert "cannot listen on 127.0.0.1" in second[2]
    finally:
        process.terminate()
        await process.communicate()
    assert process.returncode == 0
    assert (await healthcheck("--url", url))[0] == 1


async def reloaded(url: str) -> None:
    """Waits until the daemon has counted a reload."""
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}/metrics") as response:
                text = await response.text()
            if 'quorum_registry_reload_total{result="unchanged"} 1' in text:
                return
            await asyncio.sleep(0.05)


async def healthcheck(*words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "healthcheck", *words, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_simulate_answers_and_refuses_a_bad_weather_file(tmp_path: Path) -> None:
    bad = tmp_path / "storm.json"
    bad.write_text('{"groq": "outrage"}')
    status, _, err = await quorum("simulate", "--port", "0", "--weather", str(bad))
    assert status == 1
    assert "outage" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (("serv",), "did you mean 'serve'?"),
        (("ask",), "question"),
        (("serve", "--port", "http"), "QUORUM_PORT: 'http' is not allowed, it must be a whole number from 0 to 65535"),
        (("serve", "--host", "0.0.0.0"), "callers need no key, so listening on 0.0.0.0 is refused"),
        (("serve", "--workers", "0"), "QUORUM_WORKERS: '0' is not allowed, it must be a whole number from 1 to 64"),
        ((), "required: VERB (see `quorum --help`)"),
        (("weather", "--wach"), "unexpected '--wach', did you mean '--watch'?"),
        (("votes", "--provder=groq"), "unexpected '--provder=groq', did you mean '--provider'?"),
        (("env", "PORT"), "unexpected 'PORT'"),
        (("--jsn",), "required: VERB"),
        (("help", "wether"), "did you mean 'weather'?"),
        (("simulate", "--port", "x"), "invalid int value: 'x'"),
        (("db", "migrat"), "did you mean 'migrate'?"),
        (("check", "--format", "yaml"), "choose from"),
        (("diff", "one.yaml"), "name two files"),
        (
            ("drain", "groq", "--for", "half an hour"),
            "argument --for: 'half an hour' is not a duration: write 250ms, 30s",
        ),
        (("drain", "groq", "--for", "0s"), "argument --for: 0s is no time at all"),
        (("votes", "--since", "yesterday"), "argument --since: 'yesterday' is not a duration: write 250ms, 30s"),
        (("weather", "--changes", "--since", "1 h"), "argument --since: '1 h' is not a duration"),
        (("drain",), "PROVIDER[/MODEL]"),
        (("diff", "one.yaml", "two.yaml", "--running"), "name two files"),
        (("weather", "--watch", "--changes"), "choose one"),
        (("votes", "--url", "ftp://x"), "QUORUM_URL: 'ftp://x' is not a daemon's address"),
        (("check", "--live", "--no-env"), "choose one"),
    ],
)
def test_wrong_words_are_told_in_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], fragment: str
) -> None:
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "")
    assert fragment in err
    assert len(err.splitlines()) == 1


def test_check_tells_places_and_exits_1(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("version: 1\ntires: {}\n")
    status, out, _ = run(capsys, "check", str(path), "--no-env")
    assert status == 1
    assert f"{path}:2:1: error:" in out
    assert "did you mean 'tiers'?" in out
    assert run(capsys, "check", str(ROOT / "registry.yaml"), "--no-env")[0] == 0
    assert run(capsys, "check", str(tmp_path / "none.yaml"))[0] == 1


def test_schema_is_the_one_that_editors_find(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "schema")
    assert status == 0
    assert out == SCHEMA_FILE.read_text()


def test_env_hides_secrets(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:canary-secret@h/db")
    status, out, _ = run(capsys, "env", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert status == 0
    assert rows["DATABASE_URL"]["value"] == "***"
    assert "canary" not in out
    assert rows["QUORUM_PORT"]["default"] == "8080"


def test_help_names_every_verb_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--help")
    assert status == 0
    assert {verb.name for verb in VERBS} >= {"serve", "demo", "simulate", "ask", "check", "diff", "schema", "explain"}
    assert {verb.name for verb in VERBS} >= {"weather", "probe", "drain", "undrain", "votes", "reload", "env", "db"}
    for verb in VERBS:
        assert f"\n    {verb.name} " in out
        assert f"\n  {verb.example}\n" in out
        assert verb.example.startswith(f"quorum {verb.name}")
    assert run(capsys, "help") == (0, out, "")


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_each_verb_explains_itself_and_its_flags(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, verb.name, "--help")
    assert status == 0
    assert " ".join((verb.run.__doc__ or "").split()) in " ".join(out.split())
    assert f"example: {verb.example}" in out
    for flag in verb.flags:
        assert flag.options.get("metavar", flag.names[-1]) in out
    assert run(capsys, "help", verb.name) == (0, out, "")


def test_the_version_is_that_of_our_distribution(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: {"quorum-router": "1.2.3"}[name])
    assert run(capsys, "--version") == (0, "quorum 1.2.3\n", "")

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    status, out, _ = run(capsys, "--version")
    assert (status, "quorum-router is not installed" in out) == (0, True)


HEAVY = ("aiohttp", "rich", "redis", "asyncpg", "structlog", "pydantic", "yaml", "uvloop", "pybreaker", "httptools")


@pytest.mark.parametrize(
    ("words", "loaded"),
    [
        (("--help",), set()),
        (("schema",), {"pydantic"}),
        (("env",), {"rich"}),
        (("votes", "--url", "http://127.0.0.1:1"), {"aiohttp"}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
async def test_a_verb_loads_only_what_it_needs(words: tuple[str, ...], loaded: set[str]) -> None:
    code = f"import sys; from router.cli.main import main\ntry: main({words!r})\nexcept SystemExit: pass\n"
    code += f"print('loaded', *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert set(err.decode().splitlines()[-1].split()) == {"loaded", *loaded}


async def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router", "env", cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout._transport.close()  # type: ignore[attr-defined]  # as `| head -0` does
    _, err = await process.communicate()
    assert (process.returncode, err) == (1, b"")


async def test_ctrl_c_while_an_answer_is_waited_for_ends_with_130(providers: Providers) -> None:
    (fake,) = await providers(1)
    fake.then(HANG)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router", "ask", "x", "--url", fake.url,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    async with asyncio.timeout(60):
        await fake.asked.wait()
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (130, b"", b"")


async def test_a_narrow_encoding_costs_characters_and_no_traceback() -> None:
    status, out, err = await quorum("help", "ask", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert (status, err) == (0, "")
    status, out, err = await quorum("ask", "é", "--url", "http://127.0.0.1:1/é", env={"PYTHONIOENCODING": "ascii"})
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert "127.0.0.1:1/?" in err


def test_db_says_where_and_what(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = ("--data-dir", str(tmp_path / "data"))
    status, out, _ = run(capsys, "db", "migrate", *folder, "--json")
    assert status == 0
    assert {row["state"] for row in json.loads(out)} == {"applied"}
    addresses = json.loads(run(capsys, "db", "url", *folder, "--json")[1])
    assert addresses["DATABASE_URL"].startswith("postgresql://")
    assert addresses["REDIS_URL"].startswith("unix://")
    assert "applied" in run(capsys, "db", "status", *folder)[1]
