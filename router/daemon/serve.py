"""Runs the daemon in this process until a signal ends it: `quorum serve`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import uvloop

from router.core.settings import LOOPBACK_HOSTS, Settings, SettingsError
from router.daemon.app import Daemon
from router.daemon.resources import collect_garbage_seldom, raise_file_limit


def serve(
    settings: Settings,
    env: Mapping[str, str],
    announce: Callable[[str], None],
    *,
    shared_port: bool = False,
    until: int | None = None,
) -> None:
    """Runs the daemon; calls `announce` with its URL when it is ready. Raises `SettingsError` and `RegistryError`.

    With `shared_port`, other processes may listen on the same port (SO_REUSEPORT). `until` is a file descriptor; the
    daemon also stops when it becomes readable, which for a process sentinel means that the process has ended.
    """
    refuse_open_bind(settings)
    raise_file_limit()
    daemon = Daemon(settings, shared_port=shared_port)

    async def work(stopped: asyncio.Event) -> None:
        if until is not None:
            asyncio.get_running_loop().add_reader(until, stopped.set)
        async with daemon.running(env):
            collect_garbage_seldom()
            announce(daemon.url)
            await stopped.wait()

    run_until_stopped(work, daemon)


def run_until_stopped(work: Callable[[asyncio.Event], Awaitable[None]], daemon: Daemon | None) -> None:
    """Runs `work` on an event loop; SIGINT or SIGTERM sets the event it is given, a second signal cancels it."""

    async def main() -> None:
        loop, task, stopped = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()
        assert task is not None

        def stop() -> None:
            if stopped.is_set() or (daemon is not None and not daemon.url):
                task.cancel()  # a second signal, or one before the daemon is ready: no request needs to be drained
            stopped.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        if daemon is not None:
            loop.add_signal_handler(signal.SIGHUP, lambda: daemon.nudge() if daemon.url else None)
        await work(stopped)

    with suppress(asyncio.CancelledError):
        uvloop.run(main())


def refuse_open_bind(settings: Settings) -> None:
    """Raises `SettingsError` for an address beyond loopback, where anybody could spend the providers' keys."""
    if settings.host not in LOOPBACK_HOSTS and not settings.insecure:
        raise SettingsError(
            f"callers need no key, so listening on {settings.host} is refused: "
            "use QUORUM_HOST=127.0.0.1, or set QUORUM_INSECURE=1 if a proxy or firewall guards the port"
        )
