"""Files that others read or write meanwhile. Used by this package for everything in a stack's folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def write_atomically(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Replace ``path`` in one step: a reader sees the old text or the new one, whole.

    Args:
        path: the file; its folder must be there.
        text: what it will hold.
        mode: its permissions; by default the owner's alone, because most of these files hold a key.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)


def bound_log(path: Path, limit_bytes: int) -> bool:
    """Empty a log that is longer than a limit, keeping what was in it, once, as ``<name>.log.1``.

    Its writers go on: they append, so that their next line is the first one. A line that is written in the same moment
    may be lost.

    Args:
        path: the log, opened for appending by whoever writes it.
        limit_bytes: how long it may be.

    Returns:
        Whether it was emptied.
    """
    try:
        if path.stat().st_size <= limit_bytes:
            return False
        shutil.copyfile(path, path.with_suffix(".log.1"))
        os.truncate(path, 0)
    except FileNotFoundError:
        return False
    return True


def tail(path: Path, lines: int = 20, *, offset: int = 0) -> str:
    """The last lines of a log, empty when there is none.

    Args:
        path: the log.
        lines: how many lines at most.
        offset: bytes of the log that belong to an earlier run and are not shown.
    """
    return "\n".join(read_from(path, offset).splitlines()[-lines:])


def read_from(path: Path, offset: int) -> str:
    """The text of a log from a byte on, empty when there is no log."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
