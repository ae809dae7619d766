"""`quorum ask` while the answer comes: what a person sees at a terminal, and what stands in a pipe."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from router.core.stages import SeatsAsked, Stage, VoteEnded, VotesTallied, to_document
from tests.cli.terminal import at_terminal, on_screen
from tests.cli.test_cli import quorum
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


def told(made: Stage) -> bytes:
    """A stage as the daemon sends it."""
    return event({"choices": [], "quorum": {"event": to_document(made)}})


def vote(number: int, ms: int, error_type: str | None = None) -> bytes:
    return told(VoteEnded(f"p{number}", f"m{number}", "answer", "failed" if error_type else "ok", error_type, ms))


def said(*texts: str) -> list[bytes]:
    return [chunk({"role": "assistant", "content": ""}), *(chunk({"content": text}) for text in texts)]


PLAN = told(SeatsAsked("majority-vote", tuple(SEATS), 3))
END = [chunk({}, "stop", quorum=LAST), DONE]
ELECTION = [
    PLAN,
    vote(2, 380),
    vote(1, 90, "overloaded"),
    told(VotesTallied({"spam": 1}, out=0)),
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


async def test_a_terminal_shows_the_votes_as_they_come_and_then_the_answer(providers: Providers) -> None:
    fake = await daemon(providers, played(ELECTION))

    status, out, err = await at_terminal("ask", "Spam or ham?", "--url", fake.url)

    assert (status, err) == (0, "")
    assert fake.seen[0]["stream"] is True
    assert fake.seen[0]["quorum"] == {"explain": True}
    assert on_screen(out)[:7] == [
        "majority-vote, at most 3 calls",
        "p1/m1  overloaded  90 ms",
        "p2/m2  answered  380 ms",
        "spam  ████████████████████ 1",
        "",
        "It is spam.",
        "",
    ]
    assert "p1/m1  asking…\r\np2/m2  asking…" in out
    assert "p1/m1  asking…\r\np2/m2  answered  380 ms" in out
    assert "request r-1" in on_screen(out)[-2]
    assert out.count("\x1b[?25l") == out.count("\x1b[?25h") == 1, "the cursor is hidden while the scene is drawn"


async def test_a_stage_that_comes_after_the_text_is_told_below_it(providers: Providers) -> None:
    cut = stage("cut", provider="p1", model="m1", goes_on=True)
    fake = await daemon(providers, played([PLAN, *said("Bo"), cut, *said("th."), *END]))
    _, out, _ = await at_terminal("ask", "x", "--strategy", "council", "--url", fake.url)
    assert on_screen(out)[:4] == [
        "majority-vote, at most 3 calls",
        "",
        "Both.",
        "p1/m1 broke off in mid-answer; another seat goes on",
    ]


async def test_in_a_pipe_the_answer_stands_alone_and_events_are_lines_beside_it(providers: Providers) -> None:
    fake = await daemon(providers, played(ELECTION))

    status, out, err = await quorum("ask", "x", "--stream", "--url", fake.url)

    assert (status, out.splitlines()[0]) == (0, "It is spam.")
    assert "\x1b" not in out + err
    assert err.splitlines() == [
        "majority-vote asks p1/m1, p2/m2, at most 3 calls",
        "p2/m2  answered  380 ms",
        "p1/m1  overloaded  90 ms",
        "tally: spam 1; 0 votes still out",
    ]


async def test_a_program_gets_the_whole_document_in_one_piece(providers: Providers) -> None:
    fake = await daemon(providers, whole("It is spam.", quorum=LAST))
    for words in (("--json",), ("--json", "--stream")):
        status, out, err = await quorum("ask", "x", *words, "--url", fake.url)
        assert (status, err) == (0, "")
        assert json.loads(out)["quorum"] == LAST
    assert [bool(asked.get("stream")) for asked in fake.seen] == [False, False]


NONSENSE = [
    stage("weather", of="tomorrow"),
    stage("plan", seats=7),
    stage("ballot"),
    event({"choices": [], "quorum": {"event": "boo"}}),
    event({"choices": [], "quorum": {"event": {"phase": 1}}}),
    event({"choices": [], "quorum": None}),
    event({"choices": "none"}),
    event({"choices": [{"delta": {"content": 7}}]}),
    event({}),
]


async def test_what_this_version_does_not_know_is_left_out(providers: Providers) -> None:
    fake = await daemon(providers, played([*NONSENSE, *ELECTION]))
    status, out, _ = await at_terminal("ask", "x", "--url", fake.url)
    assert status == 0
    assert on_screen(out)[1:3] == ["p1/m1  overloaded  90 ms", "p2/m2  answered  380 ms"]
    assert "It is spam." in on_screen(out)


async def test_hostile_words_do_not_drive_the_terminal(providers: Providers) -> None:
    wipe = "\x1b[2J\x1b]0;owned\x07\r\ud800\u202e[red]"
    hostile = [
        stage("plan", strategy=wipe, seats=[f"{wipe}p1/m1"], calls=wipe),
        stage("vote", provider="p2", model=f"sp\nam{wipe}", role=wipe, outcome="ok", error_type=None, ms=1),
        stage("tally", counts={wipe: 1}, out=wipe),
        stage("ballot", reviewer=wipe, ranking=[wipe]),
        *said(f"It is{wipe} spam."),
        stage("chair", provider=wipe, model="m"),
        chunk({}, "stop", quorum={**LAST, "tier": wipe, "request_id": wipe, "votes": [{**VOTE, "model": wipe}]}),
    ]
    fake = await daemon(providers, played(hostile))

    status, out, _ = await at_terminal("ask", "x", "--url", fake.url, columns=120)

    shown = on_screen(out, columns=120)  # which fails on every sequence that a live view does not need
    assert status == 0
    assert any(line.startswith("p2/sp am [2J ]0;owned [red]  answered  1 ms") for line in shown)
    assert "It is[2J]0;owned[red] spam." in shown


async def test_a_scene_taller_than_the_terminal_is_cut(providers: Providers) -> None:
    seats = tuple({"provider": f"p{number}", "model": "東京" * 30} for number in range(12))
    election = [told(SeatsAsked("majority-vote", seats, 13)), *(vote(number, 7) for number in range(12))]
    fake = await daemon(providers, played([*election, *said("So be it."), *END]))

    _, out, _ = await at_terminal("ask", "x", "--url", fake.url, columns=40, rows=10)

    assert on_screen(out, 40, 10)[8:11] == ["… and 5 more", "", "So be it."]


@pytest.mark.parametrize("end", ["close", "cut", "reset"])
async def test_a_stream_that_is_cut_is_told_in_one_sentence_below_what_came(providers: Providers, end: Any) -> None:
    fake = await daemon(providers, played([PLAN, *said("It is ")], end=end))

    status, out, err = await quorum("ask", "x", "--stream", "--url", fake.url)

    assert (status, out) == (1, "It is \n")
    assert err.splitlines()[1:] == ["quorum ask: the stream ended before the answer was done"]


async def test_an_error_in_the_stream_ends_it_with_that_error(providers: Providers) -> None:
    failure = event({"error": {"message": "all failed", "code": "all_providers_failed", "attempts": []}})
    fake = await daemon(providers, played([PLAN, vote(1, 9, "timeout"), failure]))

    status, out, err = await at_terminal("ask", "x", "--url", fake.url)

    assert status == 1
    assert on_screen(out) == ["majority-vote, at most 3 calls", "p1/m1  timeout  9 ms", "p2/m2  asking…", ""]
    assert out.endswith("\x1b[?25h") or out.count("\x1b[?25h") == 1, "the cursor is shown again"
    assert err == "quorum ask: all failed (all_providers_failed)\n"


async def test_a_daemon_that_is_away_is_told_as_such() -> None:
    status, out, err = await quorum("ask", "x", "--stream", "--url", "http://127.0.0.1:9")
    assert (status, out) == (1, "")
    assert "no daemon answers" in err
