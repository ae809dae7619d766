"""Loads a registry: reads, parses, checks and builds it, or reports every problem at once, each with its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from router.core.registry import Registry
from router.registry import consistency
from router.registry.accounts import Account, open_account
from router.registry.build import build
from router.registry.consistency import Adapters
from router.registry.document import Document
from router.registry.files import read_regular
from router.registry.placeholders import Lookup, environment, nowhere
from router.registry.problems import Finding, Problem, RegistryError
from router.registry.shape import read_document
from router.registry.strict_yaml import Tree, read_yaml

MAX_FILE_BYTES = 256 * 1024

Rebase = Callable[[str, str], str]
"""(provider id, base URL) → the base URL to use instead."""

Advise = Callable[[Document], Iterable[Finding]]
"""Findings that need more than the file, such as public prices or the providers themselves."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of a check: all problems in the order of the file, and the registry if none of them is an error."""

    problems: tuple[Problem, ...]
    registry: Registry | None = None


def load_registry(
    path: str | os.PathLike[str],
    *,
    env: Mapping[str, str],
    adapters: Adapters | None = None,
    rebase: Rebase | None = None,
) -> Registry:
    """The registry in a file; raises `RegistryError` with every problem if one of them is an error.

    `env` holds the variables that keys and base URLs refer to. `adapters` maps each adapter to its public base URL
    (default: all of ours). `rebase` may replace each provider's base URL, for instance by a simulator's.
    """
    checked = check(path, env=env, adapters=adapters, rebase=rebase)
    if checked.registry is None:
        raise RegistryError(checked.problems)
    return checked.registry


def check(
    path: str | os.PathLike[str],
    *,
    env: Mapping[str, str] | None,
    adapters: Adapters | None = None,
    rebase: Rebase | None = None,
    advise: Advise | None = None,
) -> Checked:
    """Checks a registry file; a file that cannot be read is one of the problems, nothing is raised.

    With `env` None no variable and no secret file is looked up, and notes are left out.
    """
    source = os.fspath(path)
    try:
        text = _read_file(source)
    except ValueError as error:
        return Checked((Problem(source, 1, 1, "error", str(error)),))
    return parse_registry(text, source, env=env, adapters=adapters, rebase=rebase, advise=advise)


def parse_registry(
    text: bytes,
    source: str,
    *,
    env: Mapping[str, str] | None,
    adapters: Adapters | None = None,
    rebase: Rebase | None = None,
    advise: Advise | None = None,
) -> Checked:
    """Checks the text of a registry, as `check` does; `source` is the file name its problems show."""
    known = public_adapters() if adapters is None else adapters
    tree = read_yaml(text, source)
    document, accounts = _examine(tree, known, nowhere if env is None else environment(env))
    if document is not None and advise is not None:
        tree.add(advise(document))
    problems = tuple(sorted(problem for problem in set(tree.problems) if env is not None or problem.severity != "note"))
    if document is None or any(problem.severity == "error" for problem in problems):
        return Checked(problems)
    if rebase:
        accounts = {
            name: replace(account, base_url=rebase(name, account.base_url)) for name, account in accounts.items()
        }
    registry = build(document, tree.data, accounts, source)
    return Checked(problems, replace(registry, warnings=tuple(problem.message for problem in problems)))


def public_adapters() -> Adapters:
    """Every adapter of ours with its public base URL."""
    from adapters import ADAPTERS

    return {name: adapter.BASE_URL for name, adapter in ADAPTERS.items()}


def _read_file(path: str) -> bytes:
    try:
        return read_regular(path, max_bytes=MAX_FILE_BYTES)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def _examine(tree: Tree, adapters: Adapters, lookup: Lookup) -> tuple[Document | None, dict[str, Account]]:
    """Runs every check that the tree is fit for; findings are added to the tree's problems."""
    if not tree.usable:
        return None, {}
    if not isinstance(tree.data, dict):
        tree.problem(tree.at(()), "the file must be a mapping that begins with 'version: 1'")
        return None, {}
    tree.add(consistency.stray_references(tree.data))
    document, whole = read_document(tree)
    if document is None:
        return None, {}
    tree.add(consistency.references(document, adapters))
    if whole and not tree.broken:
        tree.add(consistency.completeness(document, adapters))
    accounts = {}
    for name, provider in document.providers.items():
        accounts[name], findings = open_account(name, provider, adapters.get(provider.adapter, ""), lookup)
        tree.add(findings)
    return document, accounts
