"""What the models answer: correct where a demo shows it, the same each time, and within the limits asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from router.simulator.conversation import Ask, Function, Reply, Turn, pieces, respond, thinks

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Function("get_weather", "Get the current weather in a city", CITY)
MAIL = Function("send_mail", "Send a message to somebody", {"type": "object", "properties": {}})


def reply(prompt: str, **more: object) -> Reply:
    ask = Ask(model=str(more.pop("model", "some-model")), turns=(Turn("user", prompt),), **more)  # type: ignore[arg-type]
    return respond(ask, provider="groq", seed=1)


@pytest.mark.parametrize(
    ("prompt", "answer"),
    [
        ("Reply with exactly: OK", "OK"),
        ("Please respond with only: `yes it is`", "yes it is"),
        ("Reply with exactly OK", "OK"),
        ("What is 17+25?", "42"),
        ("what is (2 + 3) * 4?", "20"),
        ("Calculate 10 / 4", "2.5"),
        ("What is 6 times 7?", "42"),
        ("What is 100 minus 58?", "42"),
        ("12*12", "144"),
        ("What is 123456789 * 1000?", "123456789000"),
        ("What is the capital of France?", "Paris"),
        ("what's the capital city of the Netherlands", "Amsterdam"),
    ],
)
def test_answers_what_it_knows(prompt: str, answer: str) -> None:
    assert reply(prompt).text == answer


@pytest.mark.parametrize(
    "prompt", ["What is 1/0?", "What is 9**9**9?", "Meet me on 2026-11-21 at 10", "What is (((((?"]
)
def test_does_not_stumble_over_sums_that_are_none(prompt: str) -> None:
    assert reply(prompt).text.startswith("Hello, this is some-model at groq.")


def test_greets_with_its_name_and_a_quotation() -> None:
    assert reply("Do you like the sea?").text == "Hello, this is some-model at groq. You wrote: “Do you like the sea?”."


@pytest.mark.parametrize(
    ("prompt", "labels"),
    [
        ("Is it warm? Answer yes or no.", {"yes", "no"}),
        ("Classify this. Answer with one of: positive, negative or neutral", {"positive", "negative", "neutral"}),
        ('Pick from these options: "A", "B", "C".', {"A", "B", "C"}),
        ("Choose between tea and coffee.", {"tea", "coffee"}),
        ("Reply with exactly one of these labels: spam | ham", {"spam", "ham"}),
    ],
)
def test_picks_one_of_the_labels(prompt: str, labels: set[str]) -> None:
    assert {reply(prompt, model=f"m{n}").text for n in range(60)} == labels


def test_most_models_agree_on_a_label() -> None:
    said = [reply("Answer with one of: red, green, blue", model=f"m{n}").text for n in range(200)]
    most = max(said.count(label) for label in set(said))
    assert 120 < most < 180


def test_labels_may_stand_in_the_system_prompt() -> None:
    turns = (Turn("system", "Labels: spam, ham"), Turn("user", "Buy now and save"))
    assert respond(Ask("m", turns), provider="groq", seed=1).text in ("spam", "ham")


def test_calls_the_tool_the_prompt_is_about() -> None:
    said = reply("What's the weather in New York today?", functions=(MAIL, WEATHER))
    assert [(call.name, call.arguments) for call in said.calls] == [("get_weather", {"city": "New York"})]
    assert (said.text, said.finish) == ("", "tool_calls")


@pytest.mark.parametrize(
    ("more", "called"),
    [
        ({}, None),
        ({"choice": "required"}, "send_mail"),
        ({"choice": "required", "forced": "get_weather"}, "get_weather"),
        ({"choice": "none", "forced": "get_weather"}, None),
    ],
)
def test_obeys_the_tool_choice(more: dict[str, str], called: str | None) -> None:
    said = reply("Tell me a joke", functions=(MAIL, WEATHER), **more)
    assert [call.name for call in said.calls] == ([called] if called else [])


def test_json_object_holds_the_answer() -> None:
    assert reply("What is 17+25?", form="json_object").text == '{"answer":"42"}'


def test_thinks_by_name() -> None:
    assert [
        thinks(name) for name in ("openai/gpt-oss-20b", "magistral-small", "o3", "gpt-4.1", "grok-4.20-non-reasoning")
    ] == [
        True,
        True,
        True,
        False,
        False,
    ]


def test_thinking_leaves_at_least_half_of_the_tokens_for_the_answer() -> None:
    said = reply("Reply with exactly: OK", model="gpt-oss-20b", max_tokens=4)
    assert (said.text, said.finish, said.reasoning_tokens) == ("OK", "stop", 2)
    assert reply("Reply with exactly: OK", model="gpt-oss-20b", thinks=False).reasoning == ""


def test_the_first_stop_sequence_wins() -> None:
    said = reply("Reply with exactly: one two three", stop=("three", "two"))
    assert (said.text, said.finish, said.stop_sequence) == ("one ", "stop_sequence", "two")


def test_answers_are_bounded() -> None:
    assert len(reply("Reply with exactly: " + "x" * 100_000).text) == 16_384


@given(some.text())
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


@given(some.text(), some.integers(1, 20), some.sampled_from(["gpt-oss", "plain"]))
def test_never_more_tokens_than_allowed(prompt: str, limit: int, model: str) -> None:
    said = reply(prompt, max_tokens=limit, model=model)
    assert said.output_tokens + said.reasoning_tokens <= limit
    assert len(pieces(said.text)) == said.output_tokens
