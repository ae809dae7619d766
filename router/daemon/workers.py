"""Several daemons on one port: `quorum serve --workers N`. The parent starts them, replaces lost ones, and ends them.

The kernel spreads connections over the workers. They share the stores and nothing else, like replicas on one machine.
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
from router.daemon.serve import refuse, serve

_AGAIN_S = 1.0  # before a lost worker is replaced, so that one that cannot live does not spin
_FORK = multiprocessing.get_context("fork")  # nothing is running yet, and secrets need not be written down to be passed
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve_many(settings: Settings, env: Mapping[str, str], announce: Callable[[str], None]) -> None:
    """Runs the workers until a signal ends them; `announce` gets the URL when all are ready.

    Signals are only noted when they come and acted on in one place, so that none can meet a worker half made.
    """
    refuse(settings)
    announced = stopping = failed = False
    with _reserved(settings) as port, _noted_signals() as signals:
        settings = replace(settings, port=port.getsockname()[1])
        workers = [_Worker(settings, env) for _ in range(settings.workers)]
        while workers:
            wait([signals, *(source for worker in workers for source in worker.sources())])
            for number in _arrived(signals):
                stopping = stopping or number != signal.SIGHUP
                _tell(workers, signal.SIGTERM if stopping else signal.SIGHUP)
            lost = [worker for worker in workers if worker.lost()]
            workers = [worker for worker in workers if worker not in lost]
            if lost and not announced and not stopping:
                failed = stopping = True
                _tell(workers, signal.SIGTERM)
            if not announced and not stopping and all(worker.url for worker in workers):
                announced = True
                announce(workers[0].url)
            if lost and not stopping:
                wait([signals], _AGAIN_S)
                workers += [_Worker(settings, env) for _ in lost]
    if failed:
        raise SettingsError("a worker did not start, what it said stands above")


class _Worker:
    """One daemon in a process of its own; `url` is where it answers, empty until it does. It ends with its parent."""

    def __init__(self, settings: Settings, env: Mapping[str, str]) -> None:
        self.url = ""
        self._ready, told = _FORK.Pipe(duplex=False)
        self._starting = True
        self._process = _FORK.Process(target=_work, args=(settings, env, told), name="quorum-worker")
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # lifted by the child once it has its own handlers
        self._process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        told.close()

    def sources(self) -> list[int | Connection]:
        """What to wait for: its end, and while it starts its word that it is ready."""
        return [self._process.sentinel, *([self._ready] if self._starting else [])]

    def lost(self) -> bool:
        """Whether it has ended; takes its word on the way."""
        if self._starting and self._ready.poll():
            self._starting = False
            try:
                self.url = str(self._ready.recv())
            except EOFError:
                return False  # it is about to end, and its sentinel will tell
        return not self._process.is_alive()

    def send(self, number: signal.Signals) -> None:
        """Passes a signal on."""
        if self._process.pid is not None and self._process.is_alive():
            os.kill(self._process.pid, number)


def _tell(workers: list[_Worker], number: signal.Signals) -> None:
    for worker in workers:
        worker.send(number)


def _work(settings: Settings, env: Mapping[str, str], told: Connection) -> None:
    os.setpgid(0, 0)  # Ctrl-C reaches the parent alone, which then asks each worker once
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:  # until the daemon takes over: an end is an end, and a registry is about to be read anyway
        signal.signal(number, signal.SIG_IGN if number is signal.SIGHUP else signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    parent = multiprocessing.parent_process()
    assert parent is not None
    serve(settings, env, told.send, shared_port=True, until=parent.sentinel)


@contextmanager
def _noted_signals() -> Iterator[int]:
    """A file descriptor on which the numbers of arriving signals can be read."""
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
