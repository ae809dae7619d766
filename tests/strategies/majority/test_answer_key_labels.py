"""Which label an answer names: twenty tables from easy to mean. None is a spoiled vote."""

from __future__ import annotations

import time

import pytest

from adapters.types import Answer, ToolCall
from router.strategies.majority.answer_key import BallotKind, key_of

MAIL = ("spam", "ham")
MOOD = ("pos", "neg", "neutral")
CODE = ("C", "C++", "C#")
DESK = ("bug report", "feature request", "question")
EXAM = ("A", "B", "C", "D")

TABLES: list[tuple[str, tuple[str, ...], dict[str, str | None]]] = [
    ("bare", MAIL, {"spam": "spam", "SPAM": "spam", "Spam.": "spam", " ham \n": "ham", "eggs": None, "": None}),
    ("markdown", MAIL, {"**spam**": "spam", "`ham`": "ham", "_ham_": "ham", "# Spam": "spam", "- ham": "ham"}),
    ("quotes", MAIL, {'"spam"': "spam", "“ham”": "ham", "«spam».": "spam", "(ham)": "ham", "[ham]": "ham"}),
    ("fences", MAIL, {"```\nspam\n```": "spam", "```text\nham\n```": "ham", "<ham>": "ham", r"\boxed{ham}": "ham"}),
    (
        "stated",
        MAIL,
        {
            "Answer: spam": "spam",
            "The label is: ham.": "ham",
            "**Label:** spam": "spam",
            "Classification → ham": "ham",
            "It sounds like ham at first. Final answer: spam": "spam",
            "Answer: ham\nOn reflection it shouts.\nFinal answer: **spam**": "spam",
            "Answer: ham. Answer: spam": None,
            "Answer: spam\nAnswer: ham": None,
            "Answer: spam or ham": None,
            "Answer: not spam": None,
            "Answer: eggs": None,
        },
    ),
    (
        "explained",
        MAIL,
        {
            "spam, because it shouts": "spam",
            "spam\n\nIt is not ham, since nobody asked for it.": "spam",
            "It could be ham, but it shouts.\n\n**spam**": "spam",
            "This is ham, as the sender is known.": "ham",
            "It is spam because it is not personal.": "spam",
            "spam\nham": None,
            "It has marks of ham and of spam.": None,
            "spam? No, ham.": None,
        },
    ),
    (
        "json",
        MAIL,
        {
            '{"label":"ham"}': "ham",
            '{"label": "Spam", "reason": "not ham at all"}': "spam",
            '```json\n{"answer": "ham"}\n```': "ham",
            '["spam"]': "spam",
            '{"label": ["ham"]}': "ham",
            '"ham"': "ham",
            '{"verdict": {"label": "ham"}}': "ham",
            '["spam", "ham"]': None,
            '{"spam": 0.9, "ham": 0.1}': None,
            '{"label": "eggs", "reason": "spam"}': None,
            '{"label": null}': None,
            "[]": None,
            "{}": None,
        },
    ),
    (
        "denied",
        MAIL,
        {
            "not spam": None,
            "This is not spam": None,
            "It isn't spam.": None,
            "It isn’t spam.": None,
            "non-spam": None,
            "anti-spam": None,
            "I don't think, honestly, that this is spam": None,
            "no spam here": None,
            "This is ham, not spam.": "ham",
            "Not ham - it's spam": "spam",
            "not spam but ham": "ham",
            "neither spam nor ham": None,
            "I am not sure whether this is spam": None,
            "not spam, spam": None,
        },
    ),
    (
        "denial as a label",
        ("spam", "not spam"),
        {"not spam": "not spam", "It is not spam.": "not spam", "spam": "spam"},
    ),
    ("thoughts", MAIL, {"<think>ham?</think>spam": "spam", "ham ham</think>\nspam": "spam", "<think>spam": None}),
    ("refusals", MAIL, {"I cannot": None, "I cannot classify this as spam.": None, "I'm sorry.": None, "N/A": None}),
    ("inside words", MOOD, {"possibly": None, "pos": "pos", "negligible": None, "positive": None, "rather neg": "neg"}),
    ("look-alikes", MAIL, {"ѕраm": None, "spаm": None, "ｓｐａｍ": "spam", "𝐬𝐩𝐚𝐦": "spam", "ⓗⓐⓜ": "ham"}),
    (
        "invisible",
        MAIL,
        {"\u200fspam\u200f": "spam", "sp\u00adam": "spam", "\ufeffham": "ham", "h\u200bam": "ham", "\u00a0ham": "ham"},
    ),
    ("emoji", ("👍", "👎"), {"👍": "👍", "👎🏽": "👎", "👍\ufe0f": "👍", "👍👎": None, "I say 👍": "👍", "🙂": None}),
    ("emoji beside", MAIL, {"spam 🚫": "spam", "✅ ham": "ham"}),
    ("signs", CODE, {"C": "C", "C++": "C++", "c++": "C++", "It is C#.": "C#", "**C++**, I think": "C++", "C+": None}),
    ("several words", DESK, {"Bug report": "bug report", "a BUG  REPORT": "bug report", "bug": None, "reports": None}),
    (
        "letters",
        EXAM,
        {
            "B": "B",
            "b": "B",
            "(B)": "B",
            "B) Paris": "B",
            "The answer is B.": "B",
            "Answer: B, since a dog is an animal": "B",
            "a dog": None,
            "B or C": None,
            "ABCD": None,
        },
    ),
    ("only case differs", ("US", "us"), {"US": "US", "us": "us", "Us": None, "**us**": "us", "It is US": None}),
    ("only dots differ", ("etc", "etc."), {"etc": "etc", "etc.": "etc.", "ETC": "etc"}),
    ("numbers", ("1", "2", "10"), {"1": "1", "10": "10", '{"label": 2}': "2", "1.": "1", "I give it 10": "10"}),
    ("truth", ("true", "false"), {"True": "true", "false.": "false", '{"answer": true}': "true", "untrue": None}),
    ("other scripts", ("да", "нет"), {"Да.": "да", "НЕТ": "нет", "нет, спасибо": "нет", "никогда": None}),
    ("one inside the other", ("new", "new york"), {"New York": "new york", "it is new": "new", "New York, new": None}),
    ("punctuation in it", ("yes!", "no?"), {"yes!": "yes!", "Yes": "yes!", "no": "no?", "maybe": None}),
    ("huge", MAIL, {"spam " * 2_000: "spam", "spam " * 100_000: None, "word " * 3_000 + "\nAnswer: ham": "ham"}),
]


@pytest.mark.parametrize(
    ("labels", "text", "expected"),
    [(labels, text, label) for _, labels, table in TABLES for text, label in table.items()],
    ids=[f"{name}-{text[:24]!a}" for name, _, table in TABLES for text in table],
)
def test_the_label_an_answer_names(labels: tuple[str, ...], text: str, expected: str | None) -> None:
    found = key_of(Answer(text), BallotKind("label", labels))
    assert (found.value if found else None) == expected


def test_of_a_cut_answer_only_a_whole_label_counts() -> None:
    kind = BallotKind("label", MAIL)
    whole, begun = (key_of(Answer(text, finish_reason="length"), kind) for text in ("Spam", "spam, or rather"))
    assert whole is not None
    assert (whole.value, begun) == ("spam", None)


def test_a_tool_call_is_no_label() -> None:
    assert key_of(Answer("spam", tool_calls=(ToolCall("1", "look", "{}"),)), BallotKind("label", MAIL)) is None


@pytest.mark.parametrize("text", ["answer is " * 2_000, "not " * 5_000, "*" * 19_000, "`" * 19_000, "spam, " * 3_300])
def test_no_text_takes_long_to_read(text: str) -> None:
    began = time.process_time()
    key_of(Answer(text), BallotKind("label", MAIL))
    key_of(Answer(text), BallotKind("open"))
    assert time.process_time() - began < 3
