"""The simulator shares no code with the adapters or the router: it is written from the providers' documentation."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import router.simulator

HOME = Path(router.simulator.__file__).parent
ALLOWED = {*sys.stdlib_module_names, "aiohttp", "orjson"}


def imported(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name} imports relatively"
            found.add(node.module or "")
    return found


def test_imports_nothing_of_the_router_or_the_adapters() -> None:
    files = list(HOME.rglob("*.py"))
    assert len(files) > 15
    for file in files:
        strangers = {
            name
            for name in imported(file)
            if not name.startswith("router.simulator") and name.split(".")[0] not in ALLOWED
        }
        assert not strangers, f"{file.relative_to(HOME)} imports {', '.join(sorted(strangers))}"


def test_is_no_http_client() -> None:
    for file in HOME.rglob("*.py"):
        assert "ClientSession" not in file.read_text()
