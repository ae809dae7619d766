"""council: reviews without names, a chairman, and an answer whatever fails on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

import pytest

from adapters.types import Answer, ChatRequest, Image, Message, ResponseFormat, Text, Tool, ToolCall
from router.attempts.attempt import Attempt
from router.strategies.fusion.council import council
from router.strategies.fusion.ranking import recount_council
from tests.strategies.fusion.test_ranking import bits
from tests.strategies.sitting import CHAIRS, NONCE, Reply, Sitting, ballot, by_seat, is_repair, member, prompt, shown

BEST = "draft of m-a/model"


def scores(ranking: list[dict[str, Any]]) -> list[float]:
    return [standing["score"] for standing in ranking]


async def test_a_council_of_four_is_nine_calls() -> None:
    play = Sitting()
    decision = await play.decide(council)
    assert play.roles == {"draft": 4, "ballot": 4, "chair": 1}
    assert decision.winner is not None
    assert (decision.answer, decision.winner.seat.id) == (Answer("the answer"), CHAIRS[0])
    assert (decision.votes_planned, decision.votes_counted, decision.flags) == (4, 4, ())
    assert (decision.quorum_met, decision.low_confidence, decision.tie, decision.agreement) == (True, False, False, 1.0)
    told = decision.details["council"]
    assert [(stage["stage"], stage["calls"]) for stage in told["stages"]] == [
        ("drafts", 4),
        ("ballots", 4),
        ("chair", 1),
    ]
    assert [told["labels"][standing["label"]] for standing in told["ranking"]] == [f"m-{id}/model" for id in "abcd"]
    assert scores(told["ranking"]) == [1.0, pytest.approx(2 / 3), pytest.approx(1 / 3), 0.0]
    assert {"drafts", "ballots", "chair"} <= set(play.stages)


@pytest.mark.parametrize("size", [3, 4, 5, 8])
async def test_a_council_of_n_is_2n_plus_1_calls(size: int) -> None:
    play = Sitting(members="abcdefgh", council_size=size)
    await play.decide(council)
    assert play.roles == {"draft": size, "ballot": size, "chair": 1}


async def test_two_drafts_are_not_ranked_since_nobody_could_compare() -> None:
    play = Sitting(council_size=2)
    decision = await play.decide(council)
    assert play.roles == {"draft": 2, "chair": 1}
    assert (decision.flags, decision.answer) == (("too_few_to_rank",), Answer("the answer"))


@pytest.mark.parametrize("size", [3, 4, 5, 8])
async def test_nobody_reads_its_own_answer_and_every_answer_stands_everywhere_once(size: int) -> None:
    play = Sitting(members="abcdefgh", council_size=size)
    decision = await play.decide(council)
    places: Counter[tuple[str, int]] = Counter()
    for review in play.of("ballot"):
        texts = shown(review)
        assert len(texts) == size - 1
        assert f"draft of {review.seat.id}" not in prompt(review)
        places.update((text, position) for position, text in enumerate(texts.values()))
    assert set(places.values()) == {1}
    assert len(places) == size * (size - 1)
    orders = decision.details["council"]["orders"]
    assert all(reviewer not in order for reviewer, order in orders.items())


async def test_reviewers_and_chairman_see_labels_and_no_names() -> None:
    play = Sitting(lambda attempt: "Paris." if attempt.role == "draft" else None, request_id="another")
    await play.decide(council)
    for attempt in (*play.of("ballot"), *play.of("chair")):
        assert not any(name in prompt(attempt) for name in ("m-a", "m-b", "m-c", "m-d", "/model"))
    assert "All rankings together, best first:" in prompt(play.of("chair")[0])


async def test_labels_are_drawn_anew_for_each_request() -> None:
    drawn = []
    for number in range(12):
        decision = await (play := Sitting(request_id=f"request {number}")).decide(council)
        drawn.append(tuple(decision.details["council"]["labels"].items()))
        assert decision.seed == play.calls.seed
    assert len(set(drawn)) > 6


async def test_the_ranking_comes_out_of_the_stored_rows_bit_for_bit() -> None:
    """Reviewers that disagree, one that spoils its ballot, one that has to be asked again."""

    def says(attempt: Attempt) -> Reply | None:
        match attempt.role, member(attempt):
            case "draft", who:
                return "long " * ord(who) + f"draft of m-{who}"
            case "ballot", "b":
                return ballot(by_seat(attempt)[::-1])
            case "ballot", "c":
                return "no"
            case "ballot", "d" if not is_repair(attempt):
                return "let me think"
        return None

    play = Sitting(says, council_size=5)
    decision = await play.decide(council)
    told = decision.details["council"]
    again = recount_council(play.rows(decision), decision.rule)
    assert bits([asdict(each) for each in again.standings]) == bits(told["ranking"])
    assert bits([again.consensus, again.length_bias]) == bits([told["consensus"], told["length_bias"]])
    assert again.length_bias is not None
    assert decision.flags == ("ballots_repaired", "ballots_spoiled")
    assert play.roles == {"draft": 5, "ballot": 7, "chair": 1}


async def test_a_ballot_says_whether_it_agreed() -> None:
    def says(attempt: Attempt) -> Reply | None:
        return ballot(by_seat(attempt)[::-1]) if (attempt.role, member(attempt)) == ("ballot", "d") else None

    play = Sitting(says)
    decision = await play.decide(council)
    agreed = {vote.seat.id: decision.marks[vote.vote_id].agreed for vote in play.calls.votes if vote.role == "ballot"}
    assert agreed == {"m-a/model": True, "m-b/model": True, "m-c/model": True, "m-d/model": False}
    # Three pairs of reviewers order all they have in common alike, the three pairs with the fourth the other way round.
    assert (decision.agreement, decision.details["council"]["consensus"]) == (0.5, 0.0)


async def test_tool_calls_are_ranked_and_chosen_not_fused() -> None:
    call = Answer(tool_calls=(ToolCall("1", "look", '{"at": "cat"}'),), finish_reason="tool_calls")

    def says(attempt: Attempt) -> Reply | None:
        if attempt.role == "draft":
            return call if member(attempt) == "c" else None
        texts = shown(attempt)
        return ballot(sorted(texts, key=lambda label: "[calls look" not in texts[label]))

    request = ChatRequest((Message("user", (Text("Look!"),)),), tools=(Tool("look"),))
    play = Sitting(says, request=request)
    decision = await play.decide(council)
    assert (decision.answer, decision.flags) == (call, ("tool_calls",))
    assert play.roles == {"draft": 4, "ballot": 4}
    assert all(attempt.request.tools == () for attempt in play.of("ballot"))


async def test_reviewers_get_the_conversation_as_material_and_nothing_of_the_caller_s_parameters() -> None:
    request = ChatRequest(
        (
            Message("system", (Text("Answer as a pirate."),)),
            Message("user", (Text("What is this?"), Image("https://example.com/cat.png"))),
        ),
        response_format=ResponseFormat("json_object"),
        params={"stop": ["}"], "max_tokens": 5},
    )
    play = Sitting(request=request)
    play.plan = Sitting().plan  # the seats of these tests see no images
    await play.decide(council)
    for review in play.of("ballot"):
        told = prompt(review)
        assert f"[conversation {NONCE}]\nsystem: Answer as a pirate.\n[end of conversation {NONCE}]" in told
        assert "What is this?\n[an image that is not shown here]\n[end of last message of the user" in told
        assert (dict(review.request.params), review.request.response_format) == ({}, None)
    assert play.of("chair")[0].request.messages[0] == request.messages[0]
    assert play.of("chair")[0].request.response_format == request.response_format


async def test_the_registry_s_wordings_are_used_and_told() -> None:
    plain, mine = Sitting(), Sitting(settings={"prompts": {"review": "Rank them, {0}!", "chair": "Fuse them."}})
    decisions = [await plain.decide(council), await mine.decide(council)]
    assert mine.of("ballot")[0].request.messages[0].text == "Rank them, {0}!"
    assert "Fuse them." in prompt(mine.of("chair")[0])
    assert mine.roles == plain.roles
    assert decisions[0].rule["prompts"] != decisions[1].rule["prompts"]


async def test_the_parity_mode_shows_everything_to_everybody_and_names_to_the_chairman() -> None:
    play = Sitting(settings={"style": "karpathy"})
    decision = await play.decide(council)
    assert play.roles == {"draft": 4, "ballot": 4, "chair": 1}
    for review in play.of("ballot"):
        assert list(shown(review)) == ["A", "B", "C", "D"]
        assert shown(review)["A"] == BEST
    chair = prompt(play.of("chair")[0])
    assert f"[response of m-a/model {NONCE}]\n{BEST}\n" in chair
    assert f"[ranking by m-d/model {NONCE}]\nAll fair.\nFINAL RANKING:\n1. Response A\n" in chair
    told = decision.details["council"]
    assert scores(told["ranking"]) == [1.0, 2.0, 3.0, 4.0]
    assert told["labels"] == {label: f"m-{label.lower()}/model" for label in "ABCD"}
    again = recount_council(play.rows(decision), decision.rule)
    assert bits([asdict(each) for each in again.standings]) == bits(told["ranking"])


async def test_the_parity_mode_asks_nobody_twice() -> None:
    def says(attempt: Attempt) -> Reply | None:
        return "banana" if (attempt.role, member(attempt)) == ("ballot", "a") else None

    play = Sitting(says, settings={"style": "karpathy"})
    decision = await play.decide(council)
    assert play.roles == {"draft": 4, "ballot": 4, "chair": 1}
    assert decision.flags == ("ballots_spoiled",)
