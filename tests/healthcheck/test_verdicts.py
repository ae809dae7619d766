"""What an answer to "Reply with exactly: OK" says of a model's health."""

from __future__ import annotations

import pytest

from adapters.errors import POLICY, ErrorKind, ProviderError
from adapters.types import Answer, ToolCall
from healthcheck.verdicts import PROBE, judge


@pytest.mark.parametrize(
    "text",
    [
        "OK", "ok", "Ok.", "OK!", "Okay", "okay.", " OK\n", "**OK**", "`OK`", "```\nOK\n```", '"OK"', "'ok'", "“OK”",
        "«OK»", "# OK", "> OK", "- OK", "_OK_", "O.K.", "OK 👍", "✅ OK", "ＯＫ", "(OK)", "OK…", "OK\u200b",
    ],
)  # fmt: skip
def test_ok_in_any_dress_is_healthy(text: str) -> None:
    assert judge(Answer(text=text)).condition == "healthy"


@pytest.mark.parametrize(
    "text",
    [
        "Sure! OK", "OK, how can I help you today?", "OK OK", "Not OK", "KO", "O", "K", "Understood.", "42",
        '{"answer": "OK"}', "The user wants me to reply OK. OK", "<answer>OK</answer>", "ОК",  # in Cyrillic
    ],
)  # fmt: skip
def test_anything_else_is_degraded_and_quoted(text: str) -> None:
    finding = judge(Answer(text=text))
    assert finding.condition == "degraded"
    assert text in finding.reason


def test_reasoning_beside_an_ok_is_healthy_but_in_the_text_it_is_a_leak() -> None:
    thinking = Answer(text="OK", reasoning="The user wants me to reply with exactly OK.")
    assert judge(thinking).condition == "healthy"
    assert judge(thinking, leaked=True).condition == "degraded"


@pytest.mark.parametrize("reasoning", ["The user wants", ""])
def test_thinking_that_took_all_tokens_is_healthy(reasoning: str) -> None:
    assert judge(Answer(reasoning=reasoning, finish_reason="length")).condition == "healthy"


def test_an_answer_that_is_cut_is_degraded() -> None:
    assert judge(Answer(text="The user wants", finish_reason="length")).condition == "degraded"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(refusal="I cannot do that."), "I cannot do that."),
        (Answer(tool_calls=(ToolCall("1", "reply", "{}"),), finish_reason="tool_calls"), "a tool call"),
        (Answer(), "nothing"),
    ],
)
def test_what_says_no_text_is_degraded(answer: Answer, words: str) -> None:
    finding = judge(answer)
    assert finding.condition == "degraded"
    assert words in finding.reason


def test_a_long_answer_is_quoted_in_part_and_on_one_line() -> None:
    reason = judge(Answer(text="Well,\n" * 10_000)).reason
    assert len(reason) < 150
    assert "\n" not in reason


@pytest.mark.parametrize("kind", ErrorKind)
def test_a_failure_is_down_where_the_breaker_counts_it_and_says_nothing_elsewhere(kind: ErrorKind) -> None:
    finding = judge(ProviderError(kind, "x" * 1000))
    assert finding.condition == ("down" if POLICY[kind].breaker == "failure" else None)
    assert finding.reason.startswith(f"{kind.value}: x")
    assert len(finding.reason) <= 300


def test_the_states_that_tell_of_themselves_are_not_down() -> None:
    for kind in ("rate_limited", "quota_exhausted", "billing", "auth", "model_gone", "invalid_request"):
        assert judge(ProviderError(ErrorKind(kind), "no")).condition is None


def test_the_probe_leaves_room_to_think_and_sets_no_temperature() -> None:
    assert PROBE.messages[0].text == "Reply with exactly: OK"
    assert dict(PROBE.params) == {"max_tokens": 512}
