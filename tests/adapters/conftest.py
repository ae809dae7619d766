"""Counts what the recorded traffic gave, and shows it at the end of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

COUNTS = pytest.StashKey[Counter[tuple[str, str]]]()


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Notes that a recording of a provider was parsed as a `whole`, a `stream` or an `error`."""
    counts = request.config.stash.setdefault(COUNTS, Counter())

    def note(provider: str, what: str) -> None:
        counts[provider, what] += 1

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    counts = config.stash.get(COUNTS, Counter())
    if not counts:
        return
    terminalreporter.section("recorded traffic")
    columns = ("whole", "stream", "error")
    terminalreporter.write_line(f"{'provider':<14}" + "".join(f"{name:>8}" for name in columns))
    for provider in sorted({provider for provider, _ in counts}):
        row = "".join(f"{counts[provider, name]:>8}" for name in columns)
        terminalreporter.write_line(f"{provider:<14}{row}")
