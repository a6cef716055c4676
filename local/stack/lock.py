"""One supervisor per folder. The supervisor holds the lock; ``down`` and ``status`` ask who does.

The kernel gives a ``flock`` back when its holder ends, however it ends. So "is the stack up" is never read from a
process id in a file: that number may belong to somebody else by now.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

# :func:`holder` has the lock for an instant when nobody else has; that is not a stack.
_ASKING_SECONDS = 0.2


class AlreadyUpError(Exception):
    """Another process supervises a stack in this folder.

    Args:
        pid: the process, 0 while it has not yet said.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(f"a stack is already up in this folder (process {pid})")
        self.pid = pid


class StackLock:
    """Held while in the ``with`` block.

    Args:
        path: the lock file; it stays when the lock is given back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> StackLock:
        """Take the lock.

        Raises:
            AlreadyUpError: somebody holds it.
        """
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        end = time.monotonic() + _ASKING_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    pid = _pid_in(self._file)
                    os.close(self._file)
                    raise AlreadyUpError(pid) from None
            time.sleep(0.01)
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the lock back."""
        os.ftruncate(self._file, 0)
        os.close(self._file)


def holder(path: Path) -> int | None:
    """Who supervises the stack of this lock file: a process id, 0 while it has not yet said, None when nobody does."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _pid_in(file)
    else:
        return None
    finally:
        os.close(file)


def _pid_in(file: int) -> int:
    text = os.pread(file, 32, 0).strip()
    return int(text) if text.isdigit() else 0
