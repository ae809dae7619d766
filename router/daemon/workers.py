"""Several daemons on one port: `quorum serve --workers N`. The parent process starts, replaces and stops them.

The kernel balances connections over the workers (SO_REUSEPORT). They share only the stores, like replicas on one
machine.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection, wait

from router.core.settings import Settings, SettingsError
from router.daemon.serve import refuse_open_bind, serve

_RESTART_PAUSE_S = 1.0  # before a lost worker is replaced, so that one that dies at once does not spin
_FORK = multiprocessing.get_context("fork")  # no thread or loop runs yet, and secrets pass without being pickled
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve_many(settings: Settings, env: Mapping[str, str], announce: Callable[[str], None]) -> None:
    """Runs `settings.workers` daemons until a signal stops them; calls `announce` with the URL when all are ready.

    Signal handlers only note a signal in a pipe; one loop acts on it, so that none can hit a half-started worker.
    Raises `SettingsError` when the port is taken, or when a worker ends before all are ready.
    """
    refuse_open_bind(settings)
    announced = stopping = failed = False
    with _reserved(settings) as port, _noted_signals() as signals:
        settings = replace(settings, port=port.getsockname()[1])
        workers = [_Worker(settings, env) for _ in range(settings.workers)]
        while workers:
            wait([signals, *(source for worker in workers for source in worker.sources())])
            for number in _arrived(signals):
                stopping = stopping or number != signal.SIGHUP
                _forward(workers, signal.SIGTERM if stopping else signal.SIGHUP)
            lost = [worker for worker in workers if worker.lost()]
            workers = [worker for worker in workers if worker not in lost]
            if lost and not announced and not stopping:
                failed = stopping = True
                _forward(workers, signal.SIGTERM)
            if not announced and not stopping and all(worker.url for worker in workers):
                announced = True
                announce(workers[0].url)
            if lost and not stopping:
                wait([signals], _RESTART_PAUSE_S)
                workers += [_Worker(settings, env) for _ in lost]
    if failed:
        raise SettingsError("a worker did not start: see its error above")


class _Worker:
    """One daemon in a process of its own, which stops when its parent does; `url` is empty until it is ready."""

    def __init__(self, settings: Settings, env: Mapping[str, str]) -> None:
        self.url = ""
        self._ready, ready = _FORK.Pipe(duplex=False)
        self._starting = True
        self._process = _FORK.Process(target=_work, args=(settings, env, ready), name="quorum-worker")
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # the child has no handlers of its own yet
        self._process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        ready.close()

    def sources(self) -> list[int | Connection]:
        """What to wait for: the end of the process and, while it starts, the message that it is ready."""
        return [self._process.sentinel, *([self._ready] if self._starting else [])]

    def lost(self) -> bool:
        """Whether the process has ended; also receives the message that the daemon is ready, if one has come."""
        if self._starting and self._ready.poll():
            self._starting = False
            try:
                self.url = str(self._ready.recv())
            except EOFError:
                return False  # the process is about to end, and its sentinel will report that
        return not self._process.is_alive()

    def send(self, number: signal.Signals) -> None:
        """Forwards a signal, unless the process has already ended."""
        if self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, number)


def _forward(workers: list[_Worker], number: signal.Signals) -> None:
    for worker in workers:
        worker.send(number)


def _work(settings: Settings, env: Mapping[str, str], ready: Connection) -> None:
    os.setpgid(0, 0)  # Ctrl-C then reaches only the parent, which forwards it to each worker once
    signal.set_wakeup_fd(-1)
    # Until the daemon installs its handlers, a stop signal kills; a reload is ignored, since no registry is read yet.
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN if number is signal.SIGHUP else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    parent = multiprocessing.parent_process()
    assert parent is not None
    serve(settings, env, ready.send, shared_port=True, until=parent.sentinel)


@contextmanager
def _noted_signals() -> Iterator[int]:
    """A file descriptor from which the numbers of received signals can be read, one byte each."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _arrived(signals: int) -> bytes:
    try:
        return os.read(signals, 64)
    except BlockingIOError:
        return b""


def _reserved(settings: Settings) -> socket.socket:
    """A bound socket that never listens: it keeps the port, also one the kernel chose, for workers started later."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    port = socket.socket(family, socket.SOCK_STREAM)
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        port.bind((settings.host, settings.port))
    except OSError as error:
        port.close()
        raise SettingsError(f"cannot listen on {settings.host} port {settings.port}: {error.strerror}") from None
    return port
