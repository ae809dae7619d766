"""The pages for developers name files, symbols and rooms that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT

PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/glossary.md")
PACKAGES = ("adapters", "healthcheck", "router")
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
ROWS = re.findall(r"^\| (.+) \| `(.+)` \| `(.+)` \|$", ARCHITECTURE, re.MULTILINE)
PLACE = re.compile(rf"`((?:{'|'.join(PACKAGES)}|bench|deploy|docs|tests)/[\w./-]*)`")
LINK = re.compile(r"\]\(([^)#:]+)\)")


def symbols(file: str) -> Iterator[str]:
    """The names that a module defines, and `Class.method` for those of its classes."""
    for node in ast.parse((ROOT / file).read_text()).body:
        yield from _named(node)
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{name}" for each in node.body for name in _named(each))


def _named(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    yield from (target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize(("question", "file", "symbol"), ROWS, ids=[question for question, _, _ in ROWS])
def test_what_is_asked_for_is_where_the_page_says(question: str, file: str, symbol: str) -> None:
    assert symbol in set(symbols(file))


def test_the_page_answers_what_a_newcomer_asks() -> None:
    assert len(ROWS) >= 30


def test_the_phases_name_files_that_exist() -> None:
    [phases] = re.findall(r"^```\n(.*?)^```", ARCHITECTURE, re.DOTALL | re.MULTILINE)
    files = [f"/{file.relative_to(ROOT)}" for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    named = re.findall(r"[\w/]+\.py", phases)
    assert len(named) > 10
    assert [name for name in named if not any(file.endswith(f"/{name}") for file in files)] == []


def test_every_room_is_on_the_page() -> None:
    rooms = {f"router/{each.parent.name}/" for each in (ROOT / "router").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(router/\w+/)` \|", ARCHITECTURE, re.MULTILINE)) == rooms


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_points_to_exists(page: str) -> None:
    text, folder = (ROOT / page).read_text(), (ROOT / page).parent
    assert [place for place in PLACE.findall(text) if not (ROOT / place).exists()] == []
    assert [link for link in LINK.findall(text) if not (folder / link).exists()] == []
