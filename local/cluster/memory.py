"""How much memory of its own a container holds. Asked by `sandbox.py`, which ends the one that has too much.

Only memory that the kernel could not take back counts, and no page cache: a database that many pods map is nobody's.
Sources: proc(5), `status` and `smaps_rollup`.
"""

from __future__ import annotations

import re
from pathlib import Path

_STATUS = re.compile(r"^RssAnon:\s+(\d+) kB$", re.MULTILINE)
# Shared between a process and those that it forked, each is charged with its part.
_SHARES = re.compile(r"^Pss_Anon:\s+(\d+) kB$", re.MULTILINE)


def holds_more(root: int, limit_bytes: float) -> bool:
    """Whether a process and all below it hold more than a limit.

    The exact number costs the kernel a walk through all their pages, so it is only read when the quick one, which
    counts shared pages several times, is above the limit.

    Args:
        root: process id; one that is gone holds nothing.
        limit_bytes: bytes.
    """
    tree = _tree(root)
    return _sum(tree, "status", _STATUS) > limit_bytes and _sum(tree, "smaps_rollup", _SHARES) > limit_bytes


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:  # grows while it is walked through
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            found += map(int, _text(children).split())
    return found


def _sum(pids: list[int], name: str, pattern: re.Pattern[str]) -> int:
    """Bytes."""
    matches = (pattern.search(_text(Path(f"/proc/{pid}/{name}"))) for pid in pids)
    return sum(int(match[1]) * 1024 for match in matches if match)


def _text(path: Path) -> str:
    """The content of a file of /proc; empty when the process has ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
