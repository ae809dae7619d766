"""Hot reload: which files are swapped in and when, and what editors, ConfigMaps and impatient operators do to it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from router.registry.load import Checked, check
from router.registry.problems import RegistryError
from router.registry.watch import RegistryHolder, ReloadResult, Watcher
from tests.registry.good import ADAPTERS, ENV, GOOD, changed

BETTER = changed(("rank: 1, family", "rank: 3, family"))
BROKEN = changed(("enabled: true", "enabled: no"))


class Site:
    """A registry file, its holder and watcher, and the results of its reloads in order."""

    def __init__(self, path: Path, holder: RegistryHolder, results: list[ReloadResult]) -> None:
        self.path, self.holder, self.results = path, holder, results
        self.watcher = Watcher(holder, str(path))

    def rank(self) -> int:
        return self.holder.current.seats["groq/small"].rank

    def statuses(self) -> list[str]:
        return [result.status for result in self.results]

    async def polls(self, times: int = 2) -> list[str]:
        """The statuses of the reloads that so many polls lead to."""
        found = [await self.watcher.poll_once() for _ in range(times)]
        return [result.status for result in found if result]

    def replace(self, text: str) -> None:
        """Saves as careful editors do: a new file, renamed over the old one."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.path)


def checker(path: Path) -> Callable[[], Checked]:
    return lambda: check(path, env=ENV, adapters=ADAPTERS)


@pytest.fixture(name="site")
async def _site(tmp_path: Path) -> AsyncIterator[Site]:
    path = tmp_path / "registry.yaml"
    path.write_text(GOOD)
    results: list[ReloadResult] = []
    holder = await RegistryHolder.open(checker(path), on_reload=results.append)
    site = Site(path, holder, results)
    await site.polls()
    results.clear()
    yield site
    await holder.close()


async def test_a_broken_file_at_the_start_is_fatal(tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text(BROKEN)
    with pytest.raises(RegistryError, match=r"registry\.yaml:26:14"):
        await RegistryHolder.open(checker(path))


async def test_a_saved_file_is_swapped_in_once_it_has_stood_still(site: Site) -> None:
    before = site.holder.current
    site.path.write_text(BETTER)
    assert await site.polls(1) == []
    assert await site.polls(1) == ["swapped"]
    assert await site.polls(5) == []
    assert (site.rank(), before.seats["groq/small"].rank) == (3, 1)
    assert site.results[0].changes == ("model groq/small: tiers cheap 1 → cheap 3",)
    assert site.results[0].registry is site.holder.current


async def test_a_bad_file_changes_nothing_and_is_shown_until_a_good_one_comes(site: Site) -> None:
    before = site.holder.current
    site.path.write_text(BROKEN)
    assert await site.polls(4) == ["failed"]
    assert site.holder.current is before
    assert [problem.line for problem in site.holder.last_error] == [26]
    site.path.write_text(GOOD)
    assert await site.polls() == ["unchanged"]
    assert site.holder.last_error == ()
    assert site.holder.current is before


async def test_a_file_that_is_still_being_written_is_not_read(site: Site) -> None:
    half = GOOD[: GOOD.index("  local:")]  # valid by itself: it would take a provider away
    for written in (half, half + "  lo", half + GOOD[len(half) : -20]):
        site.path.write_text(written)
        assert await site.polls(1) == []
    site.path.write_text(half)
    assert await site.polls(3) == []
    site.path.write_text(BETTER)
    assert await site.polls() == ["swapped"]
    assert "local" in site.holder.current.providers


async def test_a_file_that_stays_smaller_is_loaded(site: Site) -> None:
    site.path.write_text(GOOD[: GOOD.index("  local:")])
    assert await site.polls(5) == ["swapped"]
    assert set(site.holder.current.providers) == {"groq"}


async def test_renaming_a_new_file_over_the_old_one_is_seen(site: Site) -> None:
    site.replace(BETTER)
    assert await site.polls() == ["swapped"]


async def test_a_swapped_symlink_is_seen(site: Site) -> None:
    """As Kubernetes does for a ConfigMap: registry.yaml → ..data/registry.yaml, and ..data is swapped."""
    folder = site.path.parent
    for name, text in (("v1", GOOD), ("v2", BETTER)):
        (folder / name).mkdir()
        (folder / name / "registry.yaml").write_text(text)
    (folder / "..data").symlink_to("v1")
    site.path.unlink()
    site.path.symlink_to("..data/registry.yaml")
    assert await site.polls() == ["unchanged"]
    (folder / "..new").symlink_to("v2")
    (folder / "..new").replace(folder / "..data")
    assert await site.polls() == ["swapped"]


async def test_an_edit_that_keeps_size_and_date_is_seen(site: Site) -> None:
    before = site.path.stat()
    site.path.write_text(BETTER)
    os.utime(site.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert site.path.stat().st_size == before.st_size
    assert await site.polls() == ["swapped"]


async def test_a_file_that_is_gone_is_an_error_and_its_return_is_seen(site: Site) -> None:
    site.path.unlink()
    assert await site.polls(4) == ["failed"]
    assert "No such file" in site.holder.last_error[0].message
    site.path.write_text(BETTER)
    assert await site.polls() == ["swapped"]


async def test_a_nudge_reloads_at_the_next_poll_once(site: Site) -> None:
    for _ in range(1000):
        site.watcher.nudge()
    assert await site.polls(3) == ["unchanged"]


async def test_a_rotated_secret_file_is_taken_up_on_a_nudge(site: Site) -> None:
    secret = site.path.with_name("secret")
    secret.write_text("first")
    site.path.write_text(changed(("${GROQ_API_KEY}", f"${{file:{secret}}}")))
    await site.polls()
    secret.write_text("second")
    site.watcher.nudge()
    assert await site.polls(1) == ["swapped"]
    assert site.results[-1].changes == ("provider groq: another api_key",)
    key = site.holder.current.providers["groq"].api_key
    assert key is not None
    assert key.reveal() == "second"


async def test_a_flood_of_reloads_is_read_twice_at_most(site: Site) -> None:
    results = await asyncio.gather(*(site.holder.reload() for _ in range(1000)))
    assert {result.status for result in results} == {"unchanged"}
    assert len(site.results) <= 2


async def test_a_reload_after_a_save_never_reads_the_older_file(site: Site) -> None:
    early = asyncio.create_task(site.holder.reload())
    await asyncio.sleep(0)
    site.path.write_text(BETTER)
    assert (await site.holder.reload()).registry.seats["groq/small"].rank == 3
    await early


async def test_a_caller_that_leaves_does_not_stop_the_reload(site: Site) -> None:
    site.path.write_text(BETTER)
    leaver = asyncio.create_task(site.holder.reload())
    stayer = asyncio.create_task(site.holder.reload())
    await asyncio.sleep(0)
    leaver.cancel()
    assert (await stayer).status == "swapped"


async def test_a_check_that_hangs_is_given_up_and_not_started_twice(tmp_path: Path) -> None:
    good, release, started = checker(tmp_path / "r.yaml"), threading.Event(), []
    (tmp_path / "r.yaml").write_text(GOOD)

    def hanging() -> Checked:
        started.append(1)
        release.wait(30)
        return good()

    first = good().registry
    assert first is not None
    holder = RegistryHolder(first, hanging, limit_s=0.02)
    for _ in range(3):
        result = await holder.reload()
        assert (result.status, result.registry) == ("failed", first)
        assert "took longer" in result.problems[0].message
    assert len(started) == 1
    release.set()
    await holder.close()


async def test_a_check_that_breaks_leaves_the_registry_in_use(site: Site) -> None:
    def breaking() -> Checked:
        raise RecursionError("deep")

    holder = RegistryHolder(site.holder.current, breaking)
    result = await holder.reload()
    assert result.status == "failed"
    assert "RecursionError" in result.problems[0].message
    await holder.close()


async def test_requests_see_only_good_registries_under_constant_reloads(site: Site) -> None:
    """200 saves, every fifth broken, while requests read all the time: every registry they see is a good one."""
    served: set[int] = set()
    stop = asyncio.Event()

    async def serve() -> None:
        while not stop.is_set():
            registry = site.holder.current
            await asyncio.sleep(0)
            seat = registry.tiers["cheap"].seats[0]
            assert registry.seats[seat.id] is seat
            served.add(registry.seats["groq/small"].rank)

    async with asyncio.TaskGroup() as group:
        group.create_task(serve())
        for turn in range(200):
            text = GOOD.replace("rank: 1, family", f"rank: {turn}, family")
            site.replace(text.replace("enabled: true", "enabled: no") if turn % 5 == 4 else text)
            await site.polls()
            assert site.rank() == (turn - 1 if turn % 5 == 4 else turn)
        stop.set()
    assert site.statuses() == ["swapped", "swapped", "swapped", "swapped", "failed"] * 40
    assert len(served) > 100
    assert not any(rank % 5 == 4 for rank in served)


async def test_the_watcher_polls_until_it_is_cancelled(site: Site) -> None:
    pauses: list[float] = []
    polled = asyncio.Event()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            polled.set()
        await asyncio.sleep(0)

    task = asyncio.create_task(Watcher(site.holder, str(site.path), poll_s=0.25, sleep=sleep).run())
    await asyncio.wait_for(polled.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pauses[:3] == [0.25] * 3
