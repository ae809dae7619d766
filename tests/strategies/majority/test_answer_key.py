"""What counts as the same answer: labels, JSON, tool calls, numbers, dates and short texts, easy and mean."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as some

from adapters.types import Answer, ResponseFormat, ToolCall
from router.strategies.majority.answer_key import AnswerKey, BallotKind, ballot_kind, key_of

OPEN = BallotKind("open")
JSON = BallotKind("json")


def key(text: str, kind: BallotKind = OPEN, **facts: object) -> str | None:
    found = key_of(Answer(text, **facts), kind)  # type: ignore[arg-type]
    return found.value if found else None


def form(text: str) -> str | None:
    found = key_of(Answer(text), OPEN)
    return found.form if found else None


def test_the_five_spellings_of_a_vote_on_spam() -> None:
    said = ["Spam.", " **spam**", "<think>ham?</think>spam", "ham", '{"label":"ham"}']
    kind = ballot_kind(("spam", "ham"), None)
    assert Counter(key(text, kind) for text in said) == {"spam": 3, "ham": 2}


# --- one answer in many spellings -------------------------------------------------------------------------------------

SAME = [
    ("42", ["42", "42.0", "42.", "**42**", "4.2e1", "`42`", "The answer is 42.", "Final answer: 42", r"\boxed{42}"]),
    ("42", ["４２", "\u200f42", "+42", "(42)", '"42"', "# 42", "- 42", "Answer: **42**", "```\n42\n```", "84/2"]),
    ("42", ["6 times 7 is what we need.\n\nFinal answer: 42", "so it goes on " * 200 + "\nThe answer is: 42."]),
    ("1000", ["1,000", "1 000", "1\u202f000", "1'000", "1000.0", "1e3", "1 x 10^3", "1,000.00", "1.000,00"]),
    ("1000000", ["1,000,000", "1.000.000", "1 000 000", "1e6", "1000000"]),
    ("1000 EUR", ["1 000 €", "€1,000", "1000 EUR", "1,000.00 euros", "1000€", "€ 1000"]),
    ("75 %", ["75 %", "75%", "75 percent", "75.0 %", "75 per cent"]),
    ("0.75", ["0.75", ".75", "0,75", "3/4", "75e-2", "0.750"]),
    ("0.125", ["0,125", "0.125", "1/8"]),
    ("1/3", ["1/3", "2/6"]),
    ("-5", ["-5", "−5", "-5.0", "**-5**"]),
    ("20 °C", ["20 °C", "20°C", "20 ℃", "20.0 °C"]),
    ("2026-11-21", ["2026-11-21", "Nov 21, 2026", "November 21st, 2026", "21.11.2026", "21 November 2026"]),
    ("2026-11-21", ["11/21/2026", "2026/11/21", "the 21st of November 2026", "Saturday, November 21, 2026"]),
    ("2026-05-05", ["05/05/2026", "5.5.2026", "2026-5-5"]),
    ("yes", ["yes", "Yes.", "YES!", "**yes**", "true", "Answer: yes", "“Yes”"]),
    ("no", ["no", "No.", "False", "`no`"]),
    ("paris", ["Paris", "paris.", " **Paris** ", "“Paris”", "PARIS!", "Ｐａｒｉｓ", "Paris 🎉", "\u200ePa\u00adris"]),
    ("new york city", ["New York City", "New  York\nCity", "*New York City*.", "Answer: New York City"]),
    ("o'neill's", ["O'Neill's", "O’Neill’s"]),
    ("c++", ["C++", "c++", "**C++**."]),
    ("👍", ["👍", "👍.", "👍\ufe0f"]),
    ('{"a":1,"b":[true,null]}', ['{"b": [true, null], "a": 1.0}', '```json\n{"a":1e0,"b":[true,null]}\n```']),
]


@pytest.mark.parametrize(("meant", "spellings"), SAME, ids=[meant for meant, _ in SAME])
def test_spellings_of_one_answer(meant: str, spellings: list[str]) -> None:
    assert {spelling: key(spelling) for spelling in spellings} == dict.fromkeys(spellings, meant)


DIFFERENT = [
    ["42", "about 42", "~42", "≈ 42", ">42", "42 %", "42 €", "42 or 43", "-42", "42 km", "42 apples", "1/42"],
    ["0.75", "75 %", "75"],
    ["10²", "102", "10^2"],
    ["1½", "11/2", "1.5"],
    ["5 mW", "5 MW"],
    ["1.234", "1,234"],
    ["05/06/2026", "2026-06-05", "2026-05-06"],
    ["C", "C++", "C#"],
    ["yes", "not yes", "yes and no"],
    ["Paris", "Рaris", "Paris, Texas"],  # the second begins with a Cyrillic letter
    ["co-op", "coop"],
    ['{"a": "1"}', '{"a": 1}', '{"a": [1]}', '{"A": 1}', '{"a": 1, "b": null}'],
    ["[1, 2]", "[2, 1]"],
    ["👍", "👎"],
]


@pytest.mark.parametrize("answers", DIFFERENT, ids=lambda answers: answers[0])
def test_answers_that_only_look_alike(answers: list[str]) -> None:
    keys = [key(answer) for answer in answers]
    assert None not in keys
    assert len(set(keys)) == len(answers), keys


@pytest.mark.parametrize(
    "text",
    [
        *("", "  \n", "...", "\u200b", "<think>forty-two?</think>", "**", "---"),
        *("I cannot help with that.", "I'm sorry, but I can't assist with this request.", "Sorry, I won't answer."),
    ],
)
def test_no_answer_is_spoiled(text: str) -> None:
    assert key(text) is None


def test_an_answer_that_was_cut_or_refused_is_spoiled() -> None:
    assert key("42", finish_reason="length") is None  # perhaps it was going to be 421
    assert key("42", finish_reason="content_filter") is None
    assert key("", refusal="I will not.") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("42", "number"),
        ("Nov 21, 2026", "date"),
        ("31.02.2026", "text"),  # no such day
        ("true", "yes_no"),
        ("[1]", "json"),
        ("{broken", "text"),
        ("Paris", "text"),
        (" ".join(["word"] * 12), "text"),
        (" ".join(["word"] * 13), "prose"),
        ("x" * 81, "prose"),
        ("The capital is Paris, which lies on the Seine, and has been so for a very long time.", "prose"),
        ("word " * 50_000, "prose"),
    ],
)
def test_how_an_answer_is_read(text: str, expected: str) -> None:
    assert form(text) == expected


# --- JSON and tool calls ----------------------------------------------------------------------------------------------


def test_json_is_compared_without_what_does_not_matter() -> None:
    kind = ballot_kind((), ResponseFormat("json_object"), ("/reason", "/items/1/id", "/a~1b", "/gone/too"))
    one = '{"reason": "it shouts", "items": [{"id": 1}, {"id": 2, "n": 1}], "a/b": 0, "verdict": "spam"}'
    two = '{"verdict": "spam", "items": [{"id": 1}, {"n": 1.0, "id": 9}], "a/b": 5, "reason": "other"}'
    assert key(one, kind) == key(two, kind) == '{"items":[{"id":1},{"n":1}],"verdict":"spam"}'


@pytest.mark.parametrize(
    "text",
    [
        *("spam", '{"a": 1', '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 100_000, "{'a': 1}", "1" * 5_000, ""),
        'Here it is: {"a": 1}',
    ],
)
def test_what_is_not_json_is_spoiled_where_json_was_asked_for(text: str) -> None:
    assert key(text, JSON) is None


@pytest.mark.parametrize("number", ["1e999999999", "-0.0", "123456789012345678901234567890.0", "0e5"])
def test_hostile_numbers_are_small_keys(number: str) -> None:
    found = key(f"[{number}]", JSON)
    assert found is not None
    assert len(found) < 50


def test_long_keys_are_told_apart_by_their_digest() -> None:
    one, two = (key(f'{{"text": "{"x" * 5_000}{end}"}}', JSON) for end in "ab")
    assert one is not None
    assert one.startswith("sha256:")
    assert one != two


def calls(*made: tuple[str, str]) -> AnswerKey | None:
    return key_of(Answer(tool_calls=tuple(ToolCall(f"id{n}", *call) for n, call in enumerate(made))), OPEN)


def test_tool_calls_are_a_set_of_names_and_meanings() -> None:
    one = calls(("weather", '{"city": "Paris", "days": 1}'), ("time", ""))
    assert one == calls(("time", "{}"), ("weather", '{"days":1.0,"city":"Paris"}'))
    assert one == AnswerKey('time({}) & weather({"city":"Paris","days":1})', "tools")
    assert one != calls(("time", "{}"))
    assert one != calls(("weather", '{"city": "paris", "days": 1}'), ("time", ""))
    assert calls(("time", "{broken")) is None


@given(some.text())
def test_no_text_breaks_the_keys(text: str) -> None:
    for kind in (OPEN, JSON, BallotKind("label", ("yes", "C++", "👍"))):
        found = key_of(Answer(text), kind)
        assert found is None or 0 < len(found.value) <= 200


@given(some.integers(-(10**12), 10**12), some.sampled_from(["{}", "{}.0", "**{}**", "Answer: {}", "{:,}", "`{}`."]))
def test_every_number_is_itself(number: int, spelling: str) -> None:
    assert key(spelling.format(number)) == str(number)
