"""Pins every dependency to one version and to the hashes of the files that may be installed.

    python deploy/lock.py write                      the newest versions pyproject.toml allows (`make lock`)
    python deploy/lock.py check                      whether the locks hold what pyproject.toml asks for (`make lint`)
    python deploy/lock.py install NAME [OPTION ...]  what deploy/locks/NAME.txt holds; pip's options

Only pip talks to the index: its dry run names, for each platform, the file it would install and that file's hash.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "deploy" / "locks"
DISTRIBUTION = "quorum-router"
SECOND_SDK = "openai>=2,<3"  # many frameworks still resolve to it; `make install` lays it beside version 3
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# The platforms whose files a lock holds, with the tags of the wheels that suit them. On others its versions hold alone.
PLATFORMS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("linux", "x86_64"): ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    ("linux", "aarch64"): ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
    ("darwin", "arm64"): ("macosx_11_0_arm64",),
}
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
PIN = re.compile(r"^(\S+)==(\S+)", re.MULTILINE)
HEADER = """\
# Written by `make lock`, for {pythons} on {platforms}.
# Installed by `python deploy/lock.py install {name}`. Do not edit: change pyproject.toml, then run `make lock`.
"""


class Target(NamedTuple):
    """A machine that a lock is for."""

    python: str
    system: str
    machine: str

    def options(self) -> list[str]:
        """How pip is told to choose files for this machine instead of its own."""
        tags = (f"--platform={tag}" for tag in PLATFORMS[self.system, self.machine])
        return [f"--python-version={self.python}", *tags, "--only-binary=:all:", "--target=unused"]

    def environment(self, extra: str) -> dict[str, str]:
        """The variables that a requirement's marker may ask for."""
        return {
            "extra": extra,
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": self.system.capitalize(),
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": self.system,
        }


TARGETS = tuple(Target(python, *where) for where in PLATFORMS for python in PYTHONS)


class Package(NamedTuple):
    """One version of a distribution: what it needs, and the hashes of its files."""

    version: str
    requires: tuple[str, ...]
    hashes: frozenset[str]


Packages = dict[str, Package]


def roots() -> dict[str, tuple[str, ...]]:
    """What each lock is asked to hold, by its name; a later lock of this project contains the earlier ones."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras: Mapping[str, list[str]] = project["project"]["optional-dependencies"]
    runtime = (*project["project"]["dependencies"], *extras["embedded"])
    build = tuple(project["build-system"]["requires"])
    dev = (each for extra in extras.values() for each in extra if not each.startswith(DISTRIBUTION))
    return {"runtime": runtime, "build": build, "dev": (*runtime, *build, *dev), "openai-2": (SECOND_SDK,)}


def dry_run(requirements: Iterable[str], options: Iterable[str] = ()) -> Packages:
    """The files pip would install, as its report describes them."""
    with tempfile.TemporaryDirectory() as folder:
        asked, report = Path(folder, "asked.txt"), Path(folder, "report.json")
        asked.write_text("\n".join(requirements))
        common = (
            "install",
            "-qq",
            "--dry-run",
            "--ignore-installed",
            f"--report={report}",
            f"--requirement={asked}",
        )
        subprocess.run((*PIP, *common, *options), check=True, cwd=folder)
        chosen: list[dict[str, Any]] = json.loads(report.read_text())["install"]
    return {
        normal(each["metadata"]["name"]): Package(
            each["metadata"]["version"],
            tuple(each["metadata"].get("requires_dist", ())),
            frozenset({each["download_info"]["archive_info"]["hashes"]["sha256"]}),
        )
        for each in chosen
    }


def normal(name: str) -> str:
    """A distribution's name in the form in which two spellings of it are equal."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(asked: Iterable[str], found: Packages, target: Target) -> Iterator[tuple[str, str]]:
    """The names that a target needs, each with a requirement that asks for it; `found` may lack some of them."""
    from packaging.requirements import Requirement

    seen: set[tuple[str, str]] = set()
    queue = [(text, "") for text in asked]
    while queue:
        text, extra = queue.pop()
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate(target.environment(extra)):
            continue
        name = normal(requirement.name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                queue += [(each, wanted) for each in (found[name].requires if name in found else ())]
                yield name, text.partition(";")[0]


def resolve(asked: Iterable[str]) -> Packages:
    """One version of everything that any target needs, with the hashes for all targets.

    pip reads markers as if for the Python that runs it. What only other targets need is asked for by name and added.
    """
    asked = list(asked)
    while True:
        found = dry_run(asked)
        lacking = {text for target in TARGETS for name, text in needed(asked, found, target) if name not in found}
        if not lacking:
            break
        asked += sorted(lacking)
    pins = [f"{name}=={package.version}" for name, package in found.items()]
    with ThreadPoolExecutor(2) as pool:
        reports = pool.map(partial(dry_run, pins), (["--no-deps", *target.options()] for target in TARGETS))
        for report in reports:
            for name, package in report.items():
                found[name] = found[name]._replace(hashes=found[name].hashes | package.hashes)
    return found


def write(name: str, asked: Iterable[str], found: Packages) -> None:
    """Writes the lock of one set of requirements."""
    held = sorted({each for target in TARGETS for each, _ in needed(asked, found, target)})
    header = HEADER.format(
        name=name,
        pythons=f"Python {PYTHONS[0]} to {PYTHONS[-1]}",
        platforms=", ".join(f"{system} {machine}" for system, machine in PLATFORMS),
    )
    entries = (
        f"{each}=={found[each].version}"
        + "".join(f" \\\n    --hash=sha256:{one}" for one in sorted(found[each].hashes))
        for each in held
    )
    (LOCKS / f"{name}.txt").write_text(header + "\n".join(entries) + "\n")
    print(f"deploy/locks/{name}.txt: {len(held)} packages")


def lock() -> None:
    """Resolves and writes all locks; the project's own share one version of everything."""
    asked = roots()
    project, sdk = resolve(asked["dev"]), resolve(asked["openai-2"])
    for name, requirements in asked.items():
        write(name, requirements, sdk if name == "openai-2" else project)


def check() -> list[str]:
    """What pyproject.toml asks for and a lock does not hold, in sentences."""
    from packaging.requirements import Requirement

    def unmet(name: str, asked: Iterable[str]) -> Iterator[str]:
        pins = {normal(each): version for each, version in PIN.findall((LOCKS / f"{name}.txt").read_text())}
        for requirement in map(Requirement, asked):
            pin = pins.get(normal(requirement.name))
            if pin is None or pin not in requirement.specifier:
                yield f"deploy/locks/{name}.txt has {pin or 'no'} {requirement.name}, and {requirement} is asked for"

    return [sentence for name, asked in roots().items() for sentence in unmet(name, asked)]


def install(name: str, options: list[str]) -> int:
    """Installs a lock with this Python's pip; on a platform that the lock is not for, its versions without hashes."""
    file = LOCKS / f"{name}.txt"
    here = Target(".".join(platform.python_version_tuple()[:2]), sys.platform, platform.machine())
    if here in TARGETS:
        return pip("--require-hashes", "--only-binary=:all:", f"--requirement={file}", *options)
    print(f"deploy/locks/{name}.txt has no hashes for {' '.join(here)}: its versions are installed without them.")
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder, "pins.txt")
        pins.write_text("".join(f"{each}=={version}\n" for each, version in PIN.findall(file.read_text())))
        return pip(f"--constraint={pins}", *roots()[name], *options)


def pip(*arguments: str) -> int:
    """Runs `pip install`; only its errors are shown."""
    return subprocess.run((*PIP, "install", "-qq", *arguments), check=False).returncode


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write"]:
            lock()
        case ["check"]:
            if problems := check():
                sys.exit("\n".join([*problems, "Run `make lock`."]))
        case ["install", name, *options] if name in roots():
            sys.exit(install(name, options))
        case _:
            sys.exit(__doc__)
