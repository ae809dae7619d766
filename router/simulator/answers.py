"""What a simulated model can answer: a short list of rules, of which the first that applies gives the text.

Answers are plain enough to check by eye and to vote on: sums, capitals, one of given labels. Chance is a hash of the
seed, the model and the prompt, so that the same request always gets the same answer.
"""

from __future__ import annotations

import ast
import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from router.simulator.words import names

CAPITALS = {
    "france": "Paris",
    "germany": "Berlin",
    "italy": "Rome",
    "spain": "Madrid",
    "portugal": "Lisbon",
    "japan": "Tokyo",
    "canada": "Ottawa",
    "australia": "Canberra",
    "brazil": "Brasília",
    "india": "New Delhi",
    "mexico": "Mexico City",
    "the united kingdom": "London",
    "the netherlands": "Amsterdam",
    "sweden": "Stockholm",
}
SPOKEN = {"plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "divided by": "/", "×": "*", "÷": "/"}
OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
AGREEMENT = 0.75  # how often a model gives the label that most models give: enough for majorities, not for unanimity

# The text after a colon or a quotation mark, or one last word. "Answer with only one of …" is a choice, not an echo.
EXACTLY = re.compile(
    r"""\b(?:reply|respond|answer) with (?:exactly|only)"""
    r"""(?:\s*:\s*|\s+(?=["'`])|\s+(?=\w+\W*$))(.+)""",
    re.I | re.S,
)
CUE = re.compile(r"what(?:'s| is)|calculate|compute|how much is|evaluate|solve|=\s*\??\s*$", re.I)
SUM = re.compile(r"[-(\d.][-+*/().\d\s]*\d\)*")
CAPITAL = re.compile(r"capital (?:city )?of ((?:the )?[a-z]+(?: kingdom)?)", re.I)
LISTED = re.compile(
    r"\b(?:one of|labels|options|choices|categories|choose between|choose from)\b"
    r"(?: (?:these|the following))?(?: (?:words|labels|options|answers))?(?: are)?\s*:?\s*([^\n.?!]+)",
    re.I,
)
RANKED = re.compile(r"\brank the (?:answers|responses) ([^\n]*?) from best to worst", re.I)
NONCE = re.compile(r'"nonce": "(\w+)"')
EITHER = re.compile(r"\b(yes or no|true or false)\b", re.I)
SPLIT = re.compile(r"\s*(?:,|;|\||/|\bor\b|\band\b)\s*", re.I)
WORD = re.compile(r"[a-z]{3,}")
# Words too common to tell what a tool is for.
COMMON = names(
    "get set fetch find look lookup search call use run make the and for with from into this that its given return "
    "returns current user users data tool function about please what which when where who how are was you your can "
    "name list one any all not has have will would should does did out now"
)


@dataclass(frozen=True, slots=True)
class Question:
    """What a rule can look at; `pictures` are (media type, size in bytes or None)."""

    prompt: str
    rules: str
    tool_result: str | None
    pictures: tuple[tuple[str, int | None], ...]
    provider: str
    model: str
    seed: int


def draw(*parts: object) -> int:
    """A random-looking number of 64 bits that depends on the arguments alone, and so is repeatable."""
    return int.from_bytes(blake2b("\x1f".join(map(str, parts)).encode(errors="replace"), digest_size=8).digest())


def answer_text(question: Question) -> str:
    """The answer of the first rule that applies."""
    return next(said for rule in RULES if (said := rule(question)) is not None)


def pick_tool(offered: Sequence[tuple[str, str]], prompt: str, *, must: bool) -> str | None:
    """The name of the offered tool (name, description) that fits the prompt best; None if none fits, unless `must`."""
    words = _words(prompt)
    scored = [
        (_nearness(name, description, prompt, words), -at, name) for at, (name, description) in enumerate(offered)
    ]
    score, _, name = max(scored)
    return name if must or score > 0 else None


def _nearness(name: str, description: str, prompt: str, words: frozenset[str]) -> int:
    own = _words(re.sub(r"[_\-.]|(?<=[a-z])(?=[A-Z])", " ", name))
    return 100 * (name in prompt) + 10 * len(own & words) + len(_words(description) & words)


def _words(text: str) -> frozenset[str]:
    return frozenset(WORD.findall(text.lower())) - COMMON


def _from_tool(question: Question) -> str | None:
    return None if question.tool_result is None else f"According to the tool: {question.tool_result}"


def _exactly(question: Question) -> str | None:
    found = EXACTLY.search(question.prompt)
    return found[1].strip().strip("\"'`") if found else None


def _pictures(question: Question) -> str | None:
    if not question.pictures:
        return None
    seen = [kind if size is None else f"{kind} of {size} bytes" for kind, size in question.pictures]
    return f"I see {len(seen)} image{'s' * (len(seen) > 1)}: {', '.join(seen)}."


def _sum(question: Question) -> str | None:
    prompt = question.prompt[:200].lower()
    for word, sign in SPOKEN.items():
        prompt = prompt.replace(word, sign)
    for found in SUM.findall(prompt) if CUE.search(prompt) or SUM.fullmatch(prompt.strip()) else ():
        if re.search(r"\d\s*[-+*/]", found) and (value := _value(found.strip())) is not None:
            return f"{value:.10g}" if abs(value) < 1e10 else str(int(value))
    return None


def _value(text: str) -> float | None:
    try:
        return _reduce(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError):
        return None


def _reduce(node: ast.expr) -> float:
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](_reduce(node.left), _reduce(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_reduce(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    raise ValueError("not a sum")


def _capital(question: Question) -> str | None:
    found = CAPITAL.search(question.prompt)
    return CAPITALS.get(found[1].lower()) if found else None


def _label(question: Question) -> str | None:
    """One of the offered labels: usually the one that most models choose, sometimes another."""
    labels = _labels(question.prompt) or _labels(question.rules)
    if not labels:
        return None
    usual = draw(question.seed, question.prompt) % len(labels)
    chance = draw(question.seed, question.model, question.prompt)
    agrees = chance % 1000 < 1000 * AGREEMENT
    return labels[usual if agrees else (usual + 1 + chance // 1000 % (len(labels) - 1)) % len(labels)]


def _labels(text: str) -> list[str]:
    for found in (*EITHER.findall(text), *LISTED.findall(text)):
        labels = [label for part in SPLIT.split(found) if (label := part.strip(" \t\"'`[](){}*"))]
        if 2 <= len(labels) <= 50 and all(len(label) <= 40 for label in labels):
            return list(dict.fromkeys(labels))
    return []


def _greeting(question: Question) -> str:
    words = question.prompt.split()
    quote = " ".join(words[:10])[:120] + ("…" if len(words) > 10 else "")
    return f"Hello, this is {question.model} at {question.provider}. You wrote: “{quote}”."


def _ranking(question: Question) -> str | None:
    """A council member's ballot: labelled answers ranked in a JSON object, in an order drawn per model."""
    labels, nonce = RANKED.search(question.prompt), NONCE.search(question.prompt)
    if labels is None or nonce is None:
        return None
    named = re.findall(r"\b[A-Z]\b", labels[1])
    order = sorted(named, key=lambda label: draw(question.seed, question.model, nonce[1], label))
    return json.dumps({"ranking": order, "nonce": nonce[1]})


RULES: tuple[Callable[[Question], str | None], ...] = (
    _from_tool,
    _ranking,
    _exactly,
    _pictures,
    _sum,
    _capital,
    _label,
    _greeting,
)
