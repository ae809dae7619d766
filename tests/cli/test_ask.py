"""`quorum ask` while the answer comes: what a person sees at a terminal, and what stands in a pipe."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios
from collections.abc import Iterable
from typing import Any

import pytest

from tests.cli.test_cli import quorum
from tests.support.paths import ROOT
from tests.support.rim import Providers
from tests.support.scripted import DONE, Scripted, Step, chunk, event, whole

SSE = {"Content-Type": "text/event-stream"}
SEATS = [{"provider": "p1", "model": "m1"}, {"provider": "p2", "model": "m2"}]
VOTE = {"vote_id": "v1", "seq": 1, "role": "answer", "provider": "p1", "model": "m1", "outcome": "ok", "ms": 412}
LAST = {
    "request_id": "r-1",
    "strategy": "majority-vote",
    "tier": "cheap",
    "attempts": 2,
    "cost_usd": 0.0021,
    "votes": [VOTE],
}


def stage(name: str, **facts: Any) -> bytes:
    return event({"choices": [], "quorum": {"event": {"stage": name, **facts}}})


def vote(number: int, **facts: Any) -> bytes:
    return stage("vote", provider=f"p{number}", model=f"m{number}", **{"outcome": "ok", **facts})


def said(*texts: str) -> list[bytes]:
    return [chunk({"role": "assistant", "content": ""}), *(chunk({"content": text}) for text in texts)]


PLAN = stage("plan", seats=SEATS)
END = [chunk({}, "stop", quorum=LAST), DONE]
ELECTION = [
    PLAN,
    vote(2, answer_key="spam", ms=380),
    vote(1, outcome="failed", error_type="overloaded", ms=90),
    stage("tally", counts={"spam": 1}),
    *said("It is ", "spam."),
    stage("done"),
    *END,
]


def played(pieces: Iterable[bytes], **fields: Any) -> Step:
    return Step(headers=SSE, pieces=list(pieces), **fields)


async def daemon(providers: Providers, *steps: Step) -> Scripted:
    """A server that streams what a daemon would."""
    (fake,) = await providers(1)
    return fake.then(*steps)


async def at_terminal(*words: str, columns: int = 80, rows: int = 24) -> tuple[int, str, str]:
    """Runs the command at a terminal of its own; exit status, the bytes it was sent, stderr."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "router", *words,
        cwd=ROOT, env={"PATH": "/usr/bin:/bin", "NO_COLOR": "1", "PYTHONUTF8": "1"},
        stdout=theirs, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    os.close(theirs)
    heard = asyncio.get_running_loop().run_in_executor(None, _all_of, ours)
    async with asyncio.timeout(60):
        _, err = await process.communicate()
        return process.returncode or 0, (await heard).decode(), err.decode()


def _all_of(terminal: int) -> bytes:
    heard = b""
    try:
        while piece := os.read(terminal, 65536):
            heard += piece
    except OSError:  # the other side has closed it
        pass
    finally:
        os.close(terminal)
    return heard


def on_screen(output: str) -> list[str]:
    """What is left on a terminal after `output`: lines, moves back over them, and what those wiped away."""
    shown: list[str] = []
    for part in re.split(r"(\x1b\[\d+F\x1b\[J)", output.replace("\r\n", "\n")):
        if back := re.fullmatch(r"\x1b\[(\d+)F\x1b\[J", part):
            assert shown[-1] == ""
            shown = [*shown[: -1 - int(back[1])], ""]
        else:
            first, *more = part.split("\n")
            shown = [*shown[:-1], "".join(shown[-1:]) + first, *more]
    return shown


async def test_a_terminal_shows_the_votes_as_they_come_and_then_the_answer(providers: Providers) -> None:
    fake = await daemon(providers, played(ELECTION))

    status, out, err = await at_terminal("ask", "Spam or ham?", "--url", fake.url)

    assert (status, err) == (0, "")
    assert fake.seen[0]["stream"] is True
    assert fake.seen[0]["quorum"] == {"explain": True}
    assert on_screen(out)[:6] == [
        "p1/m1  overloaded  90 ms",
        "p2/m2  spam  380 ms",
        "spam  ████████████████████ 1",
        "",
        "It is spam.",
        "",
    ]
    assert "p1/m1  asking…\r\np2/m2  asking…\r\n" in out
    assert "p1/m1  asking…\r\np2/m2  spam  380 ms\r\n" in out
    assert "request r-1" in on_screen(out)[-2]


async def test_events_in_another_order_show_the_same(providers: Providers) -> None:
    plan, first, second, *rest = ELECTION
    fake = await daemon(providers, played([second, first, plan, *rest]))
    _, out, _ = await at_terminal("ask", "x", "--url", fake.url)
    assert sorted(on_screen(out)[:2]) == ["p1/m1  overloaded  90 ms", "p2/m2  spam  380 ms"]
    assert on_screen(out)[2].startswith("spam  █")
    assert "asking…" not in out


async def test_a_council_shows_its_drafts_ballots_and_chair(providers: Providers) -> None:
    council = [
        PLAN,
        stage("draft", provider="p1", model="m1", outcome="ok", ms=700),
        stage("draft", provider="p2", model="m2", outcome="ok", ms=900),
        stage("ballot", reviewer="p1/m1", ranking=["B", "A"]),
        stage("ballot", reviewer=SEATS[1], ranking=["A", ["B", "C"]]),
        stage("ranking", ranking=SEATS),
        stage("chair", provider="p1", model="m1"),
        *said("Both."),
        stage("seam", provider="p2", model="m2"),
        *END,
    ]
    fake = await daemon(providers, played(council))

    _, out, _ = await at_terminal("ask", "x", "--strategy", "council", "--url", fake.url)

    assert on_screen(out)[:9] == [
        "p1/m1  draft is there  700 ms",
        "p2/m2  draft is there  900 ms",
        "p1/m1 ranks B > A",
        "p2/m2 ranks A > B = C",
        "ranking: p1/m1 > p2/m2",
        "p1/m1 writes the answer",
        "",
        "Both.",
        "p2/m2 goes on where the answer was cut",
    ]


async def test_in_a_pipe_the_answer_stands_alone_and_events_are_lines_beside_it(providers: Providers) -> None:
    fake = await daemon(providers, played(ELECTION))

    status, out, err = await quorum("ask", "x", "--stream", "--url", fake.url)

    assert (status, out.splitlines()[0]) == (0, "It is spam.")
    assert "\x1b" not in out + err
    assert err.splitlines() == ["asking p1/m1, p2/m2", "p2/m2  spam  380 ms", "p1/m1  overloaded  90 ms", "spam 1"]


async def test_a_program_gets_the_whole_document_in_one_piece(providers: Providers) -> None:
    fake = await daemon(providers, whole("It is spam.", quorum=LAST))
    for words in (("--json",), ("--json", "--stream")):
        status, out, err = await quorum("ask", "x", *words, "--url", fake.url)
        assert (status, err) == (0, "")
        assert json.loads(out)["quorum"] == LAST
    assert [bool(asked.get("stream")) for asked in fake.seen] == [False, False]


NONSENSE = [
    stage("weather", of="tomorrow"),
    stage("tally", counts="many"),
    stage("tally", counts={"x": "one", "y": -1, "z": 1e300}),
    stage("plan", seats=7),
    stage("ballot"),
    event({"choices": [], "quorum": {"event": "boo"}}),
    event({"choices": [], "quorum": {"event": {"phase": 1}}}),
    event({"choices": [], "quorum": None}),
]


async def test_what_this_version_does_not_know_is_left_out(providers: Providers) -> None:
    fake = await daemon(providers, played([*NONSENSE, *ELECTION]))
    status, out, _ = await at_terminal("ask", "x", "--url", fake.url)
    assert status == 0
    assert on_screen(out)[:2] == ["p1/m1  overloaded  90 ms", "p2/m2  spam  380 ms"]
    assert "It is spam." in on_screen(out)


async def test_hostile_words_do_not_drive_the_terminal(providers: Providers) -> None:
    wipe = "\x1b[2J\x1b]0;owned\x07\r\ud800\u202e"
    hostile = [
        stage("plan", seats=[f"{wipe}p1/m1"]),
        vote(2, answer_key=f"sp\nam{wipe}", ms=1),
        stage("tally", counts={wipe: 1}),
        stage("ballot", reviewer=wipe, ranking=[wipe]),
        *said(f"It is{wipe} spam."),
        stage("chair", provider=wipe, model="m"),
        *END,
    ]
    fake = await daemon(providers, played(hostile))

    _, out, _ = await at_terminal("ask", "x", "--url", fake.url)

    left = re.sub(r"\x1b\[\d+F\x1b\[J", "", out.replace("\r\n", "\n"))
    assert not set(left) & set("\x1b\x07\r\u202e")
    assert "p2/m2  sp am[2J]0;owned  1 ms" in on_screen(out)


async def test_lines_fit_the_terminal_so_that_they_are_drawn_over_in_place(providers: Providers) -> None:
    names = [f"p{number}/{'東京' * 30}" for number in range(12)]
    election = [
        stage("plan", seats=names),
        *(stage("vote", provider=f"p{n}", model="東京" * 30, outcome="ok", answer_key="x" * 90) for n in range(12)),
    ]
    fake = await daemon(providers, played([*election, *said("So be it."), *END]))

    _, out, _ = await at_terminal("ask", "x", "--url", fake.url, columns=40, rows=10)

    shown = on_screen(out)
    assert shown[8:11] == ["… and 4 more", "", "So be it."]
    assert all(len(line) <= 22 for line in shown[:8]), "wide letters take two columns"
    assert all(int(back) < 10 for back in re.findall(r"\x1b\[(\d+)F", out))


@pytest.mark.parametrize("end", ["close", "cut", "reset"])
async def test_a_stream_that_is_cut_is_told_in_one_sentence_below_what_came(providers: Providers, end: Any) -> None:
    fake = await daemon(providers, played([PLAN, *said("It is ")], end=end))

    status, out, err = await quorum("ask", "x", "--stream", "--url", fake.url)

    assert (status, out) == (1, "It is \n")
    assert err.splitlines()[1:] == ["quorum ask: the stream ended before the answer was done"]


async def test_an_error_in_the_stream_ends_it_with_that_error(providers: Providers) -> None:
    failure = event({"error": {"message": "all failed", "code": "all_providers_failed", "attempts": []}})
    fake = await daemon(providers, played([PLAN, vote(1, outcome="failed", error_type="timeout", ms=9), failure]))

    status, out, err = await at_terminal("ask", "x", "--url", fake.url)

    assert status == 1
    assert on_screen(out) == ["p1/m1  timeout  9 ms", "p2/m2  asking…", ""]
    assert err == "quorum ask: all failed (all_providers_failed)\n"


async def test_a_daemon_that_is_away_is_told_as_such() -> None:
    status, out, err = await quorum("ask", "x", "--stream", "--url", "http://127.0.0.1:9")
    assert (status, out) == (1, "")
    assert "no daemon answers" in err
