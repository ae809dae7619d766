"""Free text in a majority vote: refused, or grouped by one call, and never counted as if it were a word."""

from __future__ import annotations

import pytest

from adapters.errors import ErrorKind
from router.core.decision import Refusal
from tests.strategies.majority.voters import HANGS, Says, Voters, again, decided, refusal_code

PROSE = "The question cannot be answered in a word, since it depends on what one takes the word to mean in it. " * 2


@pytest.mark.parametrize(
    "says",
    [
        (PROSE + "a", PROSE + "b", PROSE + "c"),
        (PROSE + "a", PROSE + "b", "Paris"),
        ("It is Paris.", "Paris, I think", "Surely Paris"),
    ],
    ids=["prose", "mostly prose", "short, but none alike"],
)
async def test_free_text_is_refused(says: tuple[str, ...]) -> None:
    voters = Voters(*says)
    decision = await voters.decide()
    assert decision.winner is None
    assert isinstance(decision.error, Refusal)
    assert (decision.error.code, decision.error.kind) == ("free_text_vote", ErrorKind.INVALID_REQUEST)
    assert again(voters, decision) == decided(decision)


async def test_prose_is_refused_as_soon_as_it_is_clear() -> None:
    voters = Voters(PROSE + "a", PROSE + "b", HANGS)
    decision = await voters.decide()
    assert refusal_code(decision) == "free_text_vote"


async def test_short_answers_are_votes_where_some_agree() -> None:
    decision = await Voters("Paris.", "**paris**", "Lyon").decide()
    assert (decision.answer_key, decision.error) == ("paris", None)


JUDGED = '{"nonce": "$nonce", "groups": [[1, 2], [3]]}'


async def test_free_text_is_grouped_by_one_call() -> None:
    says: list[Says | list[Says]] = [[f"{PROSE} {word}", JUDGED] for word in ("yes", "indeed", "never")]
    voters = Voters(*says, free_text="cluster", streamed=True)
    decision = await voters.decide()
    judge = voters.asked[-1]
    assert [attempt.role for attempt in voters.asked] == ["answer"] * 3 + ["judge"]
    assert decision.winner is not None
    assert decision.winner.answer is not None
    assert (decision.agreement, decision.flags, decision.low_confidence) == (2 / 3, ("grouped",), False)
    assert voters.heard == decision.winner.answer.text
    agreed = [mark.agreed for mark in decision.marks.values() if mark.agreed is not None]
    assert sorted(agreed) == [False, True, True]
    assert decision.marks[f"v{judge.seq}"].counted
    assert again(voters, decision) == decided(decision)


async def test_a_bad_grouping_is_repaired_once() -> None:
    says: list[Says | list[Says]] = [[f"{PROSE} a", "I cannot group.", JUDGED], PROSE + "b", PROSE + "c"]
    voters = Voters(*says, free_text="cluster")
    decision = await voters.decide()
    assert [attempt.role for attempt in voters.asked].count("judge") == 2
    assert "cannot be used" in voters.asked[-1].request.messages[-1].text
    assert (decision.flags, decision.agreement) == (("grouped",), 2 / 3)


async def test_without_a_grouping_all_answers_are_different() -> None:
    says: list[Says | list[Says]] = [[f"{PROSE} a", "I cannot group."], PROSE + "b", PROSE + "c"]
    voters = Voters(*says, free_text="cluster")
    decision = await voters.decide()
    assert len(voters.asked) == 5
    assert decision.flags == ("grouping_failed", "tie_broken_by_rank")
    assert (decision.low_confidence, decision.agreement) == (True, 1 / 3)


async def test_what_is_clear_needs_no_grouping() -> None:
    voters = Voters("Paris", "paris.", HANGS, free_text="cluster")
    decision = await voters.decide()
    assert (decision.answer_key, len(voters.asked), decision.flags) == ("paris", 3, ())
