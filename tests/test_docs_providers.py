"""The examples of the pages about providers work as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace
from typing import cast

import pytest

from adapters import Adapter
from adapters.errors import ErrorKind
from adapters.types import ChatRequest, Message, Secret, Target, Text
from router.registry.load import parse_registry
from tests.adapters.asking import body_of
from tests.support.paths import ROOT

DOCS = ROOT / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


EXAMPLES = [(page, text) for page in ("providers.md", "adding-a-provider.md") for text in blocks(page, "yaml")]


def title(example: tuple[str, str]) -> str:
    return f"{example[0]} {re.findall(r'^  (?=[^ {])([a-z]+):$', example[1], re.MULTILINE)}"


@pytest.mark.parametrize("example", EXAMPLES, ids=title)
def test_every_example_is_a_good_registry(example: tuple[str, str]) -> None:
    checked = parse_registry(example[1].encode(), example[0], env=None)
    assert checked.problems == ()
    assert checked.registry is not None
    [provider] = checked.registry.providers.values()
    assert provider.adapter == "compatible"


def test_there_is_an_example_for_each_endpoint() -> None:
    assert len(EXAMPLES) == 9


def test_the_dialect_of_the_page_is_an_adapter(tmp_path: Path) -> None:
    [source] = blocks("adding-a-provider.md", "python")
    file = tmp_path / "acme.py"
    file.write_text(source)
    acme = cast("Adapter", SimpleNamespace(**run_path(str(file))))

    target = Target("acme", "acme-think-1", "acme", acme.BASE_URL, Secret("k"))
    params = {"seed": 7, "temperature": 1.5, "stop": ["a"], "logit_bias": {}, "user": "ann"}
    request = ChatRequest((Message("user", (Text("Hello"),)),), params=params)
    body = body_of(acme.build_request(target, request, stream=False))
    assert {name: body[name] for name in ("random_seed", "temperature", "user")} == {
        "random_seed": 7, "temperature": 1, "user": "ann",
    }  # fmt: skip
    assert acme.dropped_params(target, request) == {"stop", "logit_bias"}
    spent = acme.parse_error(403, {}, b'{"error": {"code": "daily_budget", "message": "Until tomorrow."}}')
    assert (spent.kind, spent.scope) == (ErrorKind.QUOTA_EXHAUSTED, "day")
