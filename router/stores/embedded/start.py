"""Starts Postgres and Valkey servers in the data folder, for a laptop, a test, or a single machine.

One rule: a server runs as long as any process holds the lock beside its folder. The first process starts it under a
supervisor (see `leash`), later ones share it, and it stops when the last one has gone, by `stop` or by kill -9. No TCP
port is opened.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import stat
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from router.stores.embedded import leash, servers
from router.stores.embedded.processes import alive, ended, locked, open_lock, until
from router.stores.embedded.servers import Server, postgres_dsn, redis_url
from router.stores.errors import StoreError

__all__ = ["Embedded", "postgres_dsn", "redis_url", "start_embedded"]

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = leash.KILL_AFTER_S + 2.0
_LOG_MAX_BYTES = 1 << 20
_UNPRIVILEGED = "nobody"  # Postgres refuses to run as root
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}  # not the daemon's own, which holds provider keys


@dataclass(slots=True)
class Embedded:
    """The embedded servers this process uses, by address; None for one that was not asked for."""

    postgres_dsn: str | None = None
    redis_url: str | None = None
    _held: list[_Held] = field(default_factory=list, repr=False)

    async def stop(self) -> None:
        """Releases the servers, and waits for those that no other process uses to end."""
        held, self._held = self._held, []
        _raise_first(await asyncio.gather(*(_release(one) for one in held), return_exceptions=True))


@dataclass(frozen=True, slots=True)
class _Held:
    """A server in use: the descriptor of its lock file, and its leash's process id if the leash is our child."""

    server: Server
    lock: int
    leash: int | None = None


async def start_embedded(data_dir: Path, *, postgres: bool, redis: bool) -> Embedded:
    """Starts the servers asked for, concurrently, or joins those that already run in the same folder.

    Raises `StoreError` when one cannot be started; the other is then released.
    """
    wanted = [recipe(data_dir) for recipe, on in ((servers.postgres, postgres), (servers.valkey, redis)) if on]
    results = await asyncio.gather(*(_hold(server) for server in wanted), return_exceptions=True)
    embedded = Embedded(
        postgres_dsn(data_dir) if postgres else None,
        redis_url(data_dir) if redis else None,
        [result for result in results if isinstance(result, _Held)],
    )
    try:
        _raise_first(results)
    except BaseException:
        await embedded.stop()
        raise
    return embedded


def _raise_first(results: Iterable[object]) -> None:
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def _hold(server: Server) -> _Held:
    try:
        server.folder.parent.mkdir(parents=True, exist_ok=True)
        return await _join(server)
    except OSError as error:
        raise StoreError(f"the embedded {server.name} cannot use {server.folder}: {error.strerror or error}") from error


async def _join(server: Server) -> _Held:
    """Takes the server's lock, and starts the server if it does not run."""
    async with _only_starter(server):
        lock = open_lock(server.lock_file)
        try:
            if locked(lock, fcntl.LOCK_EX):  # no user and no leash: a server that still runs has lost its leash
                await _evict(server)
            else:
                await until(lambda: locked(lock, fcntl.LOCK_SH), _START_TIMEOUT_S, f"the last {server.name} to end")
                if await server.answers():
                    return _Held(server, lock)
                if _runs(_pid(server), server):  # a second server would corrupt its files
                    raise StoreError(f"the embedded {server.name} in {server.folder} is in use but does not answer")
            fcntl.flock(lock, fcntl.LOCK_SH)
            return _Held(server, lock, await _launch(server))
        except BaseException:
            os.close(lock)
            raise


async def _release(held: _Held) -> None:
    name, pid = held.server.name, _pid(held.server)
    # The exclusive lock is refused while others use the server, but also when the leash was quicker to take it.
    last = locked(held.lock, fcntl.LOCK_EX) or not locked(held.lock, fcntl.LOCK_SH)
    os.close(held.lock)
    if last:
        await until(lambda: not alive(pid), _STOP_TIMEOUT_S, f"{name} to end")
        await until(lambda: ended(held.leash), _STOP_TIMEOUT_S, f"the leash of {name} to end")


@contextlib.asynccontextmanager
async def _only_starter(server: Server) -> AsyncIterator[None]:
    descriptor = open_lock(server.lock_file.with_suffix(".starting"))
    try:
        await until(lambda: locked(descriptor, fcntl.LOCK_EX), 2 * _START_TIMEOUT_S, f"another start of {server.name}")
        yield
    finally:
        os.close(descriptor)


# --- leftovers of an earlier run -------------------------------------------------------------------------------------


async def _evict(server: Server) -> None:
    """Removes what a killed run left behind: a server without a leash, its pid file, its socket."""
    pid = _pid(server)
    if pid is not None and _runs(pid, server):
        for sign in (signal.SIGINT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, StoreError):
                os.kill(pid, sign)
                await until(lambda: not alive(pid), leash.KILL_AFTER_S, f"an orphaned {server.name} to end")
    server.pid_file.unlink(missing_ok=True)
    server.socket.unlink(missing_ok=True)


def _pid(server: Server) -> int | None:
    try:
        return int(server.pid_file.read_text().partition("\n")[0])
    except (OSError, ValueError):
        return None


def _runs(pid: int | None, server: Server) -> bool:
    """Whether that process is this server; the kernel may have reused the process id."""
    try:
        return bytes(server.folder) in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


# --- starting --------------------------------------------------------------------------------------------------------


async def _launch(server: Server) -> int:
    """Starts the server under its leash and waits until it answers; returns the leash's process id."""
    _bounded_log(server.log_file)
    user = _user(server.folder)
    if server.initdb is not None and not server.folder.exists():
        await _initialise(server, server.initdb, user)
    _private_folder(server.folder, user)
    _private_folder(server.socket.parent, user)
    leash_pid = _spawn(server, _on_leash(server, server.folder, user, str(server.program), *server.arguments))

    async def ready() -> bool:
        if ended(leash_pid):
            raise StoreError(_failure(server))
        return server.socket.exists() and await server.answers()

    await until(ready, _START_TIMEOUT_S, f"{server.name} to start")
    return leash_pid


async def _initialise(server: Server, initdb: tuple[str, ...], user: tuple[int, int]) -> None:
    """Initialises a folder under another name and renames it, so that an interrupted first start leaves no half one."""
    new = server.folder.with_name(f"{server.folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    _private_folder(new, user)
    command = _on_leash(server, new, user, *initdb)
    with server.log_file.open("ab") as log:
        process = await asyncio.create_subprocess_exec(*command, env=_ENVIRONMENT, stdout=log, stderr=log)
    if await process.wait():  # no time-out: initdb ends by itself
        raise StoreError(_failure(server))
    new.rename(server.folder)


def _on_leash(server: Server, folder: Path, user: tuple[int, int], *command: str) -> list[str]:
    where = (str(server.lock_file), str(folder), *map(str, user))
    return [sys.executable, "-I", "-S", leash.__file__, *where, *command]


def _spawn(server: Server, command: list[str]) -> int:
    """Starts a command whose output goes to the server's log; returns its process id."""
    return os.posix_spawn(
        command[0],
        command,
        _ENVIRONMENT,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(server.log_file), os.O_WRONLY | os.O_APPEND, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )


def _bounded_log(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    if os.fstat(descriptor).st_size > _LOG_MAX_BYTES:
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


def _failure(server: Server) -> str:
    lines = server.log_file.read_bytes()[-2_000:].decode(errors="replace").splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")
    return f"the embedded {server.name} did not start ({server.log_file}): {last}"


# --- folders and users -----------------------------------------------------------------------------------------------


def _user(folder: Path) -> tuple[int, int]:
    """The uid and gid that run the server: our own or, for root, those of the folder's owner or of `nobody`."""
    if os.geteuid() != 0:
        return os.geteuid(), os.getegid()
    if folder.exists() and folder.stat().st_uid != 0:
        return folder.stat().st_uid, folder.stat().st_gid
    try:
        unprivileged = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        raise StoreError(
            f"Quorum runs as root, so the embedded servers run as the user {_UNPRIVILEGED}, which does not exist"
        ) from None
    return unprivileged.pw_uid, unprivileged.pw_gid


def _private_folder(folder: Path, user: tuple[int, int]) -> None:
    """Creates a folder that only the server's user can enter; raises `StoreError` if another user owns it already."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (user[0], os.geteuid()):
        raise StoreError(f"{folder} belongs to another user: remove it or choose another data folder")
    folder.chmod(0o700)
    if os.geteuid() == 0:
        os.chown(folder, *user)
