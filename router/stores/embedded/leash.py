"""Supervises one server process: runs it while any process holds its lock file, stops it when none does.

    python -I -S leash.py LOCK_FILE FOLDER UID GID PROGRAM ARGUMENT...

Every daemon that uses the server holds a shared lock on the file, and the kernel releases it however the daemon dies.
The leash waits for the exclusive lock, so it wakes exactly when the last user has gone. It keeps that lock until the
server has ended, so that a daemon that starts meanwhile waits. Only the standard library: it starts in 15 ms.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import struct
import sys
import threading
import time

KILL_AFTER_S = 5.0  # for an orderly shutdown before SIGKILL

# From linux/prctl.h and linux/capability.h, which Python's standard library does not expose.
_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_CAPABILITY_VERSION_3 = 0x20080522


def main(lock_file: str, folder: str, uid: int, gid: int, *command: str) -> int:
    """Runs the command in its folder until it ends by itself or has no users left; returns its exit code.

    A command killed by a signal gives 128 plus the signal's number, as in a shell.
    """
    os.setsid()  # Ctrl-C in the terminal must reach only the daemon, which still has votes to write
    os.chdir(folder)
    leash = os.getpid()
    server = os.fork()
    if server == 0:
        _become(leash, uid, gid, command)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(server, signal.SIGINT))
    threading.Thread(target=_stop_when_unused, args=(lock_file, server), daemon=True).start()
    _, status = os.waitpid(server, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _stop_when_unused(lock_file: str, server: int) -> None:
    fcntl.flock(os.open(lock_file, os.O_RDWR), fcntl.LOCK_EX)
    os.kill(server, signal.SIGINT)  # a fast shutdown of Postgres, an orderly one of Valkey
    time.sleep(KILL_AFTER_S)
    os.kill(server, signal.SIGKILL)


def _become(leash: int, uid: int, gid: int, command: tuple[str, ...]) -> None:
    """Replaces this process by the server, run as the given user; on Linux the server stops when the leash dies."""
    libc = ctypes.CDLL(None)
    if uid != os.geteuid():
        _change_user(libc, uid, gid, (command[0], "."))
    if sys.platform == "linux":
        libc.prctl(  # From linux/prctl.h and linux/capability.h, which Python's standard library does not expose.
            _PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0
        )  # after setuid, which clears it
    if os.getppid() == leash:  # the leash may have died before prctl took effect
        os.execv(command[0], command)  # noqa: S606 - there is no shell, and the arguments are our own
    os._exit(1)


def _change_user(libc: ctypes.CDLL, uid: int, gid: int, needed: tuple[str, ...]) -> None:
    if sys.platform == "linux":
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    if sys.platform == "linux" and not all(os.access(path, os.X_OK) for path in map(os.path.realpath, needed)):
        # The program or its data lie below a private folder such as /root. Instead of opening that folder to everyone,
        # the server keeps one capability, to search it; containers often grant only the wider of the two.
        any(_keep(libc, capability) for capability in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE))


def _keep(libc: ctypes.CDLL, capability: int) -> bool:
    mask = 1 << capability
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    sets = struct.pack("=6I", mask, mask, mask, 0, 0, 0)  # effective, permitted, inheritable; low words, then high
    return not (libc.capset(header, sets) or libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0))


if __name__ == "__main__":
    lock, place, user, group, *program = sys.argv[1:]
    os._exit(main(lock, place, int(user), int(group), *program))
