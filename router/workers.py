"""Several daemons on one port: `quorum serve --workers N`. The parent starts them, replaces lost ones, and ends them.

The kernel spreads connections over the workers. They share the stores and nothing else, like replicas on one machine.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from typing import Any

from router.serving import refuse, serve
from router.settings import Settings, SettingsError

_AGAIN_S = 1.0  # before a lost worker is replaced, so that one that cannot live does not spin
_FORK = multiprocessing.get_context("fork")  # nothing is running yet, and secrets need not be written down to be passed


def serve_many(settings: Settings, env: Mapping[str, str], announce: Callable[[str], None]) -> None:
    """Runs the workers until a signal ends them; `announce` gets the URL when all are ready."""
    refuse(settings)
    with _reserved(settings) as port:
        settings = replace(settings, port=port.getsockname()[1])
        workers = [_Worker(settings, env) for _ in range(settings.workers)]
        stopping = False

        def pass_on(number: signal.Signals) -> None:
            for worker in workers:
                worker.send(number)

        def stop(*_: Any) -> None:
            nonlocal stopping
            stopping = True
            pass_on(signal.SIGTERM)

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        signal.signal(signal.SIGHUP, lambda *_: pass_on(signal.SIGHUP))
        urls = [worker.url() for worker in workers]
        if not all(urls):
            stop()
        elif not stopping:
            announce(str(urls[0]))
        while living := [worker.process.sentinel for worker in workers if worker.process.is_alive()]:
            wait(living)
            for index, worker in enumerate(workers):
                if not worker.process.is_alive() and not stopping:
                    time.sleep(_AGAIN_S)
                    workers[index] = _Worker(settings, env)
        if not all(urls):
            raise SettingsError("a worker did not start, what it said stands above")


class _Worker:
    """One daemon in a process of its own; it ends with its parent, however that ends."""

    def __init__(self, settings: Settings, env: Mapping[str, str]) -> None:
        self._ready, told = _FORK.Pipe(duplex=False)
        self.process: ForkProcess = _FORK.Process(target=_work, args=(settings, env, told), name="quorum-worker")
        self.process.start()
        told.close()

    def url(self) -> str | None:
        """Where it answers, as soon as it does; None if it ended instead."""
        try:
            return str(self._ready.recv())
        except EOFError:
            return None

    def send(self, number: signal.Signals) -> None:
        """Passes a signal on."""
        if self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)


def _work(settings: Settings, env: Mapping[str, str], told: Connection) -> None:
    os.setpgid(0, 0)  # Ctrl-C reaches the parent alone, which then asks each worker once
    parent = multiprocessing.parent_process()
    assert parent is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    serve(settings, env, told.send, shared_port=True, until=parent.sentinel)


def _reserved(settings: Settings) -> socket.socket:
    """The port, held by a socket that never listens, so that it stays the same for every worker that comes."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    port = socket.socket(family, socket.SOCK_STREAM)
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        port.bind((settings.host, settings.port))
    except OSError as error:
        port.close()
        raise SettingsError(f"cannot listen on {settings.host} port {settings.port}: {error.strerror}") from None
    return port
