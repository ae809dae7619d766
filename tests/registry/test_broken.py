"""Every way to break a registry that we know of: exactly one problem, at exactly the right place, with advice.

The character § marks where the problem must be reported; it is taken out before the text is read.
"""

from __future__ import annotations

import pytest

from tests.registry.good import GOOD, changed, examined

BROKEN: dict[str, tuple[str, str, str]] = {
    # the text itself
    "no, read as false": ("enabled: true", "enabled: §no", 'write "no" in quotes, or false'),
    "Off": ("enabled: true", "enabled: §Off", "or false"),
    "yes": ("enabled: true", "enabled: §yes", 'write "yes" in quotes, or true'),
    "octal": ("requests: 30,", "requests: §010,", "octal"),
    "hexadecimal": ("requests: 30,", "requests: §0x1F,", "decimal"),
    "base 60": ("first_token: 10s", "first_token: §1:30", "in quotes"),
    "date": ("family: a", "family: §2026-11-21", "date"),
    "underscores": ("requests: 1000", "requests: §1_000", "underscores"),
    "infinity": ("input: 0.1", "input: §.inf", "finite"),
    "exponent": ("requests: 1000", "requests: §1e3", "plain form"),
    "too many digits": ("requests: 1000", "requests: §12345678901234567890", "at most 15 digits"),
    "anchor": ("family: a", "family: §&x a", "anchor '&x' is not allowed"),
    "alias": ("enabled: true", "enabled: §*x", "alias '*x' is not allowed"),
    "merge key": ("    enabled: true", "    §<<: {}", "merge key"),
    "tag": ("family: a", "family: §!!str a", "tag"),
    "duplicate key": ("    enabled: true", "    enabled: true\n    §adapter: groq", "already stands on line 24"),
    "duplicate provider": ("  local:", "  §groq:", "duplicate key 'groq'"),
    "no value": ("    enabled: true", "    enabled:§", "has no value"),
    "control character": ("family: a", 'family: §"a\\0"', "control character"),
    "second document": ("  local:", "§---\n  local:", "second document"),
    "list as key": ("enabled: true", "? §[1]\n    : 2", "a key must be"),
    "tab": ("    enabled: true", "§\tenabled: true", "spaces, not tabs"),
    "colon in a value": ("family: a", "family: a§: b", "quote a value"),
    "colon in a block": ("enabled: true", "region: a§: b", "quote a value that contains ': '"),
    "open bracket": ("[tools]}", "[tools§}", "a '[' is not closed"),
    "reference in braces": ("enabled: true", "quirks: {path: $§{X}}", "quote a value inside it"),
    # the shape
    "unknown root key": ("strategies:", "§strategys:", "did you mean 'strategies'?"),
    "unknown key": ("enabled: true", "§enabld: true", "unknown key 'enabld', did you mean 'enabled'?"),
    "unknown model key": ("family: a", "§familly: a", "did you mean 'family'?"),
    "unknown tier key": ("total: 180s", "§totl: 180s", "did you mean 'total'?"),
    "unknown limit key": ("resets: ", "§reset: ", "did you mean 'resets'?"),
    "unknown strategy": ("council: {chair", "§councl: {chair", "did you mean 'council'?"),
    "missing adapter": ("  local:\n    adapter: compatible", "  §local:", "'local' lacks the key 'adapter'"),
    "missing tier": ("tiny: {tier: {cheap: 2, complex: 5}}", "§tiny: {rank: 2}", "'tiny' lacks the key 'tier'"),
    "wrong version": ("version: 1", "version: §2", "'version' cannot be '2'; allowed: 1"),
    "wrong strategy": ("strategy: single-query", "strategy: §singel-query", "did you mean 'single-query'?"),
    "wrong window": ("per: minute", "per: §minut", "did you mean 'minute'?"),
    "wrong window altogether": ("per: minute", "per: §fortnight", "allowed: minute, day, month"),
    "text for a switch": ("enabled: true", "enabled: §maybe", "'enabled' must be true or false"),
    "number for text": ("family: a", "family: §5", "must be text (quote it"),
    "list for a mapping": ("{input: 0.1, output: 0.5}", "§[0.1, 0.5]", "must be a mapping"),
    "mapping for a list": ("supports: [tools]", "supports: §{tools: 1}", "must be a list"),
    "bare duration": ("first_token: 10s", "first_token: §10", "write '10s'"),
    "unknown unit": ("total: 60s", "total: §60sec", "is not a duration"),
    "no time at all": ("total: 60s", "total: §0s", "must be greater than 0"),
    "count": ("context: 128k", "context: §128K", "is not a count"),
    "fraction of a request": ("requests: 30,", "requests: §0.5,", "is not a count"),
    "no requests": ("requests: 30,", "requests: §0,", "is not a count"),
    "negative price": ("input: 0.1", "input: §-0.1", "at least 0"),
    "council of nine": ("council_size: 1,", "council_size: §9,", "at most 8"),
    "reset time": ('resets: "00:00 UTC"', 'resets: §"24:00 UTC"', "is not a reset time"),
    "time zone": ('resets: "00:00 UTC"', 'resets: §"00:00 Europe/Berlyn"', "is not a time zone"),
    "reset of a minute": ("{requests: 30, per: minute}", '§{requests: 30, per: minute, resets: "00:00 UTC"}', "rolls"),
    "limit of nothing": ("{requests: 30, per: minute}", "§{per: minute}", "exactly one of"),
    "limit of two things": ("{requests: 30,", "§{requests: 30, tokens: 5,", "exactly one of"),
    "literal key": ("${GROQ_API_KEY}", "§gsk_literal", "a literal key is refused"),
    "key around a reference": ("${GROQ_API_KEY}", '§"Bearer ${GROQ_API_KEY}"', "a literal key is refused"),
    "key as a default": ("${GROQ_API_KEY}", "§${GROQ_API_KEY:-sk-abcdef}", "looks like a real key"),
    "stray reference": ("family: a", 'family: §"${FAMILY}"', "only in api_key and base_url"),
    "malformed reference": ("http://127.0.0.1:11434/v1", "§http://${1X}/v1", "a reference is written"),
    "no models": ("{tier: {cheap: 2, complex: 5}}", "{tier: §{}}", "a tier's name"),
    "provider's name": ("  local:", "  §Local:", "'Local' must be a short name"),
    "model's id": ("      tiny:", '      §"ti ny":', "without spaces"),
    "capability": ("[tools]", "[§tool-use]", "words of letters"),
    "path of a quirk": ("enabled: true", "quirks: {path: §chat}", "must be a path such as"),
    "header of a quirk": ("enabled: true", "quirks: {auth_header: §x key}", "name of an HTTP header"),
    "hedge's begin": ("council: {chair: complex}", "single-query: {hedge: {after: §3x}}", "such as 3x p95"),
    "hedge's budget": (
        "council: {chair: complex}",
        "single-query: {hedge: {after: 3x p95, budget: §200%}}",
        "a percentage such as 2%",
    ),
    "hedge of a vote": ("council: {chair: complex}", "majority-vote: {§hedge: {after: 3x p95}}", "unknown key 'hedge'"),
    "pointer into JSON": ("council: {chair: complex}", "majority-vote: {ignore: [§id]}", "JSON pointers such as /id"),
    # what refers to what
    "escalation to nowhere": (
        "council: {chair: complex}",
        "majority-vote: {escalate: §complx/council}",
        "'complx' is neither a tier nor a strategy, did you mean 'complex'?",
    ),
    "escalation to itself": (
        "council: {chair: complex}",
        "majority-vote: {escalate: §complex/majority-vote}",
        "cannot escalate to another vote",
    ),
    "unknown wording": (
        "council: {chair: complex}",
        "synthesize-best: {prompts: {§synthesise: Fuse.}}",
        "did you mean 'synthesize'?; there are synthesize",
    ),
    "unknown default tier": ("tier: cheap}\ntiers", "tier: §cheep}\ntiers", "did you mean 'cheap'?"),
    "unknown tier of a model": ("tier: complex\n", "tier: §complx\n", "did you mean 'complex'?"),
    "unknown tier in a map": ("{cheap: 2, complex: 5}", "{cheap: 2, §komplex: 5}", "did you mean 'complex'?"),
    "unknown chair": ("chair: complex", "chair: §compleks", "no tier is called 'compleks', did you mean 'complex'?"),
    "unknown adapter": ("adapter: groq", "adapter: §grok", "no adapter is called 'grok', did you mean 'groq'?"),
    "unknown successor": ("replaced_by: small", "replaced_by: §smal", "did you mean 'small'?"),
    "its own successor": ("replaced_by: small", "replaced_by: §large", "in a circle"),
    "rank twice": ("{tier: {cheap: 2, complex: 5}}", "{tier: {cheap: 2, complex: 5}, §rank: 1}", "given twice"),
    "same limit twice": (
        '{requests: 1000, per: day, resets: "00:00 UTC"}',
        "§{requests: 5, per: minute}",
        "a second limit",
    ),
    "account below a model": (
        "supports: [tools]",
        "limits: [{requests: 5, per: day, scope: §account}]",
        "move it up to the provider's limits",
    ),
    "tier without models": ("tiers:\n", "tiers:\n  §spare: {total: 60s}\n", "no model belongs to tier 'spare'"),
    "compatible without an address": (
        "  local:\n    adapter: compatible\n    base_url: http://127.0.0.1:11434/v1\n",
        "  §local:\n    adapter: compatible\n",
        "needs a base_url",
    ),
    "renaming at a native adapter": (
        "adapter: compatible",
        "adapter: anthropic\n    quirks: {§rename: {seed: s}}",
        "renames nothing",
    ),
    "plain http": ("http://127.0.0.1:11434/v1", "§http://api.example.com/v1", "must use https"),
    "metadata service": ("http://127.0.0.1:11434/v1", "§http://169.254.169.254/latest", "metadata"),
    "user name in the address": ("http://127.0.0.1:11434/v1", "§https://me@example.com/v1", "not allowed"),
}


def marked(text: str) -> tuple[str, int, int]:
    """The text without its mark, and the line and column where the mark stood."""
    before, _, after = text.partition("§")
    return before + after, before.count("\n") + 1, len(before) - before.rfind("\n")


def errors_of(text: str | bytes) -> list[str]:
    return [str(problem) for problem in examined(text).problems if problem.severity == "error"]


@pytest.mark.parametrize("name", BROKEN)
def test_one_fault_is_one_problem_at_its_place(name: str) -> None:
    old, new, fragment = BROKEN[name]
    text, line, col = marked(changed((old, new)))
    checked = examined(text)
    errors = [problem for problem in checked.problems if problem.severity == "error"]
    assert [(error.path, error.line, error.col) for error in errors] == [("r.yaml", line, col)], errors
    assert fragment in errors[0].message
    assert checked.registry is None


def test_all_faults_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = changed(
        ("first_token: 10s", "first_token: 10"),
        ("chair: complex", "chair: komplex"),
        ("adapter: groq", "adapter: grok"),
        ("${GROQ_API_KEY}", "gsk_literal"),
        ("enabled: true", "enabled: no"),
    )
    assert errors_of(text) == [
        "r.yaml:4:41: error: 'first_token': 10 needs a unit: write '10s' (or ms, m, h, d)",
        "r.yaml:9:20: error: no tier is called 'komplex', did you mean 'complex'?",
        "r.yaml:12:14: error: no adapter is called 'grok', did you mean 'groq'?",
        "r.yaml:13:14: error: 'api_key': a literal key is refused: write ${VAR}, ${VAR:-default} or "
        "${file:/run/secrets/x}",
        "r.yaml:26:14: error: 'no' means false to some YAML readers: write \"no\" in quotes, or false",
    ]


def test_columns_count_characters_not_bytes() -> None:
    assert errors_of(changed(("family: a", 'family: "größe", weight: x')))[0].startswith(
        "r.yaml:18:62: error: 'weight'"
    )


@pytest.mark.parametrize("name", ["auto", "council", "groq"])
def test_a_tier_may_not_take_a_name_that_requests_use_otherwise(name: str) -> None:
    text = GOOD.replace("cheap", name)
    assert len(errors_of(text)) == 1
    assert f"'{name}'" in errors_of(text)[0]


def test_nothing_enabled_is_nothing_to_route_to() -> None:
    text = changed(
        ("enabled: true", "enabled: false"), ("    adapter: groq\n", "    adapter: groq\n    enabled: false\n")
    )
    assert errors_of(text) == ["r.yaml:10:1: error: no provider is enabled: there is nothing to route to"]


def test_a_circle_of_successors_is_found_at_each_of_its_models() -> None:
    text = changed(("supports: [tools]", "replaced_by: large"))
    assert [error.split(": ")[0] for error in errors_of(text)] == ["r.yaml:18:110", "r.yaml:22:22"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "r.yaml:1:1: error: the file must be a mapping that begins with 'version: 1'"),
        (b"# nothing yet\n", "r.yaml:1:1: error: the file must be a mapping that begins with 'version: 1'"),
        (b"- a\n- b\n", "r.yaml:1:1: error: the file must be a mapping that begins with 'version: 1'"),
        (b"version: 1\n# caf\xe9\n", "r.yaml:2:6: error: is not UTF-8 here: save the file as UTF-8"),
        (b"version: 1\na: \x01\n", "r.yaml:2:4: error: character '\\x01' is not allowed in YAML"),
    ],
)
def test_what_is_no_registry_at_all(text: bytes, expected: str) -> None:
    assert errors_of(text) == [expected]


def test_a_flood_of_problems_is_cut_off() -> None:
    found = errors_of("version: 1\n" + "a: no\n" * 1000)
    assert len(found) <= 102
    assert "more than 100 problems" in found[-1]
