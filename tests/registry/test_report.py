"""The result of a check as text, as JSON and as GitHub annotations."""

from __future__ import annotations

import orjson

from router.registry.load import Checked
from router.registry.problems import Problem
from router.registry.report import render
from tests.registry.good import GOOD, changed, examined, loaded


def test_text_is_a_line_per_problem_and_a_summary() -> None:
    assert render(examined(GOOD)) == (
        f"ok: 2 providers, 3 models, tiers cheap, complex; registry {loaded().short_hash}"
    )
    assert render(examined(GOOD, {})).endswith("; 1 note")
    assert render(examined(changed(("enabled: true", "enabld: true")))).splitlines() == [
        "r.yaml:26:5: error: unknown key 'enabld', did you mean 'enabled'?",
        "not usable: 1 error",
    ]


def test_json_is_for_programs() -> None:
    broken = orjson.loads(render(examined(changed(("version: 1", "version: 2"))), "json"))
    assert broken == {
        "ok": False,
        "hash": None,
        "problems": [
            {
                "path": "r.yaml",
                "line": 1,
                "col": 10,
                "severity": "error",
                "message": "'version' cannot be '2'; allowed: 1",
            }
        ],
    }
    assert orjson.loads(render(examined(GOOD), "json"))["hash"] == loaded().hash


def test_github_annotations_are_escaped() -> None:
    problem = Problem("a,b.yaml", 3, 7, "note", "100% of\nit")
    assert render(Checked((problem,)), "github") == "::notice file=a%2Cb.yaml,line=3,col=7::100%25 of%0Ait"
